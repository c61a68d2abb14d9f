// Runs a part of a model with one component after the other perturbed alone: only what is behind it is computed anew.
import { BitlaneError } from '../errors.js';
import { cloneModel, extract, type Model, type Node, tensorOf, writeModel } from '../onnx/index.js';
import { type ChannelGrid, type Component, fakeQuantize, joinGrids } from '../quantization/index.js';
import { floatTensor, openSession, type Session, type Tensor, type Tensors } from '../runtime/index.js';
import { type Step, stepsOf, type Task, tasksOf } from './tasks.js';

/** What is done to a component: other weights (and the bias that goes with them), or its input rounded onto a grid. */
export type Perturbation =
  | { readonly kind: 'weights'; readonly weights: Float32Array; readonly bias: Float32Array | undefined }
  | { readonly kind: 'activations'; readonly grid: ChannelGrid };

const SESSION = { threads: 1, arena: false } as const;

/** Memory for values, used again: touching fresh memory can take longer than computing what goes into it. */
class Pool {
  readonly #free = new Map<number, Float32Array[]>();

  take(dims: readonly number[]): Tensor {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return floatTensor(dims, this.#free.get(size)?.pop() ?? new Float32Array(size));
  }

  give(tensor: Tensor): void {
    if (tensor.type !== 'float32') return;
    const free = this.#free.get(tensor.data.length);
    if (free === undefined) this.#free.set(tensor.data.length, [tensor.data]);
    else free.push(tensor.data);
  }
}

/** The model of a component alone. */
export const layerModel = (part: Model, component: Component, perturbation?: Perturbation): Model => {
  const layer = extract(part, [component.input], [component.output]);
  if (perturbation?.kind !== 'weights') return layer;
  const set = (name: string, dims: readonly number[], data: Float32Array): void => {
    const value = layer.graph.value(name);
    if (value === undefined) throw new BitlaneError('INTERNAL', `component ${component.name} lacks ${name}`);
    layer.graph.setTensor(value, tensorOf('float32', dims, data));
  };
  set(component.weight, component.weightDims, perturbation.weights);
  if (component.bias !== undefined && perturbation.bias !== undefined) {
    set(component.bias, [component.outputChannels], perturbation.bias);
  }
  return layer;
};

/** The whole network with other weights in one place. */
export const modelWith = (model: Model, component: Component, perturbation: Perturbation): Model => {
  const copy = cloneModel(model);
  const node: Node | undefined = [...copy.graph.nodes()].find(
    (each) => each.output()?.name === component.output,
  );
  if (perturbation.kind !== 'weights' || node === undefined) return copy;
  const { weights, bias } = perturbation;
  node.setInput(1, copy.graph.addInitializer('w', tensorOf('float32', component.weightDims, weights)));
  if (component.bias !== undefined && bias !== undefined) {
    node.setInput(2, copy.graph.addInitializer('b', tensorOf('float32', [bias.length], bias)));
  }
  return copy;
};

const dataOf = (tensor: Tensor | undefined, name: string): Float32Array => {
  if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `${name} is no known FP32 value`);
  return tensor.data;
};

/**
 * Called with the outputs that a component reaches, for one input; they are overwritten by the next call.
 *
 * @param variant index of the perturbation
 * @param input index of the input
 */
export type Visit = (task: Task, variant: number, input: number, outputs: Tensors) => void;

/** How far rounding moved what a component gives and takes: squared differences, and squares. */
export interface LayerErrors {
  readonly output: { readonly noise: number; readonly signal: number };
  readonly input: { readonly noise: number; readonly signal: number };
}

export interface AloneOptions {
  /** The perturbations of a component; it is passed over where there are none. */
  readonly perturbations: (component: Component) => readonly Perturbation[];
  readonly visit: Visit;
  /** After each component, with the errors of its perturbations. */
  readonly done?: (component: Component, errors: readonly LayerErrors[]) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** A part of a model, planned once and walked through for any inputs. */
export class AlonePart {
  readonly part: Model;
  readonly tasks: readonly Task[];

  /** @param part shapes inferred */
  constructor(part: Model) {
    this.part = part;
    this.tasks = tasksOf(part);
  }

  /** The components that reach an output. */
  get components(): readonly Component[] {
    return this.tasks.map(({ component }) => component);
  }

  /** The most FP32 values of one input that are held at once. */
  get peakFloats(): number {
    return stepsOf(this.part, this.tasks).peakFloats;
  }

  /**
   * Perturbs one component after the other, over all inputs. Memory: what {@link peakFloats} says for each input.
   *
   * @param inputs of the part
   */
  async run(inputs: readonly Tensors[], options: AloneOptions): Promise<void> {
    if (inputs.length === 0) return;
    const wanted = this.tasks
      .map((task) => ({ task, perturbations: options.perturbations(task.component) }))
      .filter(({ perturbations }) => perturbations.length > 0);
    const { steps } = stepsOf(
      this.part,
      wanted.map(({ task }) => task),
    );
    const walk = new Walk(this.part, inputs);
    for (const [index, step] of steps.entries()) {
      options.signal?.throwIfAborted();
      await walk.advance(step);
      const errors = await walk.perturb(step.task, wanted[index]?.perturbations ?? [], options);
      walk.forget(step.forget);
      await options.done?.(step.task.component, errors);
    }
  }
}

/** Inputs on which the errors of layers are measured. */
const ERROR_INPUTS = 4;

class Squares {
  noise = 0;
  signal = 0;

