// Codes and scales together: error feedback on the best of a few grids a channel, then scales and single codes in turns.
import { BitlaneError } from '../errors.js';
import { gptqRound } from './gptq.js';
import { type ChannelGrid, rowLength } from './grid.js';
import type { WeightCodes } from './packing.js';

export interface FitOptions {
  /** See `GptqOptions.damping`. */
  readonly damping?: number;
  /** Rounds of fitting the scale to the codes and moving single codes. */
  readonly sweeps?: number;
}

/** Scales that are tried, of the one given. */
const FACTORS = [1, 0.85, 1.15] as const;

/** (w^T H v) / (v^T H v) with v the codes: the scale with the least error. */
const bestScale = (row: Float32Array, codes: Int8Array, h: Float64Array): number => {
  const size = row.length;
  let [own, cross] = [0, 0];
  for (let i = 0; i < size; i++) {
    const code = codes[i] ?? 0;
    if (code === 0) continue;
    const start = i * size;
    let [v, w] = [0, 0];
    for (let j = 0; j < size; j++) {
      const value = h[start + j] ?? 0;
      v += value * (codes[j] ?? 0);
      w += value * (row[j] ?? 0);
    }
    own += code * v;
    cross += code * w;
  }
  return own > 0 ? cross / own : 0;
};

/**
 * Symmetric signed codes and scales for the weights of a layer, with little output error: better than `gptqRound` on one grid.
 *
 * @param weights [output channels, inputs of a group x kernel]
 * @param moments H for each group, [groups, size, size]
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
  const damping = options.damping ?? 0.01;
  let [codes, chosen, errors] = [
    new Int8Array(weights.length),
    [...grids],
    new Float64Array(channels).fill(Infinity),
  ];
  const keepBetter = (candidates: readonly ChannelGrid[], sweeps: number): void => {
    const made = gptqRound(weights, moments, candidates, { damping, sweeps });
    if (!(made.codes instanceof Int8Array))
      throw new BitlaneError('INTERNAL', 'signed grids have signed codes');
    for (let channel = 0; channel < channels; channel++) {
      const [error = 0, grid] = [made.error[channel], candidates[channel]];
      if (grid === undefined || !(error < (errors[channel] ?? Infinity))) continue;
      errors[channel] = error;
      chosen[channel] = grid;
      codes.set(made.codes.subarray(channel * size, (channel + 1) * size), channel * size);
    }
  };
  const scaled = (grid: ChannelGrid, scale: number): ChannelGrid => ({ ...grid, scale: Math.fround(scale) });
  for (const factor of FACTORS)
    keepBetter(
      grids.map((grid) => scaled(grid, grid.scale * factor)),
      0,
    );
  for (let round = 0; round < (options.sweeps ?? 0); round++) {
    const refitted = chosen.map((grid, channel) => {
      const group = Math.floor((channel * groups) / channels);
      const h = moments.subarray(group * size * size, (group + 1) * size * size);
      const own = codes.subarray(channel * size, (channel + 1) * size);
      const scale = bestScale(weights.subarray(channel * size, (channel + 1) * size), own, h);
      return scale > 0.2 * grid.scale && scale < 5 * grid.scale ? scaled(grid, scale) : grid;
    });
    keepBetter(refitted, 2);
  }
  return { codes, grids: chosen };
};
