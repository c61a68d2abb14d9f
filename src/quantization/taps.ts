// Runs a model and hands out values from inside it, a bounded amount at a time.
import { BitlaneError } from '../errors.js';
import { extract, intsTensor, isStatic, type Model, sizeOf, type Value, writeModel } from '../onnx/index.js';
import { type SessionOptions, type Tensors, withSession } from '../runtime/index.js';

/** Inputs of one run each; asked for again for every pass over them. What one holds may be overwritten by the next. */
export type FeedSource = () => AsyncIterable<Tensors> | Iterable<Tensors>;

export interface TapOptions {
  /** Bytes of values that one run may give (default 256 MiB): what needs more takes several passes over the feeds. */
  readonly bytesPerRun?: number;
  /** Hand out evenly spread elements of a value, at most so many, others at the next run; all of them where it is left out. */
  readonly samples?: number;
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal;
}

const DEFAULT_BYTES = 256 * 2 ** 20;

/** Values in batches that each fit into `limit` bytes, or hold a single value. */
const batchesOf = (model: Model, names: readonly string[], limit: number, samples: number): string[][] => {
  const batches: string[][] = [];
  let room = 0;
  for (const name of names) {
    const shape = model.graph.value(name)?.shape;
    const bytes = shape !== undefined && isStatic(shape) ? 4 * Math.min(samples, sizeOf(shape)) : limit;
    const last = batches.at(-1);
    if (last === undefined || bytes > room) {
      batches.push([name]);
      room = limit - bytes;
    } else {
      last.push(name);
      room -= bytes;
    }
  }
  return batches;
};

/**
 * Runs `model` over all feeds and gives each named FP32 value of each run to `visit`. Blocks the thread while the model runs.
 *
 * @param names float values of the graph, its inputs among them if wanted; types must be known (`inferShapes`)
 * @param visit called with the value's name, its elements (its own until the next call) and the number of the run
 * @throws BitlaneError `BAD_MODEL` when the model cannot be run, the reason of `signal` when it is aborted
 */
export const tapValues = async (
  model: Model,
  names: readonly string[],
  feeds: FeedSource,
  visit: (name: string, values: Float32Array, run: number) => void,
  options: TapOptions = {},
): Promise<void> => {
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const inner = names.filter((name) => !inputs.has(name));
  const batches = batchesOf(model, inner, options.bytesPerRun ?? DEFAULT_BYTES, options.samples ?? Infinity);
  if (batches.length === 0) batches.push([]);
  for (const [index, batch] of batches.entries()) {
    const given = index === 0 ? names.filter((name) => inputs.has(name)) : [];
    await runBatch(model, batch, given, feeds, visit, options);
  }
};

/** All feeds at once, each with memory of its own. */
export const heldFeeds = async (feeds: FeedSource, signal?: AbortSignal): Promise<Tensors[]> => {
  const held: Tensors[] = [];
  for await (const feed of feeds()) {
    signal?.throwIfAborted();
    held.push(
      Object.fromEntries(
        Object.entries(feed).map(([name, tensor]) => [
          name,
          { ...tensor, data: tensor.data.slice() } as (typeof feed)[string],
        ]),
      ),
    );
  }
  return held;
};

/** Where sampling starts: an input that the sampled model has besides. */
const PHASE = 'bitlane.phase';
const PHASES = 31;
const PHASE_STEP = 12;

/**
 * Lets the model give samples in place of whole values: most of the time of a run with many outputs goes into their memory.
 * Returns the names of the samples, by the values' names.
 */
const addSampling = ({ graph }: Model, samples: number): Map<string, string> => {
  const phase = graph.addInput(PHASE, 'int64', [1]);
  const [flat, end] = [[-1], [2 ** 31]].map((values) => graph.addInitializer('', intsTensor(values)));
  const axis = graph.addInitializer('', intsTensor([0]));
  const sampled = (value: Value): Value | undefined => {
    const { shape } = value;
    const size = shape !== undefined && isStatic(shape) ? sizeOf(shape) : 0;
    if (size < 2 * samples) return undefined;
    // An odd step does not keep hitting the same columns of a feature map.
    const step = graph.addInitializer('', intsTensor([Math.ceil(size / samples) | 1]));
    const row = graph.addNode({ opType: 'Reshape', inputs: [value, flat] }).output();
    return graph.addNode({ opType: 'Slice', inputs: [row, phase, end, axis, step] }).output();
  };
  const names = new Map<string, string>();
  for (const value of graph.outputs) {
    const sample = sampled(value);
    if (sample === undefined) continue;
    sample.type = 'float32';
    graph.removeOutput(value);
    graph.addOutput(sample);
    names.set(value.name, sample.name);
  }
  if (names.size === 0) graph.removeInput(phase);
  return names;
};

const runBatch = async (
  model: Model,
  batch: readonly string[],
  given: readonly string[],
  feeds: FeedSource,
  visit: (name: string, values: Float32Array, run: number) => void,
  options: TapOptions,
): Promise<void> => {
  const show = (values: Tensors, names: readonly string[], run: number): void => {
    for (const name of names) {
      const tensor = values[sampled.get(name) ?? name];
      if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `${name} is not an FP32 value`);
      visit(name, tensor.data, run);
    }
  };
  const part = batch.length === 0 ? undefined : extract(model, model.graph.inputs, batch);
  const sampled =
    part === undefined || options.samples === undefined
      ? new Map<string, string>()
      : addSampling(part, options.samples);
  const phased = (feed: Tensors, run: number): Tensors => {
    if (sampled.size === 0) return feed;
    const data = BigInt64Array.of(BigInt((run * PHASE_STEP) % PHASES));
    return { ...feed, [PHASE]: { type: 'int64', dims: [1], data } };
  };
  const each = async (run: (feed: Tensors) => Promise<Tensors>): Promise<void> => {
    let count = 0;
    for await (const feed of feeds()) {
      options.signal?.throwIfAborted();
      show(feed, given, count);
      show(await run(phased(feed, count)), batch, count);
      count++;
    }
  };
  if (part === undefined) await each(() => Promise.resolve({}));
  else {
    await withSession(writeModel(part), options.session ?? {}, (session) =>
      each((feed) => session.run(feed)),
    );
  }
};
