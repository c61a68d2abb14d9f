// What the loss of all classes says of weights, whatever is critical: empirical Fisher information, and average Hessian traces.
import { gradient } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import { extract, type Model, writeModel } from '../../onnx/index.js';
import { type Component, componentsOf } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor, openSession, type Session, type Tensor, type Tensors } from '../../runtime/index.js';
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

/** By component. */
export interface Information {
  /** Mean squared gradient of each weight: the diagonal of the empirical Fisher matrix, a picture a sample. */
  readonly fisher: ReadonlyMap<string, Float64Array>;
  /** Trace of the layer's block of the Hessian, by its number of weights. */
  readonly trace: ReadonlyMap<string, number>;
}

const PICTURES = 32;
/** How far weights move for a difference of gradients, by their root mean square. */
const STEP = 0.01;
const SESSION = { threads: 1 } as const;

/** Slopes of the loss at what the model says: -log p of the right class among all, and of the objectness. */
const lossSlopes = (
  detector: DetectorSpec,
  space: ClassSpace,
  outputs: Tensors,
  wanted: readonly number[],
  truths: readonly number[],
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
    return combined([
      ...classes.map((slopes, id) => [(p[id] ?? 0) - (id === truths[i] ? 1 : 0), slopes] as const),
      [1 / (1 + Math.exp(-objectness)) - 1, rows.hasObjectness ? objectnessSlope(rows, raw, row) : []],
    ]);
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

  /** Gradients of the loss whose slopes are taken at these weights, by weight. */
  async gradients(
    feed: Tensors,
    weights: Readonly<Record<string, Tensor>>,
    slopesAt: (outputs: Tensors) => readonly Slope[],
  ): Promise<ReadonlyMap<string, Float32Array>> {
    const slopes = slopesAt(await this.#forward.run({ ...feed, ...weights }));
    const seeds = [...this.#seeds].map(([output, { input, dims }]) => {
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      for (const slope of slopes) {
        if (slope.output === output) data[slope.element] = (data[slope.element] ?? 0) + slope.weight;
      }
      return [input, floatTensor(dims, data)] as const;
    });
    const made = await this.#whole.run({ ...feed, ...weights, ...Object.fromEntries(seeds) });
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

const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));

/**
 * Information of the loss over some pictures: minus the log of the right class among all classes and of the objectness, for every
 * object that the model found. The Hessian's traces are Hutchinson's, with one random sign a weight and picture, from central
 * differences of gradients; layers are moved all at once: what is between two layers falls out in the mean (HAWQ-V2, Dong 2020). Blocks
 * the thread while the model runs.
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
  const plain = new Map(components.map((each) => [each.weight, floatsOf(model, each.weight)] as const));
  const tensorsAt = (shift: number, signs: ReadonlyMap<string, Int8Array>): Record<string, Tensor> =>
    Object.fromEntries(
      components.map(({ weight, weightDims }) => {
        const own = plain.get(weight) ?? new Float32Array(0);
        const size = shift * STEP * rootMeanSquare(own);
        const random = signs.get(weight);
        return [
          weight,
          floatTensor(
            weightDims,
            shift === 0 ? own : own.map((value, i) => value + size * (random?.[i] ?? 0)),
          ),
        ];
      }),
    );
  const fisher = new Map(
    components.map(({ name, weightBytes }) => [name, new Float64Array(weightBytes / 4)]),
  );
  const trace = new Map(components.map(({ name }) => [name, 0]));
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
      const truths = picture.rows.map((_, j) => options.objects[(starts[at] ?? 0) + j]?.truth ?? 0);
      const signs = new Map(
        components.map(({ weight, weightBytes }) => [
          weight,
          Int8Array.from({ length: weightBytes / 4 }, () => (random() < 0.5 ? -1 : 1)),
        ]),
      );
      const gradientsAt = (shift: number): Promise<ReadonlyMap<string, Float32Array>> =>
        losses.gradients(look.feed, tensorsAt(shift, signs), (said) =>
          lossSlopes(detector, space, said, picture.rows, truths),
        );
      const here = await gradientsAt(0);
      const [ahead, behind] = [await gradientsAt(1), await gradientsAt(-1)];
      for (const { name, weight } of components) {
        const own = fisher.get(name);
        const [g, a, b, sign] = [here.get(weight), ahead.get(weight), behind.get(weight), signs.get(weight)];
        if (own === undefined || g === undefined || a === undefined || b === undefined) continue;
        const size = STEP * rootMeanSquare(plain.get(weight) ?? new Float32Array(0));
        let sum = 0;
        for (let j = 0; j < own.length; j++) {
          own[j] = (own[j] ?? 0) + (g[j] ?? 0) ** 2 / count;
          sum += ((a[j] ?? 0) - (b[j] ?? 0)) * (sign?.[j] ?? 0);
        }
        if (size > 0) trace.set(name, (trace.get(name) ?? 0) + sum / (2 * size) / own.length / count);
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
  /** Average trace times the squared error; never negative. */
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
  const fisher = information.fisher.get(component.name);
  const trace = Math.max(0, information.trace.get(component.name) ?? 0);
  const error = (i: number): number => ((rounded?.[i] ?? 0) - (plain?.[i] ?? 0)) ** 2;
  const count = plain?.length ?? 0;
  return {
    fisher: sumByChannel(component, count, (i) => ((fisher?.[i] ?? 0) * error(i)) / 2),
    hawq: sumByChannel(component, count, (i) => trace * error(i)),
  };
};
