// Balancing: the channels of an activation are brought to one range before int8 convolutions, whose weights take the factors in.
import { type Model, type Node, tensorOf, type Value } from '../onnx/index.js';
import type { Range } from './calibration.js';
import { type ChannelRanges, channelsOf } from './channels.js';
import { constantFloats } from './components.js';

/** A multiplication by one constant a channel. */
export interface Balance {
  /** What is multiplied. */
  readonly source: Value;
  readonly factors: Float32Array;
}

/** The multiplication that `value` comes from, where each channel has a factor of its own; `undefined` for any other value. */
export const balanceOf = (value: Value): Balance | undefined => {
  const node = value.producer;
  if (node?.is('Mul') !== true) return undefined;
  const [source, factor] = [node.input(0), node.input(1)];
  const tensor = constantFloats(factor);
  const channels = channelsOf(value);
  if (source === undefined || tensor === undefined || channels === undefined) return undefined;
  const [one, own, ...rest] = tensor.dims;
  const isByChannel = tensor.dims.length === 4 && one === 1 && own === channels && rest.every((d) => d === 1);
  return isByChannel && channelsOf(source) === channels ? { source, factors: tensor.data } : undefined;
};

/** Sum of the squares of the weights that take each input channel. */
const sensitivities = (takers: readonly Node[], channels: number): Float64Array => {
  const sums = new Float64Array(channels);
  for (const node of takers) {
    forEachWeight(node, channels, (weight, channel) => {
      sums[channel] = (sums[channel] ?? 0) + weight * weight;
    });
  }
  return sums;
};

const forEachWeight = (
  node: Node,
  channels: number,
  visit: (weight: number, channel: number, index: number) => void,
): void => {
  const tensor = constantFloats(node.input(1));
  if (tensor === undefined) return;
  const [outputs = 1, inputs = 1] = tensor.dims;
  const area = tensor.data.length / outputs / inputs;
  const groups = channels / inputs;
  tensor.data.forEach((weight, index) => {
    const row = Math.floor(index / (inputs * area));
    const group = Math.floor((row * groups) / outputs);
    visit(weight, group * inputs + (Math.floor(index / area) % inputs), index);
  });
};

/** No channel gets a scale finer than this part of the coarsest. */
const MOST_RATIO = 256;

/** How much of the range may lie below zero, as parts of what lies above. */
const BELOW = Array.from({ length: 33 }, (_, k) => 2 ** (-k / 4));

/**
 * What each channel is divided by so that all fit `range`, which reaches to 1 or -1: the way with the least squared error of the
 * layers' outputs.
 */
export const balancedRange = (
  ranges: readonly Range[],
  weights: Float64Array,
): { readonly divisors: Float32Array; readonly range: Range } => {
  let best: { divisors: Float32Array; range: Range } | undefined;
  let bestCost = Infinity;
  const isNegative = ranges.every(({ min, max }) => max <= 0 && min < 0);
  const isPositive = ranges.every(({ min }) => min >= 0);
  const choices: Range[] = isPositive
    ? [{ min: 0, max: 1 }]
    : isNegative
      ? [{ min: -1, max: 0 }]
      : BELOW.flatMap((low) => [
          { min: -low, max: 1 },
          { min: -1, max: low },
        ]);
  for (const range of choices) {
    const divisors = Float32Array.from(ranges, ({ min, max }) => {
      const wanted = Math.max(
        range.max > 0 ? Math.max(0, max) / range.max : 0,
        range.min < 0 ? Math.min(0, min) / range.min : 0,
      );
      return wanted;
    });
    // A channel that the calibration data leave silent may speak later.
    const least = divisors.reduce((most, divisor) => Math.max(most, divisor), 0) / MOST_RATIO;
    divisors.forEach((divisor, k) => (divisors[k] = least > 0 ? Math.max(divisor, least) : 1));
    let cost = 0;
    divisors.forEach((divisor, k) => (cost += (weights[k] ?? 0) * (divisor * (range.max - range.min)) ** 2));
    if (cost < bestCost) [best, bestCost] = [{ divisors, range }, cost];
  }
  return best ?? { divisors: new Float32Array(ranges.length).fill(1), range: { min: 0, max: 1 } };
};

/**
 * Divides each channel of the given values by what brings it to the common range, and multiplies the weights that take it: the
 * model computes the same. `rewriteModel` makes the division part of the quantization, which then has a scale a channel.
 *
 * @param model changed in place
 * @param sites values with the convolutions that are to take them balanced (`channelSites`)
 * @returns the ranges of the balanced values, by name
 */
export const balanceInputs = (
  model: Model,
  sites: ReadonlyMap<Value, readonly Node[]>,
  ranges: ChannelRanges,
): Map<string, Range> => {
  const { graph } = model;
  const made = new Map<string, Range>();
  for (const [value, takers] of sites) {
    const channels = channelsOf(value);
    const own = ranges.get(value.name);
    if (channels === undefined || own?.length !== channels || value.producer === undefined) continue;
    const { divisors, range } = balancedRange(own, sensitivities(takers, channels));
    const factors = divisors.map((divisor) => 1 / divisor);
    const name = graph.uniqueName(`${value.name}.balanced`);
    const factor = graph.addInitializer(`${name}.factors`, tensorOf('float32', [1, channels, 1, 1], factors));
    const balanced = graph
      .addNode({ opType: 'Mul', inputs: [value, factor], outputs: [name] }, { after: value.producer })
      .output();
    if (balanced === undefined) continue;
    balanced.type = 'float32';
    balanced.shape = value.shape;
    for (const node of takers) {
      const tensor = constantFloats(node.input(1));
      if (tensor === undefined) continue;
      const data = new Float32Array(tensor.data.length);
      forEachWeight(node, channels, (weight, channel, index) => {
        data[index] = weight / (factors[channel] ?? 1);
      });
      const weight = `${node.input(1)?.name ?? ''}.balanced`;
      node.setInput(0, balanced);
      node.setInput(1, graph.addInitializer(weight, tensorOf('float32', tensor.dims, data)));
    }
    made.set(name, range);
  }
  return made;
};
