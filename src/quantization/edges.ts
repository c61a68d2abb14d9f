// Layers that keep more bits than the rest: few weights, and much is lost with each of their bits.
import { downstream, type Model, upstream } from '../onnx/index.js';
import { allocate, type Allocation, type BitWidth, type Execution } from './allocation.js';
import { type Component, componentNodes } from './components.js';
import { weightRows } from './packing.js';

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

/** One bit-width for all components, but 8 bits or more for first and last ones. */
export const edgedAllocation = (model: Model, bits: BitWidth, execution: Execution): Allocation => {
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  return allocate([...componentNodes(model).values()], ({ name }) => ({
    bits: bits < FINE_BITS && edges.has(name) ? FINE_BITS : bits,
    execution,
  }));
};

const weightsOf = ({ weightBytes }: Component): number => weightBytes / 4;

/** Energy of each filter's weights beside the mean of its layer. */
const filterEnergies = (model: Model, component: Component): number[] => {
  const rows = weightRows(component, model.graph.value(component.weight));
  const length = rows.length / component.outputChannels;
  const energies = Array.from({ length: component.outputChannels }, (_, channel) =>
    rows.subarray(channel * length, (channel + 1) * length).reduce((sum, weight) => sum + weight * weight, 0),
  );
  const mean = energies.reduce((sum, energy) => sum + energy, 0) / energies.length;
  return energies.map((energy) => (mean > 0 ? energy / mean : 0));
};

/**
 * Four bits a weight on average, first and last layers left out, which keep 8: depthwise layers have few weights and no others in
 * the same filter to make up for them, so they keep 8 too, and the weakest filters of the other layers pay for that with 2.
 */
export const fourBitAllocation = (model: Model, execution: Execution): Allocation => {
  const components = [...componentNodes(model).values()];
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  const inner = components.filter(({ name }) => !edges.has(name));
  const isDepthwise = ({ groups }: Component): boolean => groups > 1;
  const owed = inner.filter(isDepthwise).reduce((sum, component) => sum + 4 * weightsOf(component), 0);
  const filters = inner
    .filter((component) => !isDepthwise(component))
    .flatMap((component) =>
      filterEnergies(model, component).map((energy, channel) => ({ component, channel, energy })),
    )
    .sort((a, b) => a.energy - b.energy);
  const weak = new Map<string, Set<number>>();
  let paid = 0;
  for (const { component, channel } of filters) {
    if (paid >= owed) break;
    paid += (2 * weightsOf(component)) / component.outputChannels;
    weak.set(component.name, (weak.get(component.name) ?? new Set()).add(channel));
  }
  return allocate(components, (component) => {
    const two = weak.get(component.name);
    if (edges.has(component.name) || isDepthwise(component)) return { bits: FINE_BITS, execution };
    if (two === undefined) return { bits: 4, execution };
    return {
      bits: Array.from({ length: component.outputChannels }, (_, channel) => (two.has(channel) ? 2 : 4)),
      execution,
    };
  });
};
