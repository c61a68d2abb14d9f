// Everything that a run has learned so far, and its change by one step's gradients.
import { BitlaneError } from '../../errors.js';
import type { Parameter, ParameterKind, TrainingGraph } from '../types.js';
import {
  adamwStep,
  type AdamwOptions,
  channelSizes,
  clippingScale,
  decayAt,
  globalNorm,
  moveAverage,
  rowSizes,
  type SgdOptions,
  sgdStep,
} from './optimizer.js';
import { rateAt, type Schedule } from './schedule.js';

/** What differs between kinds of parameters. */
export interface Group {
  /** Times the schedule's rate (default 1). */
  readonly rate?: number;
  /** Default: the optimizer's for weights, 0 for all else. */
  readonly weightDecay?: number;
}

export type OptimizerOptions = (
  ({ readonly kind: 'sgd' } & SgdOptions) | ({ readonly kind: 'adamw' } & AdamwOptions)
) & {
  readonly schedule: Schedule;
  /** Of weights (default 0). */
  readonly weightDecay?: number;
  /**
   * With AdamW: rates are shares of how large each output channel of a weight, each bias and each step size was at the start, and not
   * steps in their own unit (default false).
   */
  readonly relative?: boolean;
  readonly groups?: Partial<Record<ParameterKind, Group>>;
  /** Gradients are scaled down to this norm, all together (default: never). */
  readonly clipNorm?: number;
  /** The average of the weights over the last steps; none is kept where it is left out. */
  readonly average?: { readonly decay: number; readonly rampSteps?: number };
};

/** One tensor of the state. */
export interface Slot {
  readonly name: string;
  readonly kind: ParameterKind;
  readonly value: Float32Array;
  /** SGD's velocity, or Adam's first moment. */
  readonly first: Float32Array;
  /** Adam's second moment; empty for SGD. */
  readonly second: Float32Array;
  /** Empty where no average is kept. */
  readonly average: Float32Array;
  readonly gradientFactors: Float32Array | undefined;
  readonly least: Float32Array | undefined;
  /** What rates are shares of, by row (of one element each where channels are no rows); `undefined` where they are not. */
  readonly sizes: Float32Array | undefined;
}

/** A running statistic, which the graph itself moves. */
export interface StatisticSlot {
  readonly name: string;
  readonly value: Float32Array;
  /** Goes with the averaged weights; empty where no average is kept. */
  readonly average: Float32Array;
}

/** The state of a run. Changed in place by {@link applyGradients}. */
export interface TrainingState {
  /** Steps done. */
  step: number;
  readonly slots: readonly Slot[];
  readonly statistics: readonly StatisticSlot[];
}

/** No parameter counts as smaller; a bias may begin at zero, a step size is small by nature. */
const LEAST_SIZE: Readonly<Record<ParameterKind, number>> = {
  weight: 1e-3,
  bias: 1e-2,
  norm: 1e-2,
  'step-size': 1e-9,
};

/** Rows of a parameter that differ in size: output channels, step sizes. */
const rowsOf = ({ kind, dims }: Parameter): number =>
  kind === 'step-size' || (kind === 'weight' && dims.length > 1) ? (dims[0] ?? 1) : 1;

const sizesOf = (parameter: Parameter): Float32Array => {
  const { kind, dims, value, output } = parameter;
  return output === undefined
    ? rowSizes(value, rowsOf(parameter), LEAST_SIZE[kind])
    : channelSizes(value, dims, output, LEAST_SIZE[kind]);
};

/** The state before the first step. */
export const startState = (graph: TrainingGraph, options: OptimizerOptions): TrainingState => ({
  step: 0,
  slots: graph.parameters.map((parameter) => {
    const { name, kind, value, gradientFactors, least } = parameter;
    const sizes = options.relative === true ? sizesOf(parameter) : undefined;
    return {
      name,
      kind,
      sizes,
      value: value.slice(),
      first: new Float32Array(value.length),
      second: new Float32Array(options.kind === 'adamw' ? value.length : 0),
      average: options.average === undefined ? new Float32Array() : value.slice(),
      gradientFactors,
      least,
    };
  }),
  statistics: graph.statistics.map(({ name, value }) => ({
    name,
    value: value.slice(),
    average: options.average === undefined ? new Float32Array() : value.slice(),
  })),
});

const decayOf = (kind: ParameterKind, { weightDecay = 0, groups = {} }: OptimizerOptions): number =>
  groups[kind]?.weightDecay ?? (kind === 'weight' ? weightDecay : 0);

const keepAbove = (value: Float32Array, least: Float32Array): void => {
  for (let i = 0; i < value.length; i++) value[i] = Math.max(value[i] ?? 0, least[i] ?? 0);
};

/** Takes over the statistics that a step gave, after {@link applyGradients}. */
export const takeStatistics = (
  state: TrainingState,
  values: readonly Float32Array[],
  { average }: OptimizerOptions,
): void => {
  const decay = average === undefined ? 0 : decayAt(state.step, average.decay, average.rampSteps ?? 0);
  state.statistics.forEach((slot, i) => {
    slot.value.set(values[i] ?? slot.value);
    if (average !== undefined) moveAverage(slot.average, slot.value, decay);
  });
};

/**
 * One step of the optimizer.
 *
 * @param gradients one for each slot, in their order; those with gradient factors are scaled in place
 * @throws BitlaneError `BAD_MODEL` where a gradient is not finite: the state is then as it was
 */
export const applyGradients = (
  state: TrainingState,
  gradients: readonly Float32Array[],
  options: OptimizerOptions,
): { readonly norm: number; readonly rate: number } => {
  state.slots.forEach(({ gradientFactors }, i) => {
    const gradient = gradients[i];
    if (gradientFactors === undefined || gradient === undefined) return;
    for (let k = 0; k < gradient.length; k++) gradient[k] = (gradient[k] ?? 0) * (gradientFactors[k] ?? 1);
  });
  const norm = globalNorm(gradients);
  if (!Number.isFinite(norm)) {
    const index = gradients.findIndex((gradient) => gradient.some((value) => !Number.isFinite(value)));
    const { name } = state.slots[index] ?? { name: 'the parameters' };
    throw new BitlaneError(
      'BAD_MODEL',
      `the gradient of ${name} is not finite in step ${state.step + 1}: try a lower learning rate`,
    );
  }
  const rate = rateAt(state.step, options.schedule);
  const gradientScale = clippingScale(norm, options.clipNorm);
  state.step += 1;
  const { average } = options;
  const decay = average === undefined ? 0 : decayAt(state.step, average.decay, average.rampSteps ?? 0);
  state.slots.forEach((slot, i) => {
    const gradient = gradients[i];
    if (gradient?.length !== slot.value.length) {
      throw new BitlaneError('INTERNAL', `the gradient of ${slot.name} does not have its shape`);
    }
    const update = {
      rate: rate * (options.groups?.[slot.kind]?.rate ?? 1),
      gradientScale,
      weightDecay: decayOf(slot.kind, options),
    };
    switch (options.kind) {
      case 'sgd':
        sgdStep(slot.value, gradient, slot.first, update, options);
        break;
      case 'adamw':
        adamwStep(slot.value, gradient, slot.first, slot.second, state.step, update, options, slot.sizes);
        break;
    }
    if (slot.least !== undefined) keepAbove(slot.value, slot.least);
    if (average !== undefined) moveAverage(slot.average, slot.value, decay);
  });
  return { norm, rate };
};
