// Cross-layer equalization (Nagel 2019): evens out the ranges of channels between two convolutions without changing what they compute.
import { BitlaneError } from '../errors.js';
import { rowLength } from './grid.js';

/** A convolution's constants. */
export interface Layer {
  /** [output channels, inputs of a group, ...], row-major. */
  readonly weights: Float32Array;
  /** One for each output channel; left out where there is none. */
  readonly bias?: Float32Array;
  readonly channels: number;
  readonly groups: number;
  /** Kernel height x width. */
  readonly area: number;
}

export interface EqualizeOptions {
  /** Factors are powers of two: what is computed then stays the same to the last bit (default false). */
  readonly powersOfTwo?: boolean;
}

/** ONNX operators f with f(s x) = s f(x) for every s > 0. SiLU, HardSwish, Clip and Sigmoid are not among them. */
const EQUIVARIANT: ReadonlySet<string> = new Set(['Identity', 'Relu', 'LeakyRelu', 'PRelu']);

/** Whether a factor before `opType` may be moved behind it. */
export const isScaleEquivariant = (opType: string): boolean => EQUIVARIANT.has(opType);

/** Largest magnitude of the weights that make each output channel. */
const outputRanges = ({ weights, channels }: Layer): Float64Array => {
  const length = rowLength(weights.length, channels);
  const ranges = new Float64Array(channels);
  weights.forEach((weight, i) => {
    const channel = Math.floor(i / length);
    ranges[channel] = Math.max(ranges[channel] ?? 0, Math.abs(weight));
  });
  return ranges;
};

/** The input channel that each weight of a layer takes. */
const inputOf = ({ weights, channels, groups, area }: Layer): ((index: number) => number) => {
  const length = rowLength(weights.length, channels);
  const inputs = length / area;
  const perGroup = channels / groups;
  return (index) => {
    const channel = Math.floor(index / length);
    return Math.floor(channel / perGroup) * inputs + Math.floor((index % length) / area);
  };
};

const inputsOf = ({ weights, channels, groups, area }: Layer): number =>
  (rowLength(weights.length, channels) / area) * groups;

/**
 * Equalizes the channels between two convolutions: each channel's output is divided by s and the weights that take it are
 * multiplied by s, where both then have the same range.
 *
 * @param between operator between the two; `Identity` where there is none
 * @returns new layers, and s for each channel
 * @throws BitlaneError `UNSUPPORTED` for an operator that is not scale-equivariant, `INTERNAL` for layers that do not fit
 */
export const equalizePair = (
  first: Layer,
  second: Layer,
  between: string,
  options: EqualizeOptions = {},
): { first: Layer; second: Layer; factors: Float32Array } => {
  if (!isScaleEquivariant(between)) {
    throw new BitlaneError(
      'UNSUPPORTED',
      `layers cannot be equalized across ${between}: only ${[...EQUIVARIANT].join(', ')} keep a factor as it is`,
    );
  }
  if (inputsOf(second) !== first.channels) {
    throw new BitlaneError(
      'INTERNAL',
      `a layer of ${first.channels} outputs does not feed one of ${inputsOf(second)} inputs`,
    );
  }
  const made = outputRanges(first);
  const input = inputOf(second);
  const taken = new Float64Array(first.channels);
  second.weights.forEach((weight, i) => {
    taken[input(i)] = Math.max(taken[input(i)] ?? 0, Math.abs(weight));
  });
  const factors = Float32Array.from(made, (range, channel) => {
    const other = taken[channel] ?? 0;
    const factor = Math.sqrt(range / other);
    // A channel that is zero, or that nobody takes, has nothing to even out.
    if (!(range > 0 && other > 0) || !Number.isFinite(Math.fround(factor))) return 1;
    return options.powersOfTwo === true ? 2 ** Math.round(Math.log2(factor)) : factor;
  });
  const length = rowLength(first.weights.length, first.channels);
  const factor = (channel: number): number => factors[channel] ?? 1;
  return {
    first: {
      ...first,
      weights: first.weights.map((weight, i) => weight / factor(Math.floor(i / length))),
      ...(first.bias === undefined ? {} : { bias: first.bias.map((value, i) => value / factor(i)) }),
    },
    second: { ...second, weights: second.weights.map((weight, i) => weight * factor(input(i))) },
    factors,
  };
};

const ROUNDS = 30;
const SETTLED = 1e-3;

/**
 * Equalizes a chain of convolutions, each feeding the next alone, until no factor moves.
 *
 * @param between operators between layer k and k + 1; where one is not scale-equivariant that pair is left as it is
 */
export const equalizeChain = (
  layers: readonly Layer[],
  between: readonly string[],
  options: EqualizeOptions = {},
): Layer[] => {
  const result = [...layers];
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    for (let k = 0; k + 1 < result.length; k++) {
      const [first, second, operator] = [result[k], result[k + 1], between[k] ?? ''];
      if (first === undefined || second === undefined || !isScaleEquivariant(operator)) continue;
      const pair = equalizePair(first, second, operator, options);
      result[k] = pair.first;
      result[k + 1] = pair.second;
      for (const factor of pair.factors) moved = Math.max(moved, Math.abs(Math.log(factor)));
    }
    if (moved < SETTLED) break;
  }
  return result;
};
