// Rounding with error feedback (GPTQ, Frantar 2022): each weight makes up for the errors of those rounded before it.
import { BitlaneError } from '../errors.js';
import { cholesky } from './cholesky.js';
import { type ChannelGrid, codeOnGrid, type Codes, dequantizeChannels, rowLength, signedOf } from './grid.js';

export interface GptqOptions {
  /** Added to the diagonal of H, as a share of its mean (default 0.01): keeps directions that were hardly seen in hand. */
  readonly damping?: number;
  /** `diagonal` (default): weights of the strongest inputs first, while there is most left to make up for them. */
  readonly order?: 'diagonal' | 'natural';
  /** Rounds of moving single weights to their best code, given all others, afterwards (default 0). Each lowers the error. */
  readonly sweeps?: number;
}

export interface Rounded {
  /** [output channels, ...] as the weights. */
  readonly codes: Codes;
  /** The values of the codes. */
  readonly weights: Float32Array;
  /** Of each output channel: (w - v)^T H (w - v), the squared output error that H stands for. */
  readonly error: Float64Array;
  /** The same of rounding to nearest. */
  readonly nearestError: Float64Array;
}

/** Times that the damping is made ten times larger where H cannot be factored. */
const MORE_DAMPING = 8;

/** What rounding the rows of one group takes. */
export interface Factor {
  /** Inputs in the order in which they are rounded. */
  readonly order: Int32Array;
  /** What the error of each input counts once all before it have been made up for, in that order. */
  readonly costs: Float64Array;
  /** Row j: what the errors of the inputs before j, in that order, ask of input j. */
  readonly feedback: Float64Array;
}

/**
 * GPTQ takes the rows of the Cholesky factor of the inverse of H. The same numbers come without an inverse from H = R R^T
 * with R upper triangular, which is the Cholesky factor of H with its order reversed: the error is |(w - v)^T R|^2, and input j
 * shows in its columns j and later, so that column j is made as small as can be when j is rounded.
 */
export const factorOf = (h: Float64Array, size: number, options: GptqOptions): Factor => {
  const { damping = 0.01, order: by = 'diagonal' } = options;
  const diagonal = Float64Array.from({ length: size }, (_, i) => h[i * size + i] ?? 0);
  const order = Int32Array.from({ length: size }, (_, i) => i);
  if (by === 'diagonal') order.sort((a, b) => (diagonal[b] ?? 0) - (diagonal[a] ?? 0) || a - b);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / size;
  let added = damping * mean;
  for (let attempt = 0; attempt < MORE_DAMPING; attempt++) {
    const reversed = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      const from = (order[size - 1 - i] ?? 0) * size;
      for (let j = 0; j <= i; j++) reversed[i * size + j] = h[from + (order[size - 1 - j] ?? 0)] ?? 0;
      // An input that was always zero has no say: any weight is as good.
      const own = reversed[i * size + i] ?? 0;
      reversed[i * size + i] = own === 0 ? Math.max(added, mean, 1) : own + added;
    }
    const lower = cholesky(reversed, size);
    if (lower !== undefined) return { order, ...feedbackOf(lower, size) };
    added = Math.max(added * 10, mean * 1e-6);
  }
  throw new BitlaneError('INTERNAL', `a second-moment matrix of ${size} inputs is not positive semidefinite`);
};

const feedbackOf = (lower: Float64Array, size: number): Pick<Factor, 'feedback' | 'costs'> => {
  const feedback = new Float64Array(size * size);
  const costs = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    const column = size - 1 - j;
    const own = lower[column * size + column] ?? 1;
    costs[j] = own * own;
    for (let i = 0; i < j; i++) {
      feedback[j * size + i] = (lower[(size - 1 - i) * size + column] ?? 0) / own;
    }
  }
  return { feedback, costs };
};

/**
 * Rounds one row; writes the errors (weight - value), in the factor's order, into `errors`.
 *
 * @returns the squared output error, damping counted
 */
export const roundRow = (
  row: Float32Array,
  grid: ChannelGrid,
  { order, feedback, costs }: Factor,
  codes: Codes,
  errors: Float64Array,
): number => {
  const size = row.length;
  let cost = 0;
  for (let j = 0; j < size; j++) {
    const at = order[j] ?? 0;
    const start = j * size;
    let owed = 0;
    let other = 0;
    const pairs = j & ~1;
    for (let i = 0; i < pairs; i += 2) {
      owed += (errors[i] ?? 0) * (feedback[start + i] ?? 0);
      other += (errors[i + 1] ?? 0) * (feedback[start + i + 1] ?? 0);
    }
    if (pairs < j) owed += (errors[pairs] ?? 0) * (feedback[start + pairs] ?? 0);
    const weight = row[at] ?? 0;
    const code = codeOnGrid(weight + owed + other, grid);
    codes[at] = code;
    const error = weight - (code - grid.zeroPoint) * grid.scale;
    errors[j] = error;
    cost += (error + owed + other) * (error + owed + other) * (costs[j] ?? 0);
  }
  return cost;
};

