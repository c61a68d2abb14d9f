// Training that starts where rounding ended: with the codes of a model that was rounded well, and weights that can leave them.
import { BitlaneError } from '../../errors.js';
import { cloneModel, type Model, tensorOf } from '../../onnx/index.js';
import {
  arranged,
  channelBits,
  componentNodes,
  type WeightCodes,
  weightRows,
} from '../../quantization/index.js';
import { stepSizeName, type WeightQuantization } from './place.js';
import { learnedOf } from './weights.js';

/** How far from its code a weight may lie, in steps: within the half that rounds back to it. */
const WITHIN = 0.45;

export interface RoundedStart {
  /** With weights that fall on the given codes. */
  readonly model: Model;
  readonly quantization: WeightQuantization;
}

/** The weights of a channel, each as near to what it was as its code lets it be. */
const moveWithin = (row: Float32Array, codes: Int8Array, scale: number): void => {
  for (let i = 0; i < row.length; i++) {
    const centre = (codes[i] ?? 0) * scale;
    const slack = WITHIN * scale;
    row[i] = Math.min(centre + slack, Math.max(centre - slack, row[i] ?? 0));
  }
};

/**
 * Where training starts so that its first forward pass is the rounded model's. Weights stay as near to their FP32 values as their codes
 * allow: one that was nearly rounded the other way still nearly is.
 *
 * @param model the FP32 model that was rounded, with the biases that go with the codes
 * @param weights the codes of every component that is rounded
 * @param quantization what is trained under
 * @returns the model, and the quantization with the step sizes of the codes
 * @throws BitlaneError `BAD_CONFIG` for a method whose weights do not lie on their grid as they are (`dorefa`); `INTERNAL` for codes
 *   that are not this model's
 */
export const startFromCodes = (
  model: Model,
  weights: ReadonlyMap<string, WeightCodes>,
  quantization: WeightQuantization,
): RoundedStart => {
  const { allocation, method = 'lsq' } = quantization;
  if (method === 'dorefa') {
    throw new BitlaneError(
      'BAD_CONFIG',
      'dorefa bends weights before it rounds them: it cannot start from codes',
    );
  }
  const copy = cloneModel(model);
  const { graph } = copy;
  const stepSizes = new Map<string, Float32Array>();
  for (const component of componentNodes(copy).values()) {
    const rounded = weights.get(component.name);
    const value = graph.value(component.weight);
    const entry = allocation.components[component.name];
    if (rounded === undefined || value === undefined || entry === undefined) continue;
    const bits = channelBits(component, entry);
    const { outputChannels: channels, axis, weightDims, name } = component;
    const rows = weightRows(component, value).slice();
    const length = rows.length / channels;
    if (rounded.codes.length !== rows.length || rounded.grids.length !== channels) {
      throw new BitlaneError('INTERNAL', `the codes of component ${name} do not have its shape`);
    }
    rounded.grids.forEach(({ scale }, channel) => {
      if (bits[channel] === 32) return;
      const [from, to] = [channel * length, (channel + 1) * length];
      moveWithin(rows.subarray(from, to), rounded.codes.subarray(from, to), scale);
    });
    graph.setTensor(value, tensorOf('float32', weightDims, arranged(rows, channels, axis)));
    stepSizes.set(
      stepSizeName(name),
      Float32Array.from(rounded.grids, ({ scale }, channel) => {
        const width = bits[channel] ?? 32;
        return width === 32 ? 1 : learnedOf(method, scale, width);
      }),
    );
  }
  return { model: copy, quantization: { ...quantization, stepSizes } };
};
