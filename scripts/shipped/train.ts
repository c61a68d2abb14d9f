// A training run: AdamW a moving average of the weights, checkpoints to go on from.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GRADIENT_SESSION } from '../../src/autodiff/index.js';
import {
  cloneModel,
  foldBatchNorm,
  type Model,
  removeUnusedInitializers,
  runPasses,
  tensorOf,
  writeModel,
} from '../../src/onnx/index.js';
import { floatTensor, openSession } from '../../src/runtime/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import {
  type Augmentation,
  buildNetwork,
  detectionLoss,
  detectorOf,
  Loader,
  type LoaderSource,
  type NetworkDefinition,
} from '../../src/training/index.js';
import { buildTraining } from '../../src/training/step/graph.js';

export interface TrainOptions {
  readonly network: NetworkDefinition;
  readonly classes: readonly string[];
  readonly sources: readonly LoaderSource[];
  readonly augmentation: Augmentation;
  readonly steps: number;
  /** Steps at the full rate; from there it falls in a line. */
  readonly hold: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly threads: number;
  /** For checkpoints. */
  readonly folder: string;
  /** Steps between two of them. */
  readonly every: number;
  /** Milliseconds after which the run stops at a checkpoint. */
  readonly limitMs?: number;
  readonly weights?: { readonly box: number; readonly objectness: number; readonly class: number };
  readonly onStep?: (step: number, line: string) => void;
  /** At every checkpoint, with the moving average as a model. */
  readonly onCheckpoint?: (step: number, model: Uint8Array) => void;
}

const OBJECTS = 24;
const DECAY = 0.05;
const WARM_UP = 200;
const FLOOR = 0.01;
const CLIP = 10;
const AVERAGE = 0.9985;
const [BETA1, BETA2] = [0.9, 0.999];

/** A trained tensor with what the optimizer and the average keep of it. */
interface Slot {
  readonly name: string;
  readonly dims: readonly number[];
  readonly decay: number;
  readonly gradient: string | undefined;
  readonly value: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly average: Float32Array;
}

const partsOf = (slot: Slot): Float32Array[] => [slot.value, slot.first, slot.second, slot.average];

const save = (path: string, step: number, slots: readonly Slot[]): void => {
  const parts = slots.flatMap(partsOf);
  const all = new Float32Array(1 + parts.reduce((sum, part) => sum + part.length, 0));
  all[0] = step;
  let at = 1;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  writeFileAtomic(path, Buffer.from(all.buffer));
};

const load = (path: string, slots: readonly Slot[]): number => {
  if (!existsSync(path)) return 0;
  const bytes = readFileSync(path);
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  let at = 1;
  for (const part of slots.flatMap(partsOf)) {
    part.set(all.subarray(at, at + part.length));
    at += part.length;
  }
  return all[0] ?? 0;
};

/** One step of AdamW (Loshchilov & Hutter 2019). */
const update = (slot: Slot, gradient: Float32Array, clip: number, rate: number, step: number): void => {
  const { value, first, second } = slot;
  const [c1, c2] = [1 - BETA1 ** step, 1 - BETA2 ** step];
  const shrink = 1 - rate * slot.decay;
  for (let i = 0; i < value.length; i += 1) {
    const g = (gradient[i] as number) * clip;
    const m = BETA1 * (first[i] as number) + (1 - BETA1) * g;
    const v = BETA2 * (second[i] as number) + (1 - BETA2) * g * g;
    first[i] = m;
    second[i] = v;
    value[i] = (value[i] as number) * shrink - (rate * (m / c1)) / (Math.sqrt(v / c2) + 1e-8);
  }
};

const follow = ({ average, value }: Slot, kept: number): void => {
  for (let i = 0; i < value.length; i += 1) {
    average[i] = kept * (average[i] as number) + (1 - kept) * (value[i] as number);
  }
};

