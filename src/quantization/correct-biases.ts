// Bias correction over a whole model: what rounding does to the mean of each output channel, from the means of what layers see.
import { cloneModel, int, ints, intsTensor, type Model, tensorOf } from '../onnx/index.js';
import { type Allocation, allocationOf, channelBits } from './allocation.js';
import { ChannelMeans, correctedBias, outputShift } from './bias.js';
import { type Component, componentNodes, constantFloats } from './components.js';
import { dequantizeChannels } from './grid.js';
import { type WeightCodes, weightRows } from './packing.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';

/** Those that have a bias or could have one. */
const canHaveBias = ({ kind }: Component): boolean => kind !== 'MatMul';

/** Means of the channels of what each component takes, by the name of its input, over all feeds. */
const inputMeans = async (
  model: Model,
  components: readonly Component[],
  feeds: FeedSource,
  options: TapOptions,
): Promise<Map<string, Float64Array>> => {
  const copy = cloneModel(model);
  const { graph } = copy;
  const means = new Map<string, ChannelMeans>();
  const inputs = new Map<string, string>();
  const isNew = (model.opsets.get('') ?? 0) >= 18;
  for (const { input, kind, groups, weightDims, axis } of components) {
    const value = graph.value(input);
    if (value === undefined || [...inputs.values()].includes(input)) continue;
    const rank = value.shape?.length ?? weightDims.length;
    const axes = Array.from({ length: rank }, (_, i) => i).filter(
      (i) => i !== (kind === 'Conv' ? 1 : rank - 1),
    );
    const node = graph.addNode({
      opType: 'ReduceMean',
      inputs: isNew ? [value, graph.addInitializer('', intsTensor(axes))] : [value],
      attributes: { keepdims: int(0), ...(isNew ? {} : { axes: ints(axes) }) },
    });
    const output = node.output();
    if (output === undefined) continue;
    const channels = kind === 'Conv' ? (weightDims[1] ?? 0) * groups : (weightDims[1 - axis] ?? 0);
    output.type = 'float32';
    output.shape = [channels];
    inputs.set(output.name, input);
    means.set(output.name, new ChannelMeans(channels));
  }
  await tapValues(
    copy,
    [...inputs.keys()],
    feeds,
    (name, values) => means.get(name)?.observe(values, 1),
    options,
  );
  return new Map([...inputs].map(([name, input]) => [input, means.get(name)?.means() ?? new Float64Array()]));
};

/**
 * A copy of `model` with the biases that go with rounded weights (Nagel 2019): the mean of every output channel of a layer is again what
 * FP32 weights would give from the same input. At its edges a layer with padding sees less than the mean.
 *
 * @param model from `prepareModel`
 * @param weights by the name of the component
 * @throws BitlaneError `BAD_MODEL` when the model cannot be run
 */
export const correctBiases = async (
  model: Model,
  allocation: Allocation,
  weights: ReadonlyMap<string, WeightCodes>,
  feeds: FeedSource,
  options: TapOptions = {},
): Promise<Model> => {
  const corrected = cloneModel(model);
  const rounded = [...componentNodes(corrected)].filter(
    ([, component]) => canHaveBias(component) && weights.has(component.name),
  );
  const means = await inputMeans(
    model,
    rounded.map(([, component]) => component),
    feeds,
    options,
  );
  for (const [node, component] of rounded) {
    const [made, seen] = [weights.get(component.name), means.get(component.input)];
    if (made === undefined || seen === undefined) continue;
    const { outputChannels: channels, groups } = component;
    const rows = weightRows(component, node.input(1));
    const values = dequantizeChannels(made.codes, made.grids);
    const length = rows.length / channels;
    channelBits(component, allocationOf(allocation, component)).forEach((bits, channel) => {
      if (bits !== 32) return;
      values.set(rows.subarray(channel * length, (channel + 1) * length), channel * length);
    });
    const shift = outputShift(rows, values, seen, channels, groups);
    const bias = correctedBias(constantFloats(node.input(2))?.data, shift);
    node.setInput(2, corrected.graph.addInitializer('', tensorOf('float32', [channels], bias)));
  }
  return corrected;
};
