// Training that starts where rounding ended: with the codes of a model that was rounded well, and weights that can leave them.
import { BitlaneError } from '../../errors.js';
import { cloneModel, type Model, tensorOf } from '../../onnx/index.js';
import {
  arranged,
  channelBits,
  type ChannelGrid,
  type Component,
  componentNodes,
  type WeightCodes,
  weightRows,
} from '../../quantization/index.js';
import { fillingScales, mostOf, stepSizeName, type WeightQuantization } from './place.js';
import { type ChannelLevels, learnedOf, levelsOfBits } from './weights.js';

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
  const { method = 'lsq' } = quantization;
  if (method === 'dorefa') {
    throw new BitlaneError(
      'BAD_CONFIG',
      'dorefa bends weights before it rounds them: it cannot start from codes',
    );
  }
  const stepSizes = new Map<string, Float32Array>();
  const moved = withChannels(model, quantization, ({ name }, { rows, levels: { bits } }) => {
    const rounded = weights.get(name);
    if (rounded === undefined) return undefined;
    const { codes, grids } = rounded;
    if (codes.length !== rows.length || grids.length !== bits.length) {
      throw new BitlaneError('INTERNAL', `the codes of component ${name} do not have its shape`);
    }
    const stepOf = ({ scale }: ChannelGrid, channel: number): number => {
      const width = bits[channel] ?? 32;
      return width === 32 ? 1 : learnedOf(method, scale, width);
    };
    stepSizes.set(stepSizeName(name), Float32Array.from(grids, stepOf));
    return (row, channel) => {
      const from = channel * row.length;
      moveWithin(row, codes.subarray(from, from + row.length), grids[channel]?.scale ?? Number.NaN);
    };
  });
  return { model: moved, quantization: { ...quantization, stepSizes } };
};

/** The rows of a component, one an output channel, and the codes that they may have. */
interface Rows {
  readonly rows: Float32Array;
  readonly levels: ChannelLevels;
}

/**
 * A copy of the model in which every channel of fewer than 32 bits is what `change` makes of its row, in place. Rows are read from the
 * model as it was: layers may share a weight.
 *
 * @param begin called with the rows of each component before they change; undefined leaves it as it is
 */
const withChannels = (
  model: Model,
  { allocation, reduceRange = false }: WeightQuantization,
  begin: (component: Component, rows: Rows) => ((row: Float32Array, channel: number) => void) | undefined,
): Model => {
  const copy = cloneModel(model);
  const { graph } = copy;
  for (const component of componentNodes(copy).values()) {
    const { name, outputChannels: channels, axis, weightDims } = component;
    const value = graph.value(component.weight);
    const entry = allocation.components[name];
    if (value === undefined || entry === undefined) continue;
    const levels = levelsOfBits(channelBits(component, entry), reduceRange);
    const rows = weightRows(component, model.graph.value(component.weight)).slice();
    const change = begin(component, { rows, levels });
    if (change === undefined) continue;
    const length = rows.length / channels;
    levels.bits.forEach((width, channel) => {
      if (width !== 32) change(rows.subarray(channel * length, (channel + 1) * length), channel);
    });
    graph.setTensor(value, tensorOf('float32', weightDims, arranged(rows, channels, axis)));
  }
  return copy;
};

/** What of a channel's range tanh is let to bend: its greatest weight is where the weights of a network that normalizes may be. */
const BENT = Math.tanh(1);

/**
 * Where `dorefa` starts: with weights that tanh bends to what they were, so that the first forward pass is that of plain rounding, the
 * greatest weight of each channel on its highest code. Layers whose normalizations are folded in have weights of any size; bent as they are, large ones would be alike.
 *
 * @param model the FP32 model
 * @param quantization with the method `dorefa`
 * @returns the model, and the quantization with the step sizes of its weights as they were
 */
export const startUnbent = (model: Model, quantization: WeightQuantization): RoundedStart => {
  const stepSizes = new Map<string, Float32Array>();
  const unbent = withChannels(model, quantization, ({ name }, { rows, levels }) => {
    stepSizes.set(stepSizeName(name), Float32Array.from(fillingScales(rows, levels)));
    return (row) => {
      const most = mostOf(row);
      if (most > 0) row.forEach((weight, i) => (row[i] = Math.atanh((BENT * weight) / most)));
    };
  });
  return { model: unbent, quantization: { ...quantization, stepSizes } };
};

/**
 * The weights that `dorefa` has learned, as the network has them: bent, and in the range of their grid. Channels of 32 bits stay.
 *
 * @param trained with learned weights ({@link startUnbent})
 * @param quantization with the step sizes that they were trained with
 */
export const bentModel = (trained: Model, quantization: WeightQuantization): Model =>
  withChannels(trained, quantization, ({ name }, { levels: { high } }) => {
    const scales = quantization.stepSizes?.get(stepSizeName(name));
    return (row, channel) => {
      const most = Math.tanh(mostOf(row));
      const scale = scales?.[channel];
      if (most === 0 || scale === undefined) return;
      const factor = (scale * (high[channel] ?? 1)) / most;
      row.forEach((weight, i) => (row[i] = factor * Math.tanh(weight)));
    };
  });
