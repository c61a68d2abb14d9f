// Walks through a model layer by layer, the original beside the one that is being rounded, each node computed once a picture.
import { BitlaneError } from '../errors.js';
import {
  between,
  cloneModel,
  extract,
  isStatic,
  type Model,
  type Node,
  sizeOf,
  type Value,
  writeModel,
} from '../onnx/index.js';
import {
  floatTensor,
  type Session,
  type SessionOptions,
  type Tensor,
  type Tensors,
  withSession,
} from '../runtime/index.js';
import { type Component, componentNodes } from './components.js';
import { copied, type FeedSource } from './taps.js';

/** Components of `seen`, in the order of how many others of them stand before; those of one level cannot see each other. */
export const levelsOf = (model: Model, seen: ReadonlySet<string>): Component[][] => {
  const components = componentNodes(model);
  const depth = new Map<Value, number>();
  const levels: Component[][] = [];
  for (const node of model.graph.nodes()) {
    const before = Math.max(0, ...node.needs.map((value) => depth.get(value) ?? 0));
    const component = components.get(node);
    const isSeen = component !== undefined && seen.has(component.name);
    if (isSeen) (levels[before] ??= []).push(component);
    for (const output of node.outputs) if (output !== undefined) depth.set(output, before + (isSeen ? 1 : 0));
  }
  return levels.filter((level) => level !== undefined);
};

/** Memory for activations, used again: touching fresh memory for all of them can take longer than computing them. */
class Pool {
  readonly #free: Float32Array[] = [];

