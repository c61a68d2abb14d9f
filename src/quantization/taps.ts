// Runs a model and hands out values from inside it, a bounded amount at a time.
import { BitlaneError } from '../errors.js';
import { extract, isStatic, type Model, sizeOf, writeModel } from '../onnx/index.js';
import { type SessionOptions, type Tensor, type Tensors, withSession } from '../runtime/index.js';
import { addSampling, Sampling } from './sampling.js';

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

/** The same with memory of its own. */
export const copied = (tensor: Tensor): Tensor => ({ ...tensor, data: tensor.data.slice() }) as Tensor;

/** All feeds at once, each with memory of its own. */
export const heldFeeds = async (feeds: FeedSource, signal?: AbortSignal): Promise<Tensors[]> => {
  const held: Tensors[] = [];
  for await (const feed of feeds()) {
    signal?.throwIfAborted();
    held.push(Object.fromEntries(Object.entries(feed).map(([name, tensor]) => [name, copied(tensor)])));
  }
  return held;
};

const runBatch = async (
  model: Model,
  batch: readonly string[],
  given: readonly string[],
  feeds: FeedSource,
  visit: (name: string, values: Float32Array, run: number) => void,
  options: TapOptions,
): Promise<void> => {
  const part = batch.length === 0 ? undefined : extract(model, model.graph.inputs, batch);
  const sampling =
    part === undefined || options.samples === undefined
      ? new Sampling([], '')
      : addSampling(part, options.samples);
  const floatsOf = (values: Tensors, name: string): Float32Array => {
    const tensor = values[name];
    if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `${name} is not an FP32 value`);
    return tensor.data;
  };
  const each = async (run: (feed: Tensors) => Promise<Tensors>): Promise<void> => {
    let count = 0;
    for await (const feed of feeds()) {
      options.signal?.throwIfAborted();
      for (const name of given) visit(name, floatsOf(feed, name), count);
      const values = await run(sampling.feed(feed, count));
      const samples = sampling.split(values, count);
      for (const name of batch) visit(name, samples.get(name) ?? floatsOf(values, name), count);
      count++;
    }
  };
  if (part === undefined) await each(() => Promise.resolve<Tensors>({}));
  else {
    await withSession(writeModel(part), options.session ?? {}, (session) =>
      each((feed) => session.run(feed)),
    );
  }
};
