// Runs a model and hands out values from inside it, a bounded amount at a time.
import { BitlaneError } from '../errors.js';
import { extract, isStatic, type Model, sizeOf, writeModel } from '../onnx/index.js';
import { type SessionOptions, type Tensors, withSession } from '../runtime/index.js';

/** Inputs of one run each; asked for again for every pass over them. */
export type FeedSource = () => AsyncIterable<Tensors> | Iterable<Tensors>;

export interface TapOptions {
  /** Bytes of values that one run may give (default 256 MiB): what needs more takes several passes over the feeds. */
  readonly bytesPerRun?: number;
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal;
}

const DEFAULT_BYTES = 256 * 2 ** 20;

/** Values in batches that each fit into `limit` bytes, or hold a single value. */
const batchesOf = (model: Model, names: readonly string[], limit: number): string[][] => {
  const batches: string[][] = [];
  let room = 0;
  for (const name of names) {
    const shape = model.graph.value(name)?.shape;
    const bytes = shape !== undefined && isStatic(shape) ? 4 * sizeOf(shape) : limit;
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
  const batches = batchesOf(model, inner, options.bytesPerRun ?? DEFAULT_BYTES);
  if (batches.length === 0) batches.push([]);
  for (const [index, batch] of batches.entries()) {
    const given = index === 0 ? names.filter((name) => inputs.has(name)) : [];
    await runBatch(model, batch, given, feeds, visit, options);
  }
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
      const tensor = values[name];
      if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `${name} is not an FP32 value`);
      visit(name, tensor.data, run);
    }
  };
  const part = batch.length === 0 ? undefined : writeModel(extract(model, model.graph.inputs, batch));
  const each = async (run: (feed: Tensors) => Promise<Tensors>): Promise<void> => {
    let count = 0;
    for await (const feed of feeds()) {
      options.signal?.throwIfAborted();
      show(feed, given, count);
      show(await run(feed), batch, count);
      count++;
    }
  };
  if (part === undefined) await each(() => Promise.resolve({}));
  else await withSession(part, options.session ?? {}, (session) => each((feed) => session.run(feed)));
};