  /** The smallest piece that is large enough. */
  take(dims: readonly number[]): Tensor {
    const size = sizeOf(dims);
    let best = -1;
    for (const [index, { length }] of this.#free.entries()) {
      if (length >= size && (best < 0 || length < (this.#free[best]?.length ?? 0))) best = index;
    }
    const [piece] = best < 0 ? [] : this.#free.splice(best, 1);
    return floatTensor(dims, (piece ?? new Float32Array(size)).subarray(0, size));
  }

  give({ type, data }: Tensor): void {
    if (type === 'float32') this.#free.push(new Float32Array(data.buffer as ArrayBuffer));
  }
}

/** A step of both models over all pictures. */
interface Step {
  readonly outputs: readonly string[];
  /** What they are computed from; graph inputs among them where it begins there. */
  readonly needed: readonly string[];
  /** Those of them that nothing needs afterwards. */
  readonly last: ReadonlySet<string>;
}

/** What has been computed so far of one of the two, for each picture: only what is still needed. */
class Side {
  readonly model: Model;
  readonly values = new Map<string, Tensor[]>();
  readonly #pool: Pool;
  /** Values whose memory is the pool's. */
  readonly #pooled = new Set<string>();

  constructor(model: Model, pool: Pool) {
    this.model = model;
    this.#pool = pool;
  }

  part({ outputs, needed }: Step): Uint8Array {
    for (const name of outputs) {
      const { type, shape } = this.model.graph.value(name) ?? {};
      if (type === 'float32' && shape !== undefined && isStatic(shape)) this.#pooled.add(name);
    }
    return writeModel(extract(this.model, needed, outputs));
  }

  /** @param given inputs of the graph, where they are not held */
  async compute(session: Session, step: Step, picture: number, given: Tensors): Promise<void> {
    const feed: Record<string, Tensor> = {};
    for (const name of step.needed) {
      const tensor = given[name] ?? this.values.get(name)?.[picture];
      if (tensor === undefined) throw new BitlaneError('INTERNAL', `${name} was not computed`);
      feed[name] = tensor;
    }
    const into: Record<string, Tensor> = {};
    for (const name of step.outputs) {
      const shape = this.#pooled.has(name) ? this.model.graph.value(name)?.shape : undefined;
      if (shape !== undefined && isStatic(shape)) into[name] = this.#pool.take(shape);
    }
    const made = await session.run(feed, into);
    for (const name of step.outputs) {
      const tensor = made[name];
      if (tensor !== undefined) this.hold(name, tensor);
    }
    // At once: the next picture finds this memory in the processor's caches, and all together take less of it.
    for (const name of step.last) {
      const tensor = feed[name];
      if (tensor !== undefined && this.#pooled.has(name)) this.#pool.give(tensor);
    }
  }

  hold(name: string, tensor: Tensor): void {
    const tensors = this.values.get(name) ?? [];
    this.values.set(name, tensors);
    tensors.push(tensor);
  }

  /** @param isGiven whether its memory went back already */
  forget(name: string, isGiven: boolean): void {
    if (!isGiven && this.#pooled.has(name)) {
      for (const tensor of this.values.get(name) ?? []) this.#pool.give(tensor);
    }
    this.values.delete(name);
  }
}

export interface WalkOptions {
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal;
}

/** What a level's layers see: inputs by name, for each picture. */
export interface Views {
  /** In the original. */
  readonly original: ReadonlyMap<string, readonly Tensor[]>;
  /** In the model whose layers so far are rounded. */
  readonly rounded: ReadonlyMap<string, readonly Tensor[]>;
}

/** Both models, step by step over all pictures. */
class Walkers {
  readonly original: Side;
  readonly rounded: Side;
  readonly #feeds: FeedSource;
  readonly #options: WalkOptions;
  readonly #inputs: readonly string[];
  /** Known once the feeds have been taken. */
  #pictures: number | undefined;

  constructor(original: Model, rounded: Model, feeds: FeedSource, options: WalkOptions) {
    const pool = new Pool();
    [this.original, this.rounded] = [new Side(original, pool), new Side(rounded, pool)];
    this.#inputs = original.graph.inputs.map(({ name }) => name);
    this.#feeds = feeds;
    this.#options = options;
  }

  /** Takes the feeds, unless it was done. */
  async start(): Promise<void> {
    if (this.#pictures === undefined) await this.#eachFeed(() => Promise.resolve(), new Set());
  }

  async step(step: Step): Promise<void> {
    const { session = {} } = this.#options;
    const [first, second] = [this.original.part(step), this.rounded.part(step)];
    await withSession(first, session, (one) =>
      withSession(second, session, async (other) => {
        const run = async (picture: number, given: Tensors): Promise<void> => {
          await this.original.compute(one, step, picture, given);
          await this.rounded.compute(other, step, picture, given);
        };
        if (this.#pictures === undefined) await this.#eachFeed(run, step.last);
        else for (let picture = 0; picture < this.#pictures; picture++) await run(picture, {});
      }),
    );
  }

  /** @param last inputs that need not be held */
  async #eachFeed(
    run: (picture: number, given: Tensors) => Promise<void>,
    last: ReadonlySet<string>,
  ): Promise<void> {
    let pictures = 0;
    for await (const feed of this.#feeds()) {
      this.#options.signal?.throwIfAborted();
      await run(pictures++, feed);
      for (const name of this.#inputs) {
        const tensor = feed[name];
        if (tensor === undefined) throw new BitlaneError('INTERNAL', `a feed lacks the input ${name}`);
        if (last.has(name)) continue;
        const own = copied(tensor);
        for (const side of [this.original, this.rounded]) side.hold(name, own);
      }
    }
    this.#pictures = pictures;
  }
}

/**
 * Shows the inputs of each level of the layers in `seen`, in both models. Memory: all values of all pictures that cross one cut through both.
 *
 * @param original shapes inferred
 * @param rounded the same graph; `visit` may change its weights and biases, at the level that it is called for
 */
export const walk = async (
  original: Model,
  rounded: Model,
  feeds: FeedSource,
  seen: ReadonlySet<string>,
  visit: (level: readonly Component[], views: Views) => Promise<void>,
  options: WalkOptions = {},
): Promise<void> => {
  const plan = cloneModel(original);
  const { graph } = plan;
  const walkers = new Walkers(original, rounded, feeds, options);
  const sides = [walkers.original, walkers.rounded];
  const computed = new Set<Node>();
  const known = new Set<Value>(graph.inputs);
  const levels = levelsOf(plan, seen);
  const valueOf = (name: string): Value => {
    const value = graph.value(name);
    if (value === undefined) throw new BitlaneError('INTERNAL', `the graph has no value ${name}`);
    return value;
  };
  for (const level of levels) {
    options.signal?.throwIfAborted();
    const views = new Set(level.map(({ input }) => valueOf(input)));
    const targets = [...views].filter((value) => !known.has(value));
    const nodes = between(graph, [...known], targets);
    for (const node of nodes) computed.add(node);
    const isOpen = (value: Value): boolean => value.users.some((user) => !computed.has(user));
    const made = nodes
      .flatMap((node) => node.outputs)
      .filter((value): value is Value => value !== undefined && isOpen(value));
    const needed = [...known].filter((value) => value.users.some((user) => nodes.includes(user)));
    const closed = [...known].filter((value) => !isOpen(value));
    const last = new Set(closed.map(({ name }) => name));
    if (made.length > 0) {
      const [outputs, inputs] = [made.map(({ name }) => name), needed.map(({ name }) => name)];
      await walkers.step({ outputs, needed: inputs, last });
    } else {
      await walkers.start();
    }
    for (const value of closed) {
      known.delete(value);
      for (const side of sides) side.forget(value.name, made.length > 0 && needed.includes(value));
    }
    for (const value of made) known.add(value);
    await visit(level, { original: walkers.original.values, rounded: walkers.rounded.values });
  }
};
