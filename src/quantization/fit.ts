// Codes and scales together: error feedback on the best of a few grids a channel, then scales and single codes in turns.
import { factorOf, roundRow } from './gptq.js';
import { type ChannelGrid, rowLength } from './grid.js';
import type { WeightCodes } from './packing.js';

export interface FitOptions {
  /** See `GptqOptions.damping`. */
  readonly damping?: number;
  /** Rounds of fitting the scale to the codes and moving single codes (default 4). */
  readonly sweeps?: number;
}

/** Scales that are tried, of the one given. */
const FACTORS = [1, 0.85, 1.15, 0.7, 1.3] as const;
const DEFAULT_SWEEPS = 4;
/** A scale that fits codes may be at most so many times smaller or larger than the one they were made with. */
const FAR = 2;

/** H v. */
const product = (h: Float64Array, v: ArrayLike<number>, size: number): Float64Array => {
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const value = v[i] ?? 0;
    if (value === 0) continue;
    const start = i * size;
    for (let j = 0; j < size; j++) result[j] = (result[j] ?? 0) + value * (h[start + j] ?? 0);
  }
  return result;
};

const dot = (a: ArrayLike<number>, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
};

/**
 * Fits the scale to the codes, then moves each code to its best place given all others; every step lowers (w - s q)^T H (w - s q).
 *
 * @param codes q, changed in place
 * @returns s
 */
const refine = (
  row: Float32Array,
  codes: Int8Array,
  grid: ChannelGrid,
  h: Float64Array,
  sweeps: number,
): number => {
  const size = row.length;
  const { low, high } = grid;
  const pullOfWeights = product(h, row, size);
  const pullOfCodes = product(h, codes, size);
  let { scale } = grid;
  for (let round = 0; round < sweeps; round++) {
    const own = dot(codes, pullOfCodes);
    const fitted = own > 0 ? Math.fround(dot(row, pullOfCodes) / own) : scale;
    if (fitted > grid.scale / FAR && fitted < grid.scale * FAR) scale = fitted;
    let moved = 0;
    for (let i = 0; i < size; i++) {
      const diagonal = h[i * size + i] ?? 0;
      if (!(diagonal > 0)) continue;
      const before = codes[i] ?? 0;
      const pull = (pullOfWeights[i] ?? 0) / scale - (pullOfCodes[i] ?? 0);
      const code = Math.min(high, Math.max(low, Math.round(before + pull / diagonal)));
      if (code === before) continue;
      codes[i] = code;
      moved++;
      const start = i * size;
      const change = code - before;
      for (let j = 0; j < size; j++) {
        pullOfCodes[j] = (pullOfCodes[j] ?? 0) + change * (h[start + j] ?? 0);
      }
    }
    if (moved === 0) break;
  }
  const own = dot(codes, pullOfCodes);
  const fitted = own > 0 ? Math.fround(dot(row, pullOfCodes) / own) : scale;
  return fitted > grid.scale / FAR && fitted < grid.scale * FAR ? fitted : scale;
};

/**
 * Symmetric signed codes and scales for the weights of a layer, with little output error: `gptqRound` on the best of a few grids,
 * and on from there.
 *
 * @param weights [output channels, inputs of a group x kernel]
 * @param moments H for each group, [groups, size, size]
 * @param grids symmetric and signed, one for each output channel
 * @throws BitlaneError `INTERNAL` for sizes that do not fit each other, and for an H that is not positive semidefinite
 */
export const gptqFit = (
  weights: Float32Array,
  moments: Float64Array,
  grids: readonly ChannelGrid[],
  options: FitOptions = {},
): WeightCodes => {
  const channels = grids.length;
  const size = rowLength(weights.length, channels);
  const groups = moments.length / (size * size);
  const perGroup = channels / groups;
  const codes = new Int8Array(weights.length);
  const fitted: ChannelGrid[] = [];
  const errors = new Float64Array(size);
  const attempt = new Int8Array(size);
  const damped = options.damping === undefined ? {} : { damping: options.damping };
  for (let group = 0; group < groups; group++) {
    const h = moments.subarray(group * size * size, (group + 1) * size * size);
    const factor = factorOf(h, size, damped);
    for (let channel = group * perGroup; channel < (group + 1) * perGroup; channel++) {
      const given = grids[channel];
      if (given === undefined) continue;
      const row = weights.subarray(channel * size, (channel + 1) * size);
      const own = codes.subarray(channel * size, (channel + 1) * size);
      let [least, grid] = [Infinity, given];
      for (const times of FACTORS) {
        const scaled = { ...given, scale: Math.fround(given.scale * times) };
        const error = roundRow(row, scaled, factor, attempt, errors);
        if (error >= least) continue;
        [least, grid] = [error, scaled];
        own.set(attempt);
      }
      fitted.push({ ...grid, scale: refine(row, own, grid, h, options.sweeps ?? DEFAULT_SWEEPS) });
    }
  }
  return { codes, grids: fitted };
};
