// What the loss of all classes says of weights, whatever is critical: empirical Fisher information, and average Hessian traces.
import { gradient } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import { extract, type Model, writeModel } from '../../onnx/index.js';
import { type Component, componentsOf } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor, openSession, type Session, type Tensors } from '../../runtime/index.js';
import type { ClassSpace } from '../compact.js';
import { logSoftmax } from '../distribution.js';
import { looksAt } from '../looks.js';
import type { Found } from '../measures.js';
import type { FoundObjects } from '../objects.js';
import { floatsOf } from '../perturb.js';
import { rowsOf, takeRows } from '../rows.js';
import { randomNumbers } from '../statistics.js';
import { sumByChannel } from './channels.js';
import type { RoundedComponent } from './response-models.js';
import { headOutputs, seeded } from './seeded.js';
import { classSlopes, combined, objectnessSlope, type Slope } from './slopes.js';

export interface InformationOptions {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly found: FoundObjects;
  readonly objects: readonly Found[];
  /** Pictures that are looked at (default 32), spread over those with objects. */
  readonly pictures?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** By weight, which several components may share: its gradient is then the sum over all of them. */
export interface Information {
  /** Mean squared gradient of each weight: the diagonal of the empirical Fisher matrix, a picture a sample. */
  readonly fisher: ReadonlyMap<string, Float64Array>;
  /** Trace of the weight's block of the Hessian, by its number of elements; never negative. */
  readonly trace: ReadonlyMap<string, number>;
}

const PICTURES = 32;
/** Draws of what there might be, for traces, by picture. */
const DRAWS = 4;
const SESSION = { threads: 1 } as const;

/** What is held to be true of the objects of a picture. */
interface Truth {
  /** @param said the model's probabilities of the classes */
  readonly classOf: (object: number, said: Float64Array) => number;
  /** @param said the model's probability that it is an object */
  readonly isThere: (said: number) => boolean;
}

/** What labels say. */
const labelled = (truths: readonly number[]): Truth => ({
  classOf: (object) => truths[object] ?? 0,
  isThere: () => true,
});

/** Drawn by what the model itself holds likely. */
const drawn = (random: () => number): Truth => ({
  classOf: (_object, said) => {
    let left = random();
    const id = said.findIndex((p) => (left -= p) < 0);
    return id < 0 ? said.length - 1 : id;
  },
  isThere: (said) => random() < said,
});

/** Slopes of the loss at what the model says: -log p of the true class among all, and of the objectness. */
const lossSlopes = (
  detector: DetectorSpec,
  space: ClassSpace,
  outputs: Tensors,
  wanted: readonly number[],
  truth: Truth,
): Slope[] => {
  const rows = rowsOf(detector, outputs);
  return wanted.flatMap((row, i) => {
    const raw = takeRows(rows, outputs, [row]);
    const { objectness, logits } = rows.read(raw, 0, row);
    const classes = classSlopes(rows, raw, row, space);
    const joined = classes.map((_, id) => {
      const own = [...logits].filter((__, index) => {
        const kept = space.fromModel[index] ?? -1;
        return id < space.classes.length ? kept === id : kept < 0;
      });
      const top = Math.max(...own, -1e3);
      return top + Math.log(own.reduce((sum, logit) => sum + Math.exp(logit - top), 1e-300));
    });
    const p = logSoftmax(joined, 1).map(Math.exp);
    const right = truth.classOf(i, p);
    const object = 1 / (1 + Math.exp(-objectness));
    const slopes = classes.map((own, id) => [(p[id] ?? 0) - (id === right ? 1 : 0), own] as const);
    if (!rows.hasObjectness) return combined(slopes);
    const there = object - (truth.isThere(object) ? 1 : 0);
    return combined([...slopes, [there, objectnessSlope(rows, raw, row)]]);
  });
};

/** The model with its weights as inputs: outputs, and gradients of the loss of one picture. */
class Losses {
  readonly #forward: Session;
  readonly #whole: Session;
  readonly #gradients: ReadonlyMap<string, string>;
  readonly #seeds: ReturnType<typeof seeded>['seeds'];

  private constructor(
    forward: Session,
    whole: Session,
    gradients: ReadonlyMap<string, string>,
    seeds: ReturnType<typeof seeded>['seeds'],
  ) {
    this.#forward = forward;
    this.#whole = whole;
    this.#gradients = gradients;
    this.#seeds = seeds;
  }

  static async open(model: Model, outputs: readonly string[], weights: readonly string[]): Promise<Losses> {
    const { model: source, loss, seeds } = seeded(model, outputs);
    const { model: whole, gradients } = gradient(source, { loss, of: weights, outputs: [...outputs] });
    const taken = new Set([...seeds.values()].map(({ input }) => input));
    const forward = extract(
      whole,
      whole.graph.inputs.filter(({ name }) => !taken.has(name)),
      [...outputs],
    );
    const first = await openSession(writeModel(forward), SESSION);
    try {
      return new Losses(first, await openSession(writeModel(whole), SESSION), gradients, seeds);
    } catch (error) {
      await first.release();
      throw error;
    }
  }

  async release(): Promise<void> {
    await this.#forward.release();
    await this.#whole.release();
  }

  /** What the model says. */
  said(feed: Tensors): Promise<Tensors> {
    return this.#forward.run(feed);
  }