/** H times the errors of `codes`. */
const pullOf = (row: Float32Array, codes: Codes, grid: ChannelGrid, h: Float64Array): Float64Array => {
  const size = row.length;
  const pull = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const error = (row[i] ?? 0) - ((codes[i] ?? 0) - grid.zeroPoint) * grid.scale;
    if (error === 0) continue;
    const start = i * size;
    for (let j = 0; j < size; j++) pull[j] = (pull[j] ?? 0) + error * (h[start + j] ?? 0);
  }
  return pull;
};

const errorOf = (row: Float32Array, codes: Codes, grid: ChannelGrid, pull: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < row.length; i++) {
    sum += ((row[i] ?? 0) - ((codes[i] ?? 0) - grid.zeroPoint) * grid.scale) * (pull[i] ?? 0);
  }
  return Math.max(0, sum);
};

/** Moves each weight to its best code, given all others. */
const sweep = (
  row: Float32Array,
  codes: Codes,
  grid: ChannelGrid,
  h: Float64Array,
  pull: Float64Array,
): void => {
  const size = row.length;
  for (let i = 0; i < size; i++) {
    const own = h[i * size + i] ?? 0;
    if (!(own > 0)) continue;
    const before = codes[i] ?? 0;
    const value = (before - grid.zeroPoint) * grid.scale;
    const code = codeOnGrid(value + (pull[i] ?? 0) / own, grid);
    if (code === before) continue;
    codes[i] = code;
    const change = (before - code) * grid.scale;
    const start = i * size;
    for (let j = 0; j < size; j++) pull[j] = (pull[j] ?? 0) + change * (h[start + j] ?? 0);
  }
};

/**
 * Rounds the weights of a convolution (or of a matrix product) so that its output changes least. An output channel that
 * comes out worse than rounded to nearest, which clipping can do, is rounded to nearest: no channel is ever worse.
 *
 * @param weights [output channels, inputs of a group x kernel], row-major
 * @param moments H for each group, [groups, K, K] with K = inputs of a group x kernel: second moments of the inputs;
 *   the scale does not matter
 * @param grids for each output channel, of any bits
 * @throws BitlaneError `INTERNAL` for sizes that do not fit each other, and for an H that is not positive semidefinite
 */
export const gptqRound = (
  weights: Float32Array,
  moments: Float64Array,
  grids: readonly ChannelGrid[],
  options: GptqOptions = {},
): Rounded => {
  const channels = grids.length;
  const size = rowLength(weights.length, channels);
  const groups = moments.length / (size * size);
  if (size === 0 || !Number.isInteger(groups) || !Number.isInteger(channels / groups)) {
    throw new BitlaneError(
      'INTERNAL',
      `${moments.length} second moments do not fit ${channels} channels of ${size} weights`,
    );
  }
  const codes = signedOf(grids) ? new Int8Array(weights.length) : new Uint8Array(weights.length);
  const nearest = signedOf(grids) ? new Int8Array(size) : new Uint8Array(size);
  const error = new Float64Array(channels);
  const nearestError = new Float64Array(channels);
  const errors = new Float64Array(size);
  const perGroup = channels / groups;
  for (let group = 0; group < groups; group++) {
    const h = moments.subarray(group * size * size, (group + 1) * size * size);
    const factor = factorOf(h, size, options);
    for (let channel = group * perGroup; channel < (group + 1) * perGroup; channel++) {
      const grid = grids[channel];
      if (grid === undefined) continue;
      const row = weights.subarray(channel * size, (channel + 1) * size);
      const own = codes.subarray(channel * size, (channel + 1) * size);
      row.forEach((weight, i) => (nearest[i] = codeOnGrid(weight, grid)));
      nearestError[channel] = errorOf(row, nearest, grid, pullOf(row, nearest, grid, h));
      roundRow(row, grid, factor, own, errors);
      let pull = pullOf(row, own, grid, h);
      if (errorOf(row, own, grid, pull) > (nearestError[channel] ?? 0)) {
        own.set(nearest);
        pull = pullOf(row, own, grid, h);
      }
      for (let round = 0; round < (options.sweeps ?? 0); round++) sweep(row, own, grid, h, pull);
      error[channel] = errorOf(row, own, grid, pullOf(row, own, grid, h));
    }
  }
  return { codes, weights: dequantizeChannels(codes, grids), error, nearestError };
};
