// What one step does to weights: SGD with momentum, AdamW. Pure functions over arrays; sums in double precision.
import type { OutputAxis } from '../types.js';

/** One parameter's share of a step. */
export interface Update {
  readonly rate: number;
  /** What gradients are multiplied by first (clipping). */
  readonly gradientScale: number;
  readonly weightDecay: number;
}

export interface SgdOptions {
  /** Default 0.9. */
  readonly momentum?: number;
  /** Nesterov's momentum (default false). */
  readonly nesterov?: boolean;
}

/**
 * Stochastic gradient descent with momentum, as PyTorch defines it: v = m v + (g + decay w); w -= rate v, or rate (g + m v) after
 * Nesterov. Decay is part of the gradient.
 *
 * @param weights changed in place, as is `velocity`, which starts as zeros
 */
export const sgdStep = (
  weights: Float32Array,
  gradient: Float32Array,
  velocity: Float32Array,
  { rate, gradientScale, weightDecay }: Update,
  { momentum = 0.9, nesterov = false }: SgdOptions = {},
): void => {
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] ?? 0;
    const g = (gradient[i] ?? 0) * gradientScale + weightDecay * weight;
    const v = momentum * (velocity[i] ?? 0) + g;
    velocity[i] = v;
    weights[i] = weight - rate * (nesterov ? g + momentum * v : v);
  }
};

const ONE = Float32Array.of(1);

export interface AdamwOptions {
  /** Default 0.9 and 0.999. */
  readonly beta1?: number;
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
}

/** Rows that are smaller than this share of their tensor count as so large. */
const LEAST_SHARE = 0.1;

/**
 * How large the rows of a tensor are: the root of their mean square. What a relative rate is a share of (as in Adafactor, Shazeer & Stern
 * 2018, there of whole tensors): Adam moves every element by the rate, whatever its size, and the channels of a network whose
 * normalizations are folded in differ by orders of magnitude.
 *
 * @param rows of equal length, one after the other
 * @param least nothing counts as smaller
 */
export const rowSizes = (values: Float32Array, rows: number, least: number): Float32Array => {
  const length = values.length / rows;
  const squares = Float64Array.from({ length: rows }, (_, row) =>
    values.subarray(row * length, (row + 1) * length).reduce((sum, value) => sum + value * value, 0),
  );
  const whole = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / values.length);
  return Float32Array.from(squares, (square) =>
    Math.max(Math.sqrt(square / length), LEAST_SHARE * whole, least),
  );
};

/**
 * {@link rowSizes} of output channels that do not lie along the first dimension.
 *
 * @param dims of `values`, row-major
 * @returns one for each element: that of its channel
 */
export const channelSizes = (
  values: Float32Array,
  dims: readonly number[],
  { axis, groups }: OutputAxis,
  least: number,
): Float32Array => {
  const width = dims[axis] ?? 1;
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const channelOf = (i: number): number =>
    (Math.floor(i / inner) % width) + width * Math.floor((i * groups) / values.length);
  const rows = Array.from({ length: width * groups }, (): number[] => []);
  values.forEach((value, i) => rows[channelOf(i)]?.push(value));
  const sizes = rowSizes(Float32Array.from(rows.flat()), rows.length, least);
  return values.map((_, i) => sizes[channelOf(i)] ?? 1);
};

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019).
 *
 * @param weights changed in place, as are `first` and `second`, the running moments, which start as zeros
 * @param step from 1
 * @param sizes of the rows of the tensor, what the rate is a share of; where there are none the rate is one of weights
 */
export const adamwStep = (
  weights: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  step: number,
  { rate, gradientScale, weightDecay }: Update,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamwOptions = {},
  sizes: Float32Array = ONE,
): void => {
  const bias2 = 1 - beta2 ** step;
  const kept = 1 - rate * weightDecay;
  const length = weights.length / sizes.length;
  for (let row = 0; row < sizes.length; row++) {
    const size = ((sizes[row] ?? 1) * rate) / (1 - beta1 ** step);
    for (let i = row * length; i < (row + 1) * length; i++) {
      const g = (gradient[i] ?? 0) * gradientScale;
      const m = beta1 * (first[i] ?? 0) + (1 - beta1) * g;
      const v = beta2 * (second[i] ?? 0) + (1 - beta2) * g * g;
      first[i] = m;
      second[i] = v;
      weights[i] = kept * (weights[i] ?? 0) - (size * m) / (Math.sqrt(v / bias2) + epsilon);
    }
  }
};

/** The Euclidean norm of all gradients together. */
export const globalNorm = (gradients: Iterable<Float32Array>): number => {
  let sum = 0;
  for (const gradient of gradients) for (const value of gradient) sum += value * value;
  return Math.sqrt(sum);
};

/** What gradients of norm `norm` are multiplied by for it to be `most` at most. */
export const clippingScale = (norm: number, most: number | undefined): number =>
  most === undefined || norm <= most ? 1 : most / norm;

/** Moves an average towards `weights`: average = decay average + (1 - decay) weights. */
export const moveAverage = (average: Float32Array, weights: Float32Array, decay: number): void => {
  for (let i = 0; i < average.length; i++) {
    average[i] = decay * (average[i] ?? 0) + (1 - decay) * (weights[i] ?? 0);
  }
};

/** An average's decay after `step` steps: small at first, so that the start is soon forgotten. */
export const decayAt = (step: number, decay: number, rampSteps: number): number =>
  rampSteps <= 0 ? decay : decay * (1 - Math.exp(-step / rampSteps));
