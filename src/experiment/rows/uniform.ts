// The same bits everywhere: first and last layers have 8 at least, as is usual; 3 bits are half 2 and half 4, filter by filter.
import type { Model } from '../../onnx/index.js';
import {
  allocate,
  type Allocation,
  channelBits,
  componentsOf,
  edgedAllocation,
  type Execution,
} from '../../quantization/index.js';
import type { UniformBits } from './row.js';

/** @param model prepared */
export const uniformBits = (model: Model, bits: UniformBits, execution: Execution): Allocation => {
  if (bits !== 3) return edgedAllocation(model, bits, execution);
  const whole = edgedAllocation(model, 4, execution);
  return allocate(componentsOf(model), (component) => {
    const entry = whole.components[component.name];
    if (entry === undefined) return { bits: 4, execution };
    const widths = channelBits(component, entry);
    return widths.some((width) => width !== 4)
      ? entry
      : { bits: widths.map((_, channel) => (channel % 2 === 0 ? 4 : 2)), execution };
  });
};
