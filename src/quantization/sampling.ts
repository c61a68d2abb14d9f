// Lets a model give samples of its values in place of all their elements, all in one output.
import { BitlaneError } from '../errors.js';
import { int, ints, intsTensor, isStatic, type Model, sizeOf, type Value } from '../onnx/index.js';
import type { Tensors } from '../runtime/index.js';

/** Where sampling starts: an input that the sampled model has besides. */
const PHASE = 'bitlane.phase';
const PHASES = 31;
const PHASE_STEP = 12;

/** So many elements are left for each that is taken in the end: which of them those are changes from run to run. */
const LEFT = 4;

/** Elements of a value, row by row; all of them where `step` is 1. */
interface Part {
  readonly name: string;
  readonly size: number;
  readonly step: number;
}

const isSampled = (value: Value): value is Value & { shape: number[] } =>
  value.type === 'float32' && value.shape !== undefined && isStatic(value.shape);

const phaseOf = (run: number): number => (run * PHASE_STEP) % PHASES;

/** What a sampled model takes, and where its samples lie. */
export class Sampling {
  /** By name; a value whose shape is not known is not among them, and still an output. */
  readonly names: ReadonlySet<string>;
  readonly #parts: readonly Part[];
  readonly #output: string;

  constructor(parts: readonly Part[], output: string) {
    this.#parts = parts;
    this.#output = output;
    this.names = new Set(parts.map(({ name }) => name));
  }

  /** What the model takes for the run of this number. */
  feed(feed: Tensors, run: number): Tensors {
    if (this.#parts.every(({ step }) => step === 1)) return feed;
    return { ...feed, [PHASE]: { type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(phaseOf(run))) } };
  }

  /** The samples of each value in what the run of this number gave. */
  split(values: Tensors, run: number): Map<string, Float32Array> {
    const samples = new Map<string, Float32Array>();
    if (this.#parts.length === 0) return samples;
    const joined = values[this.#output];
    if (joined?.type !== 'float32') throw new BitlaneError('INTERNAL', 'samples of FP32 values are FP32');
    let start = 0;
    for (const { name, size, step } of this.#parts) {
      const end = start + (step === 1 ? size : Math.ceil((size - phaseOf(run)) / step));
      samples.set(name, joined.data.subarray(start, end));
      start = end;
    }
    return samples;
  }
}

/**
 * Replaces the outputs of a model by evenly spread elements of each, about `samples`, never twice as many.
 *
 * Samples cost least where they are taken while the engine still has the value in its caches, and before it needs memory for the
 * next one. It computes what a node needs by going back from it, through the input that was written last first: so what is there
 * first is written last. Rows and columns are skipped by pooling, which the engine does in whatever layout its kernels like;
 * only what that leaves is laid out plainly.
 */
export const addSampling = ({ graph }: Model, samples: number): Sampling => {
  const constant = (value: number): Value => graph.addInitializer('', intsTensor([value]));
  const [flat, end, axis] = [constant(-1), constant(2 ** 31), constant(0)];
  let phase: Value | undefined;
  const parts: Part[] = [];
  const rows: (Value | undefined)[] = [];
  for (const value of graph.outputs.filter(isSampled).toReversed()) {
    const { name, shape } = value;
    let [from, size, step]: [Value | undefined, number, number] = [value, sizeOf(shape), 1];
    const skip = shape.length === 4 ? Math.floor(Math.sqrt(size / (LEFT * samples))) : 1;
    if (skip > 1) {
      const [pictures = 0, channels = 0, height = 0, width = 0] = shape;
      size = pictures * channels * Math.ceil(height / skip) * Math.ceil(width / skip);
      // An average of one: a maximum need not keep what is no number.
      const attributes = { kernel_shape: ints([1, 1]), strides: ints([skip, skip]) };
      from = graph.addNode({ opType: 'AveragePool', inputs: [value], attributes }).output();
    }
    let row = graph.addNode({ opType: 'Reshape', inputs: [from, flat] }).output();
    if (size >= 2 * samples) {
      // An odd step does not keep hitting the same columns of a feature map.
      step = Math.ceil(size / samples) | 1;
      phase ??= graph.addInput(PHASE, 'int64', [1]);
      row = graph.addNode({ opType: 'Slice', inputs: [row, phase, end, axis, constant(step)] }).output();
    }
    parts.push({ name, size, step });
    rows.push(row);
    graph.removeOutput(value);
  }
  if (rows.length === 0) return new Sampling([], '');
  const joined = graph.addNode({ opType: 'Concat', inputs: rows, attributes: { axis: int(0) } }).output();
  if (joined === undefined) throw new BitlaneError('INTERNAL', 'samples are joined');
  joined.type = 'float32';
  joined.shape = ['samples'];
  graph.addOutput(joined);
  return new Sampling(parts, joined.name);
};