  /** Gradients of the loss that has these slopes, by weight. */
  async gradients(feed: Tensors, slopes: readonly Slope[]): Promise<ReadonlyMap<string, Float32Array>> {
    const seeds = [...this.#seeds].map(([output, { input, dims }]) => {
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      for (const slope of slopes) {
        if (slope.output === output) data[slope.element] = (data[slope.element] ?? 0) + slope.weight;
      }
      return [input, floatTensor(dims, data)] as const;
    });
    const made = await this.#whole.run({ ...feed, ...Object.fromEntries(seeds) });
    return new Map(
      [...this.#gradients].map(([weight, name]) => {
        const tensor = made[name];
        if (tensor?.type !== 'float32')
          throw new BitlaneError('INTERNAL', `the gradients gave no FP32 value ${name}`);
        return [weight, tensor.data];
      }),
    );
  }
}

/**
 * Information of the loss over some pictures: minus the log of the right class among all classes and of the objectness, for every
 * object that the model found.
 *
 * Traces (HAWQ-V2, Dong 2020) are of the Gauss-Newton part of each layer's block, which is all of it where activations are straight
 * between their kinks (ReLU) and no classes are joined: the mean square of gradients towards what is drawn by the model's own probabilities (Martens 2020, 9.1),
 * all layers in one backward pass. Hutchinson's differences of gradients, all layers moved at once, drown in what is between layers:
 * half of the traces of a network of 22 layers came out below zero, which none of them is. Blocks the thread while the model runs.
 *
 * @throws BitlaneError `BAD_MODEL` for an operator that has no gradient rule, or shapes that are not fixed
 */
export const measureInformation = async (options: InformationOptions): Promise<Information> => {
  const { model, detector, space, found, signal } = options;
  const outputs = headOutputs(detector);
  const components = reaching(model, outputs);
  const losses = await Losses.open(
    model,
    outputs,
    components.map(({ weight }) => weight),
  );
  const weights = Object.fromEntries(
    components.map(({ weight, weightDims }) => [weight, floatTensor(weightDims, floatsOf(model, weight))]),
  );
  const fisher = new Map(
    components.map(({ weight, weightBytes }) => [weight, new Float64Array(weightBytes / 4)]),
  );
  const trace = new Map(components.map(({ weight }) => [weight, 0]));
  const random = randomNumbers(1);
  const starts: number[] = [];
  let objects = 0;
  for (const { rows } of found.pictures) {
    starts.push(objects);
    objects += rows.length;
  }
  const count = Math.min(options.pictures ?? PICTURES, found.pictures.length);
  try {
    for (let i = 0; i < count; i++) {
      signal?.throwIfAborted();
      const at = Math.floor((i * found.pictures.length) / count);
      const picture = found.pictures[at];
      if (picture === undefined) continue;
      const [look] = await looksAt(detector, [picture]);
      if (look === undefined) continue;
      const feed = { ...look.feed, ...weights };
      const truths = picture.rows.map((_, j) => options.objects[(starts[at] ?? 0) + j]?.truth ?? 0);
      const said = await losses.said(feed);
      const gradientsFor = (truth: Truth): Promise<ReadonlyMap<string, Float32Array>> =>
        losses.gradients(feed, lossSlopes(detector, space, said, picture.rows, truth));
      const real = await gradientsFor(labelled(truths));
      for (const { weight } of components) {
        const own = fisher.get(weight);
        real.get(weight)?.forEach((g, j) => {
          if (own !== undefined) own[j] = (own[j] ?? 0) + g ** 2 / count;
        });
      }
      for (let draw = 0; draw < DRAWS; draw++) {
        const towards = await gradientsFor(drawn(random));
        for (const { weight } of components) {
          const slopes = towards.get(weight) ?? new Float32Array();
          const squares = slopes.reduce((sum, g) => sum + g ** 2, 0);
          trace.set(weight, (trace.get(weight) ?? 0) + squares / Math.max(1, slopes.length) / count / DRAWS);
        }
      }
      options.onProgress?.(i + 1, count);
    }
  } finally {
    await losses.release();
  }
  return { fisher, trace };
};

/** Components that the outputs depend on, one for each weight. */
const reaching = (model: Model, outputs: readonly string[]): Component[] => {
  const part = extract(
    model,
    model.graph.inputs.filter((value) => value.constant === undefined),
    [...outputs],
  );
  const seen = new Set<string>();
  return componentsOf(part).filter(({ weight }) => !seen.has(weight) && seen.add(weight));
};

/** What a rounding costs by the information of its weights, for each filter. */
export interface FilterInformation {
  /** 1/2 sum of F_ii times the squared error. */
  readonly fisher: readonly number[];
  /** Average trace times the squared error. */
  readonly hawq: readonly number[];
}

/** @param width which of the component's roundings */
export const informationOf = (
  model: Model,
  information: Information,
  { component, layers }: RoundedComponent,
  width: number,
): FilterInformation => {
  const plain = floatsOf(model, component.weight);
  const rounded = layers[width]?.weights;
  const fisher = information.fisher.get(component.weight);
  const trace = information.trace.get(component.weight) ?? 0;
  const error = (i: number): number => ((rounded?.[i] ?? 0) - (plain?.[i] ?? 0)) ** 2;
  const count = plain?.length ?? 0;
  return {
    fisher: sumByChannel(component, count, (i) => ((fisher?.[i] ?? 0) * error(i)) / 2),
    hawq: sumByChannel(component, count, (i) => trace * error(i)),
  };
};
