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
  type SessionOptions,
  type Tensor,
  type Tensors,
  withSession,
} from '../runtime/index.js';
import { type Component, componentNodes } from './components.js';

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

/** What has been computed so far of one of the two, for each picture: only what is still needed. */
class Side {
  readonly model: Model;
  readonly values: Map<string, Tensor[]>;
  readonly #options: SessionOptions;
  readonly #pool: Pool;
  /** Values whose memory is the pool's. */
  readonly #pooled = new Set<string>();

  constructor(model: Model, feeds: readonly Tensors[], pool: Pool, options: SessionOptions) {
    this.model = model;
    this.#pool = pool;
    this.#options = options;
    this.values = new Map(
      model.graph.inputs.map(({ name }) => [
        name,
        feeds.map((feed) => {
          const tensor = feed[name];
          if (tensor === undefined) throw new BitlaneError('INTERNAL', `a feed lacks the input ${name}`);
          return tensor;
        }),
      ]),
    );
  }

  async compute(outputs: readonly string[], needed: readonly string[], pictures: number): Promise<void> {
    const part = extract(this.model, needed, outputs);
    const isPooled = (name: string): boolean => {
      const value = this.model.graph.value(name);
      return value?.type === 'float32' && value.shape !== undefined && isStatic(value.shape);
    };
    const pooled = outputs.filter(isPooled);
    for (const name of pooled) this.#pooled.add(name);
    const results = outputs.map((): Tensor[] => []);
    await withSession(writeModel(part), this.#options, async (session) => {
      for (let picture = 0; picture < pictures; picture++) {
        const feed = Object.fromEntries(
          needed.flatMap((name) => {
            const tensor = this.values.get(name)?.[picture];
            return tensor === undefined ? [] : [[name, tensor] as const];
          }),
        );
        const into = Object.fromEntries(
          pooled.map((name) => {
            const shape = this.model.graph.value(name)?.shape ?? [];
            return [name, this.#pool.take(isStatic(shape) ? shape : [])];
          }),
        );
        const made = await session.run(feed, into);
        outputs.forEach((name, index) => {
          const tensor = made[name];
          if (tensor !== undefined) results[index]?.push(tensor);
        });
      }
    });
    outputs.forEach((name, index) => this.values.set(name, results[index] ?? []));
  }

  forget(name: string): void {
    if (this.#pooled.has(name)) for (const tensor of this.values.get(name) ?? []) this.#pool.give(tensor);
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

/**
 * Shows the inputs of each level of the layers in `seen`, in both models. Memory: all values of all pictures that cross one cut through both.
 *
 * @param original shapes inferred
 * @param rounded the same graph; `visit` may change its weights and biases, at the level that it is called for
 */
export const walk = async (
  original: Model,
  rounded: Model,
  feeds: readonly Tensors[],
  seen: ReadonlySet<string>,
  visit: (level: readonly Component[], views: Views) => Promise<void>,
  options: WalkOptions = {},
): Promise<void> => {
  const plan = cloneModel(original);
  const { graph } = plan;
  // Each session would keep memory of its own, and there are two a level.
  const session = { arena: process.env["AR"]==="1", ...options.session };
  const pool = new Pool();
  const sides = [new Side(original, feeds, pool, session), new Side(rounded, feeds, pool, session)] as const;
  const computed = new Set<Node>();
  const known = new Set<Value>(graph.inputs);
  const valueOf = (name: string): Value => {
    const value = graph.value(name);
    if (value === undefined) throw new BitlaneError('INTERNAL', `the graph has no value ${name}`);
    return value;
  };
  for (const level of levelsOf(plan, seen)) {
    options.signal?.throwIfAborted();
    const targets = [...new Set(level.map(({ input }) => valueOf(input)))].filter(
      (value) => !known.has(value),
    );
    const nodes = between(graph, [...known], targets);
    for (const node of nodes) computed.add(node);
    const isOpen = (value: Value): boolean => value.users.some((user) => !computed.has(user));
    const made = nodes
      .flatMap((node) => node.outputs)
      .filter((value): value is Value => value !== undefined && isOpen(value));
    const needed = [...known].filter((value) => value.users.some((user) => nodes.includes(user)));
    if (made.length > 0) {
      const [outputs, inputs] = [made.map(({ name }) => name), needed.map(({ name }) => name)];
      for (const side of sides) await side.compute(outputs, inputs, feeds.length);
    }
    for (const value of made) known.add(value);
    for (const value of known) {
      if (isOpen(value)) continue;
      known.delete(value);
      for (const side of sides) side.forget(value.name);
    }
    await visit(level, { original: sides[0].values, rounded: sides[1].values });
  }
};