/** The model with averaged weights, normalizations folded into its convolutions. */
const averaged = (model: Model, slots: readonly Slot[]): Uint8Array => {
  const copy = cloneModel(model);
  for (const { name, dims, average } of slots) {
    const value = copy.graph.value(name);
    if (value !== undefined) copy.graph.setTensor(value, tensorOf('float32', dims, average));
  }
  runPasses(copy, [foldBatchNorm, removeUnusedInitializers]);
  return writeModel(copy);
};

/** Trains, going on from the checkpoint in `folder` where there is one. @returns the step reached */
export const train = async (options: TrainOptions): Promise<number> => {
  const { network, classes, steps, seed } = options;
  const detector = detectorOf(network, classes);
  const batch = options.sources.reduce((sum, { share }) => sum + share, 0);
  const model = buildNetwork(network, classes, seed);
  const built = buildTraining(model, {
    batch,
    normalization: 'batch',
    loss: detectionLoss({ detector, objects: OBJECTS, ...(options.weights && { weights: options.weights }) }),
  });
  const slotOf = (name: string, dims: readonly number[], start: Float32Array, decay: number, gradient?: string): Slot => ({
    name,
    dims,
    decay,
    gradient,
    value: start.slice(),
    first: new Float32Array(gradient === undefined ? 0 : start.length),
    second: new Float32Array(gradient === undefined ? 0 : start.length),
    average: start.slice(),
  });
  const trained = built.parameters.map(({ name, dims, value, kind }) =>
    slotOf(name, dims, value, kind === 'weight' ? DECAY : 0, built.gradients.get(name)),
  );
  const running = built.statistics.map(({ name, dims, value }) => slotOf(name, dims, value, 0));
  const slots = [...trained, ...running];
  const checkpoint = join(options.folder, 'checkpoint.bin');
  const from = load(checkpoint, slots);
  const session = await openSession(writeModel(built.model), { threads: options.threads, spinning: false, ...GRADIENT_SESSION });
  const loader = new Loader(
    options.sources,
    { detector, objects: OBJECTS, seed, augmentation: options.augmentation, mosaicUntil: 0.5 * steps },
    from,
    steps,
  );
  const began = performance.now();
  let step = from;
  try {
    while (step < steps) {
      const t0 = performance.now();
      const feeds = await loader.at(step);
      const t1 = performance.now();
      const results = await session.run({
        ...feeds,
        ...Object.fromEntries(slots.map(({ name, dims, value }) => [name, floatTensor(dims, value)])),
      });
      const t2 = performance.now();
      step += 1;
      const floats = (name: string | undefined): Float32Array => results[name ?? '']?.data as Float32Array;
      let squares = 0;
      for (const { gradient } of trained) for (const g of floats(gradient)) squares += g * g;
      const norm = Math.sqrt(squares);
      if (!Number.isFinite(norm)) throw new Error(`step ${step}: the gradient is not finite`);
      const warm = Math.min(1, step / WARM_UP);
      const rate = options.learningRate * warm * Math.max(FLOOR, Math.min(1, (steps - step) / (steps - options.hold)));
      const kept = Math.min(AVERAGE, (1 + step) / (10 + step));
      for (const slot of trained) update(slot, floats(slot.gradient), Math.min(1, CLIP / norm), rate, step);
      built.statistics.forEach(({ output }, i) => running[i]?.value.set(floats(output)));
      for (const slot of slots) follow(slot, kept);
      const parts = [...built.parts].map(([name, output]) => `${name} ${(floats(output)[0] ?? 0).toFixed(3)}`).join(' ');
      options.onStep?.(
        step,
        `loss ${(floats(built.loss)[0] ?? 0).toFixed(3)} ${parts} norm ${norm.toFixed(2)} wait ${(t1 - t0).toFixed(0)} run ${(t2 - t1).toFixed(0)} update ${(performance.now() - t2).toFixed(0)} ms`,
      );
      const isOver = options.limitMs !== undefined && performance.now() - began > options.limitMs;
      if (step % options.every === 0 || step === steps || isOver) {
        save(checkpoint, step, slots);
        options.onCheckpoint?.(step, averaged(model, slots));
        if (isOver) break;
      }
    }
    return step;
  } finally {
    await loader.stop();
    await session.release();
  }
};
