// Training that begins with weights as they were rounded: the first step computes with the very codes that rounding found.
import { cloneModel, type Model, tensorOf } from '../../onnx/index.js';
import { type Allocation, channelBits, componentNodes, type WeightCodes } from '../../quantization/index.js';
import { stepSizeName } from './place.js';

export interface RoundedStart {
  /** With each rounded weight in the middle of its code. */
  readonly model: Model;
  readonly stepSizes: ReadonlyMap<string, Float32Array>;
}

/**
 * A model and step sizes from which fake quantization gives `weights` again. Components whose output channels do not come first, and
 * channels of 32 bits, stay as they are.
 *
 * @param model from `prepareModel`; it is not changed
 * @param weights by the name of the component
 */
export const startFromCodes = (
  model: Model,
  { components }: Allocation,
  weights: ReadonlyMap<string, WeightCodes>,
): RoundedStart => {
  const copy = cloneModel(model);
  const stepSizes = new Map<string, Float32Array>();
  for (const component of componentNodes(copy).values()) {
    const rounded = weights.get(component.name);
    const value = copy.graph.value(component.weight);
    const tensor = value?.tensor;
    const entry = components[component.name];
    if (rounded === undefined || entry === undefined || component.axis !== 0) continue;
    if (value === undefined || tensor?.type !== 'float32') continue;
    const { codes, grids } = rounded;
    const bits = channelBits(component, entry);
    const data = tensor.data.slice();
    const length = data.length / grids.length;
    for (const [channel, { scale }] of grids.entries()) {
      if (bits[channel] === 32) continue;
      for (let at = channel * length; at < (channel + 1) * length; at += 1)
        data[at] = (codes[at] ?? 0) * scale;
    }
    copy.graph.setTensor(value, tensorOf('float32', tensor.dims, data));
    stepSizes.set(
      stepSizeName(component.name),
      Float32Array.from(grids, ({ scale }) => scale),
    );
  }
  return { model: copy, stepSizes };
};
