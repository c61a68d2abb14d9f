// The constants of a layer that computes in integers: codes of its weights, its bias in the accumulators' scale.
import { int, tensorOf, type Value } from '../onnx/index.js';
import { constantFloats } from './components.js';
import type { ChannelGrid } from './grid.js';
import { SHORT } from './joined.js';
import { addIntegerWeights, type PackingPlace, type WeightCodes } from './packing.js';
import { outputOf } from './regions.js';

/** The grid of codes that stand for themselves: their channels have grids of their own, which are applied behind. */
export const UNIT: ChannelGrid = {
  bits: 8,
  signed: false,
  low: 0,
  high: 255,
  scale: 1,
  zeroPoint: 128,
};

export interface IntegerLayer {
  readonly input: ChannelGrid;
  /** The initializer of the input's scale. */
  readonly inputScale: Value;
  /** Of the result, where its channels have grids of their own. */
  readonly channels: readonly ChannelGrid[] | undefined;
}

/** How far an INT32 bias may go: half of it, since the kernel adds products to it. */
const BIAS_LIMIT = 2 ** 30;

/** Weights so small beside their bias that it does not fit into 32 bits lose what nobody could see of them. */
const withBias = (weights: WeightCodes, bias: Float32Array | undefined, input: number): WeightCodes => {
  if (bias === undefined) return weights;
  const least = weights.grids.map((_, channel) => Math.abs(bias[channel] ?? 0) / (input * BIAS_LIMIT));
  if (weights.grids.every((grid, channel) => grid.scale >= (least[channel] ?? 0))) return weights;
  const length = weights.codes.length / weights.grids.length;
  const codes = weights.codes.slice();
  const grids = weights.grids.map((grid, channel) => {
    const scale = Math.fround(least[channel] ?? 0);
    if (grid.scale >= scale) return grid;
    for (let i = channel * length; i < (channel + 1) * length; i++) {
      codes[i] = Math.round(((codes[i] ?? 0) * grid.scale) / scale);
    }
    return { ...grid, scale };
  });
  return { codes, grids };
};

/**
 * What a layer must compute for its codes on {@link UNIT} to be those of the channels' grids: each channel divided by its scale,
 * zero where its zero point is. Only scales and biases change; the codes of the weights stay.
 */
const intoChannels = (
  weights: WeightCodes,
  bias: Float32Array | undefined,
  channels: readonly ChannelGrid[],
): { readonly weights: WeightCodes; readonly bias: Float32Array } => ({
  weights: {
    codes: weights.codes,
    grids: weights.grids.map((grid, c) => ({
      ...grid,
      scale: Math.fround(grid.scale / (channels[c]?.scale ?? 1)),
    })),
  },
  bias: Float32Array.from(
    channels,
    ({ scale, zeroPoint }, c) => (bias?.[c] ?? 0) / scale + zeroPoint - UNIT.zeroPoint,
  ),
});

/** Gives a node the weights and the bias of an integer kernel. */
export const setIntegerLayer = (place: PackingPlace, layer: IntegerLayer): void => {
  const { node } = place;
  const floats = constantFloats(node.input(2))?.data;
  const { weights, bias } =
    place.weights === undefined || layer.channels === undefined
      ? { weights: place.weights, bias: floats }
      : intoChannels(place.weights, floats, layer.channels);
  const { value, scale } = addIntegerWeights({
    ...place,
    weights: weights === undefined ? undefined : withBias(weights, bias, layer.input.scale),
  });
  if (bias !== undefined) node.setInput(2, integerBias(place, bias, layer, scale));
  node.setInput(1, value);
};

/** The bias in INT32, as the accumulators have it: its scale is the input's times the weights', multiplied at load. */
const integerBias = (
  { graph, node }: PackingPlace,
  bias: Float32Array,
  { input, inputScale }: IntegerLayer,
  scale: Value,
): Value => {
  const before = { before: node };
  const scales = constantFloats(scale)?.data ?? new Float32Array();
  const codes = Int32Array.from(bias, (b, c) => Math.round(b / (input.scale * (scales[c] ?? 1))));
  const tensor = graph.addInitializer(SHORT, tensorOf('int32', [codes.length], codes));
  const product = graph.addNode({ opType: 'Mul', name: SHORT, inputs: [scale, inputScale] }, before);
  const dequantized = graph.addNode(
    {
      opType: 'DequantizeLinear',
      name: SHORT,
      inputs: [tensor, outputOf(product)],
      attributes: { axis: int(0) },
    },
    before,
  );
  return outputOf(dequantized);
};
