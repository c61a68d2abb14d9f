// Calibration data from no data: noise, and pictures distilled from the statistics that a network's normalizations keep (ZeroQ, Cai 2020).
import { dimsOf, gradient, GRADIENT_SESSION, Ops } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import {
  cloneModel,
  foldConstants,
  freezeInitializers,
  type Model,
  type Node,
  runPasses,
  sizeOf,
  upgradeOpset,
  type Value,
  writeModel,
} from '../../onnx/index.js';
import type { InputSpec } from '../../registry/index.js';
import { floatTensor, type Tensors, withSession } from '../../runtime/index.js';
import { Random } from '../../system/index.js';
import { setBatch } from '../../training/index.js';

const OPSET = 18;
/** Share of the pixels' range that a first step moves by, and the decay rates of Adam. */
const RATE = 0.03;
const [FIRST, SECOND, TINY] = [0.9, 0.999, 1e-8];
const VARIANCE_FLOOR = 1e-5;

export interface DistilledOptions {
  /** Pictures. */
  readonly count: number;
  readonly steps: number;
  readonly seed: number;
  /** Pictures that are distilled together (default 4). */
  readonly batch?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (done: number, all: number) => void;
}

/** What pixels of 0 and 255 are in a channel of the input. */
const boundsOf = ({ mean, scale }: InputSpec): (readonly [low: number, high: number])[] =>
  [0, 1, 2].map((channel) => {
    const [m, s] = [mean[channel] ?? 0, scale[channel] ?? 1];
    return [-m * s, (255 - m) * s] as const;
  });

/** Gaussian noise around the middle of the pixels' range, [3, H, W]. */
const noise = (input: InputSpec, random: Random): Float32Array => {
  const { width, height } = input;
  const plane = width * height;
  const bounds = boundsOf(input);
  return Float32Array.from({ length: 3 * plane }, (_, i) => {
    const [low, high] = bounds[Math.floor(i / plane)] ?? [0, 1];
    const gaussian = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
    return Math.min(high, Math.max(low, (low + high) / 2 + (gaussian * (high - low)) / 6));
  });
};

/** Noise as calibration data. */
export const noisePictures = (input: InputSpec, count: number, seed: number): Tensors[] => {
  const random = new Random(seed, 5);
  const { name, width, height } = input;
  return Array.from({ length: count }, () => ({
    [name]: floatTensor([1, 3, height, width], noise(input, random)),
  }));
};

const statisticsOf = (node: Node, index: number): Float32Array | undefined => {
  const tensor = node.input(index)?.constant;
  return tensor?.kind === 'dense' && tensor.type === 'float32' ? tensor.data : undefined;
};

/** Mean square distance of a value's statistics to those that the normalization behind it keeps. */
const distance = (ops: Ops, node: Node): Value | undefined => {
  const value = node.input(0);
  const [mean, variance] = [statisticsOf(node, 3), statisticsOf(node, 4)];
  if (value === undefined || mean === undefined || variance === undefined) return undefined;
  const dims = dimsOf(value);
  const kept = [1, mean.length, 1, 1];
  const axes = ops.ints([0, 2, 3]);
  const averaged = (of: Value): Value => ops.op('ReduceMean', [of, axes], kept, { keepdims: 1 });
  ops.scope = `${node.label}/distance`;
  const middle = averaged(value);
  const centred = ops.op('Sub', [value, middle], dims);
  const spread = averaged(ops.op('Mul', [centred, centred], dims));
  const deviation = ops.op('Sqrt', [ops.op('Add', [spread, ops.scalar(VARIANCE_FLOOR)], kept)], kept);
  const wanted = Float32Array.from(variance, (each) => Math.sqrt(each + VARIANCE_FLOOR));
  const squared = (a: Value, b: Float32Array): Value => {
    const off = ops.op('Sub', [a, ops.floats(kept, [...b])], kept);
    return ops.op('ReduceMean', [ops.op('Mul', [off, off], kept)], [], { keepdims: 0 });
  };
  return ops.op('Add', [squared(middle, mean), squared(deviation, wanted)], []);
};

/**
 * Pictures that make every normalization of the network see what it saw in training, by gradient descent on the pixels. Blocks the
 * thread.
 *
 * @param model with its BatchNormalizations
 * @throws BitlaneError `UNSUPPORTED` where the model keeps none; `BAD_MODEL` where it has no gradient
 */
export const distilledPictures = async (
  model: Model,
  input: InputSpec,
  options: DistilledOptions,
): Promise<Tensors[]> => {
  const { count, steps, seed, batch = 4, threads = 1, signal, onStep } = options;
  const copy = cloneModel(model);
  runPasses(copy, [freezeInitializers, foldConstants, upgradeOpset(OPSET)]);
  setBatch(copy, batch);
  const ops = new Ops(copy.graph);
  const normalizations = [...copy.graph.nodes()].filter((node) => node.is('BatchNormalization'));
  const distances = normalizations.flatMap((node) => distance(ops, node) ?? []);
  if (distances.length === 0) {
    throw new BitlaneError(
      'UNSUPPORTED',
      'the model keeps no normalizations (they were folded into its convolutions): no picture can be distilled from it',
    );
  }
  ops.scope = 'distance';
  const loss = distances.reduce((sum, each) => ops.op('Add', [sum, each], []));
  copy.graph.sort();
  const { model: both, gradients } = gradient(copy, { loss: loss.name, of: [input.name], outputs: [] });
  const name = gradients.get(input.name);
  if (name === undefined) throw new BitlaneError('BAD_MODEL', 'the loss does not depend on the picture');
  const dims = [batch, 3, input.height, input.width];
  const size = sizeOf(dims);
  const bounds = boundsOf(input);
  const plane = input.width * input.height;
  const boundsAt = (i: number): readonly [number, number] => bounds[Math.floor(i / plane) % 3] ?? [0, 1];
  const made: Tensors[] = [];
  const random = new Random(seed, 6);
  const rounds = Math.ceil(count / batch);
  await withSession(writeModel(both), { threads, ...GRADIENT_SESSION }, async (session) => {
    for (let round = 0; round < rounds; round += 1) {
      const pixels = new Float32Array(size);
      for (let i = 0; i < batch; i += 1) pixels.set(noise(input, random), 3 * i * plane);
      const [mean, square] = [new Float32Array(size), new Float32Array(size)];
      for (let step = 1; step <= steps; step += 1) {
        signal?.throwIfAborted();
        const { [name]: slope } = await session.run({ [input.name]: floatTensor(dims, pixels) });
        const rate =
          (RATE * 0.5 * (1 + Math.cos((Math.PI * step) / (steps + 1))) * Math.sqrt(1 - SECOND ** step)) /
          (1 - FIRST ** step);
        for (let i = 0; i < size; i += 1) {
          const [low, high] = boundsAt(i);
          const g = Number(slope?.data[i] ?? 0) * (high - low);
          const m = FIRST * (mean[i] ?? 0) + (1 - FIRST) * g;
          const s = SECOND * (square[i] ?? 0) + (1 - SECOND) * g * g;
          [mean[i], square[i]] = [m, s];
          const moved = (pixels[i] ?? 0) - ((high - low) * rate * m) / (Math.sqrt(s) + TINY);
          pixels[i] = Math.min(high, Math.max(low, moved));
        }
        onStep?.(round * steps + step, rounds * steps);
      }
      for (let i = 0; i < batch && made.length < count; i += 1) {
        const picture = pixels.slice(3 * i * plane, 3 * (i + 1) * plane);
        made.push({ [input.name]: floatTensor([1, 3, input.height, input.width], picture) });
      }
    }
  });
  return made;
};
