// Fake quantization of the weights of a whole model, as an allocation says.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import { tensorOf, type Model, type Value } from '../../onnx/index.js';
import {
  type Allocation,
  channelBits,
  checkAllocation,
  type Component,
  componentNodes,
  weightGrids,
  weightRows,
} from '../../quantization/index.js';
import type { Parameter } from '../types.js';
import {
  type ChannelLevels,
  type FakeWeights,
  fakeWeights,
  learnedOf,
  levelsOfBits,
  type WeightMethod,
} from './weights.js';

export interface WeightQuantization {
  readonly allocation: Allocation;
  /** Default `lsq`. */
  readonly method?: WeightMethod;
  /** 7 bits where 8 are asked for (default false). */
  readonly reduceRange?: boolean;
  /** How the first scales are found (default `mse`). */
  readonly grids?: 'min-max' | 'mse';
  /** What is known of the grids already, as {@link PlacedWeights.stepSizes} gives it; found where it is missing. */
  readonly stepSizes?: ReadonlyMap<string, Float32Array>;
}

/** The name of what is learned for a component's grids. */
export const stepSizeName = (component: string): string => `${component}/step-size`;

export interface PlacedWeights {
  readonly parameters: readonly Parameter[];
  readonly straightThrough: readonly Value[];
  readonly fixed: readonly Value[];
  readonly components: readonly PlacedComponent[];
  /** What each component's grids start from, by {@link stepSizeName}, trained or not. */
  readonly stepSizes: ReadonlyMap<string, Float32Array>;
}

export interface PlacedComponent extends FakeWeights {
  readonly component: Component;
  readonly levels: ChannelLevels;
  /** The initializer of what is learned for its grids, and what is in it. */
  readonly learned: string;
  readonly start: Float32Array;
}

const wrongSize = ({ name, outputChannels }: Component, size: number): BitlaneError =>
  new BitlaneError(
    'BAD_CONFIG',
    `component ${name} has ${outputChannels} output channels and step sizes are given for ${size}`,
  );

/** A step size never gets smaller than this part of what it was: it stays positive. */
const LEAST_PART = 2 ** -7;

/** The greatest magnitude. */
export const mostOf = (row: Float32Array): number =>
  row.reduce((top, weight) => Math.max(top, Math.abs(weight)), 0);

/** Scales whose highest code is the greatest weight of the channel: tanh fills whatever range there is. 1 for channels that have none. */
export const fillingScales = (rows: Float32Array, { high }: ChannelLevels): number[] => {
  const length = rows.length / high.length;
  return high.map((code, channel) => {
    const most = mostOf(rows.subarray(channel * length, (channel + 1) * length));
    return code === 0 || most === 0 ? 1 : most / code;
  });
};

/** Scales that fit the weights as they are; 1 for channels that have none. */
const firstScales = (
  rows: Float32Array,
  component: Component,
  levels: ChannelLevels,
  { method, grids = 'mse', reduceRange = false }: WeightQuantization,
): number[] =>
  method === 'dorefa'
    ? fillingScales(rows, levels)
    : weightGrids(
        rows,
        component.outputChannels,
        levels.bits.map((width) => (width === 32 ? 8 : width)),
        { method: grids, reduceRange },
      ).map(({ scale }, channel) => (levels.bits[channel] === 32 ? 1 : scale));

/** LSQ's gradient scale, 1 / sqrt(weights of the channel x highest code). */
const lsqFactors = ({ high }: ChannelLevels, length: number): Float32Array =>
  Float32Array.from(high, (code) => 1 / Math.sqrt(length * Math.max(1, code)));

/**
 * Puts fake quantization between the weights of a model and its layers, in place.
 *
 * @throws BitlaneError `BAD_CONFIG` for an allocation that does not fit
 */
export const addFakeWeights = (model: Model, ops: Ops, options: WeightQuantization): PlacedWeights => {
  const { method = 'lsq', reduceRange = false, allocation } = options;
  const nodes = [...componentNodes(model)];
  checkAllocation(
    allocation,
    nodes.map(([, component]) => component),
  );
  const parameters: Parameter[] = [];
  const components = nodes.flatMap(([node, component]): PlacedComponent[] => {
    const entry = allocation.components[component.name];
    const weight = node.input(1);
    if (entry === undefined || weight === undefined) return [];
    const bits = channelBits(component, entry);
    if (bits.every((width) => width === 32)) return [];
    const levels = levelsOfBits(bits, reduceRange);
    const rows = weightRows(component, weight);
    const value =
      options.stepSizes?.get(stepSizeName(component.name)) ??
      Float32Array.from(firstScales(rows, component, levels, options), (scale, channel) =>
        learnedOf(method, scale, bits[channel] ?? 32),
      );
    if (value.length !== component.outputChannels) throw wrongSize(component, value.length);
    const tensor = tensorOf('float32', [value.length], value);
    const learned = model.graph.addInitializer(stepSizeName(component.name), tensor);
    if (learned.name !== stepSizeName(component.name)) {
      throw new BitlaneError(
        'BAD_MODEL',
        `the model has a value named ${stepSizeName(component.name)} already`,
      );
    }
    ops.scope = `${component.name}/fake`;
    const fake = fakeWeights(ops, weight, { method, levels, axis: component.axis, learned });
    node.setInput(1, fake.weights);
    if (method !== 'fixed' && method !== 'dorefa') {
      parameters.push({
        name: learned.name,
        kind: 'step-size',
        dims: dimsOf(learned),
        value: value.slice(),
        ...(method === 'lsq' && {
          gradientFactors: lsqFactors(levels, rows.length / value.length),
          least: value.map((scale) => scale * LEAST_PART),
        }),
      });
    }
    return [{ ...fake, component, levels, learned: learned.name, start: value }];
  });
  return {
    parameters,
    straightThrough: components.flatMap(({ straightThrough }) => straightThrough),
    fixed: components.flatMap(({ fixed }) => fixed),
    components,
    stepSizes: new Map(components.map(({ learned, start }) => [learned, start])),
  };
};
