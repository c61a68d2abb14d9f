// Layers that keep more bits than the rest: few weights, and much is lost with each of their bits.
import { downstream, type Model, upstream } from '../onnx/index.js';
import { allocate, type Allocation, type BitWidth, type Execution } from './allocation.js';
import { type Component, componentNodes } from './components.js';

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