  add(original: Tensor, other: Tensor | undefined): void {
    const [a, b] = [dataOf(original, 'a value'), dataOf(other, 'a rounded value')];
    for (let i = 0; i < a.length; i++) {
      const [value, moved] = [a[i] ?? 0, b[i] ?? 0];
      this.noise += (value - moved) * (value - moved);
      this.signal += value * value;
    }
  }
}

class Walk {
  readonly #part: Model;
  readonly #values: Map<string, Tensor>[];
  readonly #given: readonly Tensors[];
  readonly #pool = new Pool();

  constructor(part: Model, inputs: readonly Tensors[]) {
    this.#part = part;
    this.#given = inputs;
    this.#values = inputs.map((input) => new Map(Object.entries(input)));
  }

  #feeds(input: number, names: readonly string[]): Tensors {
    return Object.fromEntries(
      names.map((name) => {
        const tensor = this.#values[input]?.get(name);
        if (tensor === undefined) throw new BitlaneError('INTERNAL', `${name} is not known yet`);
        return [name, tensor];
      }),
    );
  }

  async advance({ advance }: Step): Promise<void> {
    if (advance === undefined) return;
    const session = await openSession(writeModel(advance.part), SESSION);
    try {
      let shapes: readonly (readonly [string, readonly number[]])[] = [];
      for (const [input, values] of this.#values.entries()) {
        const into = Object.fromEntries(shapes.map(([name, dims]) => [name, this.#pool.take(dims)]));
        const made = await session.run(this.#feeds(input, advance.from), into);
        for (const [name, tensor] of Object.entries(made)) values.set(name, tensor);
        const all = Object.entries(made);
        if (all.every(([, { type }]) => type === 'float32')) {
          shapes = all.map(([name, { dims }]) => [name, dims] as const);
        }
      }
    } finally {
      await session.release();
    }
  }

  forget(names: readonly string[]): void {
    for (const name of names) {
      for (const [input, values] of this.#values.entries()) {
        const tensor = values.get(name);
        values.delete(name);
        // What the caller gave is the caller's.
        if (tensor !== undefined && this.#given[input]?.[name] !== tensor) this.#pool.give(tensor);
      }
    }
  }

  async perturb(
    task: Task,
    perturbations: readonly Perturbation[],
    { visit, signal }: AloneOptions,
  ): Promise<LayerErrors[]> {
    const { component, cut, reached } = task;
    const opened: Session[] = [];
    const open = async (model: Model): Promise<Session> => {
      const session = await openSession(writeModel(model), SESSION);
      opened.push(session);
      return session;
    };
    try {
      const behind =
        reached.length === 0
          ? undefined
          : await open(extract(this.#part, [component.output, ...cut], [...reached]));
      const plain = await open(layerModel(this.#part, component));
      const sums = perturbations.map(() => ({ output: new Squares(), input: new Squares() }));
      const layers: Session[] = [];
      for (const each of perturbations) {
        const isOther = each.kind === 'weights';
        layers.push(isOther ? await open(layerModel(this.#part, component, each)) : plain);
      }
      // Outputs of both go into the same memory each time, once their shapes are known.
      let [ownInto, into]: [Tensors, Tensors] = [{}, {}];
      let [ownShape, shape] = ['', ''];
      for (const input of this.#values.keys()) {
        signal?.throwIfAborted();
        const given = this.#feeds(input, cut);
        const x = this.#values[input]?.get(component.input);
        const size = String(x?.dims);
        const original =
          input < ERROR_INPUTS && x !== undefined
            ? (await plain.run({ [component.input]: x }))[component.output]
            : undefined;
        for (const [variant, each] of perturbations.entries()) {
          const layer = layers[variant];
          if (layer === undefined || x === undefined) continue;
          const seen = each.kind === 'weights' ? x : roundedInput(x, each.grid, component.input);
          const own = await layer.run({ [component.input]: seen }, size === ownShape ? ownInto : {});
          [ownInto, ownShape] = [own, size];
          if (original !== undefined) {
            sums[variant]?.output.add(original, own[component.output]);
            sums[variant]?.input.add(x, seen);
          }
          const outputs =
            behind === undefined ? {} : await behind.run({ ...given, ...own }, size === shape ? into : {});
          [into, shape] = [outputs, size];
          visit(task, variant, input, task.direct ? { ...outputs, ...own } : outputs);
        }
      }
      return sums;
    } finally {
      for (const session of opened) await session.release();
    }
  }
}

/** An input rounded onto a grid. */
const roundedInput = (x: Tensor, grid: ChannelGrid, name: string): Tensor =>
  floatTensor(x.dims, fakeQuantize(dataOf(x, name), joinGrids([grid], null)));
