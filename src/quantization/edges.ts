// Layers that keep more bits than the rest: few weights, and much is lost with each of their bits.
import { downstream, type Model, upstream } from '../onnx/index.js';
import { allocate, type Allocation, type BitWidth, type Execution } from './allocation.js';
import { type Component, componentNodes } from './components.js';
import { dequantizeChannels, quantizeChannels } from './grid.js';
import { weightRows } from './packing.js';
import { relativeError, weightGrids } from './weights.js';

/** Bits that those layers have at least. */
const FINE_BITS = 8;

/** Components that no other stands before, or none behind. */
export const edgesOf = (model: Model): Component[] => {
  const components = componentNodes(model);
  return [...components].flatMap(([node, component]) => {
    const isFirst = ![...upstream(node)].some((other) => components.has(other));
    const isLast = ![...downstream(node)].some((other) => components.has(other));
    return isFirst || isLast ? [component] : [];
  });
};

const isDepthwise = ({ groups }: Component): boolean => groups > 1;

/**
 * One bit-width for all components, but 8 bits or more for first and last ones, and for depthwise ones: those have few weights, and
 * no others in the same filter to make up for them.
 */
export const edgedAllocation = (model: Model, bits: BitWidth, execution: Execution): Allocation => {
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  return allocate([...componentNodes(model).values()], (component) => ({
    bits: bits < FINE_BITS && (edges.has(component.name) || isDepthwise(component)) ? FINE_BITS : bits,
    execution,
  }));
};

const weightsOf = ({ weightBytes }: Component): number => weightBytes / 4;

/** How much of each filter is lost in two bits. */
const lossesOf = (model: Model, component: Component): number[] => {
  const channels = component.outputChannels;
  const rows = weightRows(component, model.graph.value(component.weight));
  const grids = weightGrids(rows, channels, 2);
  const rounded = dequantizeChannels(quantizeChannels(rows, grids), grids);
  const length = rows.length / channels;
  return Array.from({ length: channels }, (_, channel) => {
    const [from, to] = [channel * length, (channel + 1) * length];
    return relativeError(rows.subarray(from, to), rounded.subarray(from, to));
  });
};

/**
 * Four bits a weight on average, first and last layers left out, which keep 8. Depthwise layers keep 8 too, and filters of the
 * largest layers, which have most to make up with, pay for that with 2.
 *
 * @param model from `prepareModel`
 */
export const fourBitAllocation = (model: Model, execution: Execution): Allocation => {
  const components = [...componentNodes(model).values()];
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  const inner = components.filter(({ name }) => !edges.has(name));
  let owed = inner.filter(isDepthwise).reduce((sum, component) => sum + 4 * weightsOf(component), 0);
  const two = new Map<string, Set<number>>();
  const payers = inner
    .filter((component) => !isDepthwise(component))
    .sort((a, b) => weightsOf(b) - weightsOf(a));
  for (const component of payers) {
    if (owed <= 0) break;
    const losses = lossesOf(model, component);
    const saved = (2 * weightsOf(component)) / component.outputChannels;
    const weakest = losses.map((_, channel) => channel).sort((a, b) => (losses[a] ?? 0) - (losses[b] ?? 0));
    const chosen = weakest.slice(0, Math.ceil(owed / saved));
    two.set(component.name, new Set(chosen));
    owed -= chosen.length * saved;
  }
  return allocate(components, (component) => {
    if (edges.has(component.name) || isDepthwise(component)) return { bits: FINE_BITS, execution };
    const few = two.get(component.name);
    if (few === undefined) return { bits: 4, execution };
    return {
      bits: Array.from({ length: component.outputChannels }, (_, channel) => (few.has(channel) ? 2 : 4)),
      execution,
    };
  });
};
