// Fake quantization of weights, in the graph: every output channel on its own grid, gradients straight through the rounding.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import type { Value } from '../../onnx/index.js';
import { levelsOf } from '../../quantization/index.js';

/**
 * How a layer's weights meet their grid.
 *
 * - `fixed`: the scales stay as they were found; gradients go straight through inside the grid.
 * - `lsq`: learned step sizes (Esser et al. 2019).
 * - `tqt`: learned thresholds, as logarithms (Jain et al. 2019); `power-of-two` scales as in the paper where asked for.
 * - `dorefa`: weights squeezed by tanh onto a range that they fill (Zhou et al. 2016), a baseline.
 */
export const WEIGHT_METHODS = ['lsq', 'tqt', 'tqt-power-of-two', 'dorefa', 'fixed'] as const;
export type WeightMethod = (typeof WEIGHT_METHODS)[number];

/** The codes of each output channel; 32 bits: left alone. */
export interface ChannelLevels {
  readonly bits: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** Codes of symmetric signed grids, as weights are packed. */
export const levelsOfBits = (bits: readonly number[], reduceRange: boolean): ChannelLevels => {
  const levels = bits.map((width) =>
    width === 32
      ? { low: 0, high: 0 }
      : levelsOf({ bits: width, signed: true, symmetric: true, reduceRange }),
  );
  return { bits, low: levels.map(({ low }) => low), high: levels.map(({ high }) => high) };
};

/** What fake quantization gives: the weights that the layer then uses, their codes (as floats), and the scales. */
export interface FakeWeights {
  readonly weights: Value;
  readonly codes: Value;
  readonly scale: Value;
  /** Values whose gradient goes straight through. */
  readonly straightThrough: readonly Value[];
  /** Values that count as constants. */
  readonly fixed: readonly Value[];
}

/** `x` kept within the codes of its channel. */
const clipped = (ops: Ops, x: Value, { low, high }: ChannelLevels, shape: readonly number[]): Value => {
  const [least, most] = [low[0] ?? 0, high[0] ?? 0];
  const isAlike = low.every((code) => code === least) && high.every((code) => code === most);
  const bound = (codes: readonly number[]): Value => ops.floats(shape, codes);
  const dims = dimsOf(x);
  return isAlike
    ? ops.op('Clip', [x, ops.scalar(least), ops.scalar(most)], dims)
    : ops.op('Min', [ops.op('Max', [x, bound(low)], dims), bound(high)], dims);
};

/** Half the codes of a grid: what a threshold is divided by for its scale. */
const halfOf = (bits: number): number => 2 ** (bits - 1);

/** The number that is learned for a channel, from its scale. */
export const learnedOf = (method: WeightMethod, scale: number, bits: number): number =>
  method === 'tqt' || method === 'tqt-power-of-two' ? Math.log2(scale * halfOf(bits)) : scale;

export interface FakeWeightOptions {
  readonly method: WeightMethod;
  readonly levels: ChannelLevels;
  /** Axis of the weight that holds the output channels. */
  readonly axis: number;
  /** [channels]: scales, or the logarithms of thresholds where the method learns those ({@link learnedOf}). */
  readonly learned: Value;
}

/** Adds fake quantization behind the weight `w`, every output channel on its own grid. */
export const fakeWeights = (ops: Ops, w: Value, options: FakeWeightOptions): FakeWeights => {
  const { method, levels, axis, learned } = options;
  const dims = dimsOf(w);
  const along = dims.map((dim, i) => (i === axis ? dim : 1));
  const straightThrough: Value[] = [];
  const fixed: Value[] = [];
  const through = (value: Value): Value => {
    straightThrough.push(value);
    return value;
  };
  const scaleOf = (): Value => {
    if (method !== 'tqt' && method !== 'tqt-power-of-two') return learned;
    const exponent = method === 'tqt' ? learned : through(ops.map('Ceil', learned));
    return ops.mul(
      ops.pow(2, exponent),
      ops.floats(
        dimsOf(learned),
        levels.bits.map((bits) => 1 / halfOf(bits)),
      ),
    );
  };
  const flat = scaleOf();
  const scale = ops.reshape(flat, along);
  const ratio = method === 'dorefa' ? squeezed(ops, w, levels, axis, along, fixed) : ops.div(w, scale);
  const codes = through(ops.map('Round', clipped(ops, ratio, levels, along)));
  const weights = ops.mul(codes, scale);
  const floats = levels.bits.map((bits) => (bits === 32 ? 1 : 0));
  if (!floats.includes(1)) return { weights, codes, scale: flat, straightThrough, fixed };
  const isFloat = ops.compare('Greater', ops.floats(along, floats), 0.5);
  return { weights: ops.where(isFloat, w, weights), codes, scale: flat, straightThrough, fixed };
};

/** tanh(w) over its greatest magnitude in the channel, times the highest code. */
const squeezed = (
  ops: Ops,
  w: Value,
  { high }: ChannelLevels,
  axis: number,
  along: readonly number[],
  fixed: Value[],
): Value => {
  const tanh = ops.map('Tanh', w);
  const axes = along.flatMap((_, i) => (i === axis ? [] : [i]));
  const most = ops.op('ReduceMax', [ops.map('Abs', tanh), ops.ints(axes)], along, { keepdims: 1 });
  // A channel of zeros stays one.
  const divisor = ops.op('Max', [most, ops.scalar(1e-12)], along);
  fixed.push(divisor);
  return ops.mul(ops.div(tanh, divisor), ops.floats(along, high));
};
