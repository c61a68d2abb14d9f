// Weight grids per output channel, and how far weights end up from themselves.
import { BitlaneError } from '../errors.js';
import { type ChannelGrid, channelGrid, codeOnGrid, levelsOf, rowLength } from './grid.js';

export interface WeightGridOptions {
  /** Default true: what fuses into integer kernels everywhere. */
  readonly symmetric?: boolean;
  /** Default true. */
  readonly signed?: boolean;
  /** See `LevelOptions.narrow`. */
  readonly narrow?: boolean;
  /** Channels of 8 bits get 7 (default false). */
  readonly reduceRange?: boolean;
  /** `min-max`: nothing is clipped. `mse` (default): the clipping with the least squared error. */
  readonly method?: 'min-max' | 'mse';
  /** Of `mse`: what an error in each weight of a channel costs, [groups, weights of a channel] (say, the inputs' second moments). */
  readonly importance?: Float64Array;
  /** See `GridOptions.minScale`; one for each channel. */
  readonly minScale?: ArrayLike<number>;
}

/** Smallest part of the range that a search keeps, and how finely it looks. */
const LEAST = 0.2;
const COARSE = 32;
const FINE = 8;

/**
 * A grid for each output channel.
 *
 * @param weights [channels, ...], row-major
 * @param channels output channels
 * @param bits 2 to 8, for all or for each
 */
export const weightGrids = (
  weights: Float32Array,
  channels: number,
  bits: number | ArrayLike<number>,
  options: WeightGridOptions = {},
): ChannelGrid[] => {
  const length = rowLength(weights.length, channels);
  const { importance, symmetric = true, signed = true, method = 'mse', reduceRange = false } = options;
  const groups = importance === undefined ? 1 : importance.length / length;
  if (!Number.isInteger(channels / groups)) {
    throw new BitlaneError('INTERNAL', `importance for ${groups} groups does not fit ${channels} channels`);
  }
  const narrow = options.narrow === undefined ? {} : { narrow: options.narrow };
  const grids: (ChannelGrid | undefined)[] = Array.from({ length: channels }, (_, channel) => {
    const row = weights.subarray(channel * length, (channel + 1) * length);
    const levels = {
      bits: typeof bits === 'number' ? bits : (bits[channel] ?? 0),
      signed,
      symmetric,
      reduceRange,
      minScale: options.minScale?.[channel] ?? 0,
      ...narrow,
    };
    let min = 0;
    let max = 0;
    for (const weight of row) {
      if (weight < min) min = weight;
      if (weight > max) max = weight;
    }
    levelsOf(levels);
    if (max - min < 1e-30 && levels.minScale === 0) return undefined;
    const gridOf = (low: number, high: number): ChannelGrid => channelGrid(min * low, max * high, levels);
    if (method === 'min-max') return gridOf(1, 1);
    const group = Math.floor((channel * groups) / channels);
    const costs = importance?.subarray(group * length, (group + 1) * length);
    return searched(row, costs, gridOf, symmetric);
  });
  // A channel of zeros is exact on any grid, but its bias shares its scale: it takes the finest of the others.
  const finest = grids.reduce((least, grid) => Math.min(least, grid?.scale ?? Infinity), Infinity);
  return grids.map((grid, channel) => {
    if (grid !== undefined) return grid;
    const own = typeof bits === 'number' ? bits : (bits[channel] ?? 0);
    const minScale = Number.isFinite(finest) ? finest : 1;
    const empty = channelGrid(0, 0, { bits: own, signed, symmetric, reduceRange, ...narrow });
    return { ...empty, scale: minScale };
  });
};

/** What rounding `row` onto a grid costs; some number from `most` on where it is as much as that. */
const costOf = (
  row: Float32Array,
  costs: Float64Array | undefined,
  grid: ChannelGrid,
  most: number,
): number => {
  const { scale, zeroPoint } = grid;
  let sum = 0;
  for (let i = 0; i < row.length && sum < most; i++) {
    const weight = row[i] ?? 0;
    const error = weight - (codeOnGrid(weight, grid) - zeroPoint) * scale;
    sum += error * error * (costs === undefined ? 1 : (costs[i] ?? 0));
  }
  return sum;
};

type GridOfFactors = (low: number, high: number) => ChannelGrid;

const searched = (
  row: Float32Array,
  costs: Float64Array | undefined,
  gridOf: GridOfFactors,
  symmetric: boolean,
): ChannelGrid => {
  let best = gridOf(1, 1);
  let bestCost = costOf(row, costs, best, Infinity);
  let [low, high] = [1, 1];
  const attempt = (l: number, h: number): void => {
    const grid = gridOf(l, h);
    const cost = costOf(row, costs, grid, bestCost);
    if (cost < bestCost) [best, bestCost, low, high] = [grid, cost, l, h];
  };
  const sweep = (at: (factor: number) => readonly [number, number], from: number): void => {
    const spacing = (1 - LEAST) / COARSE;
    for (let k = 1; k <= COARSE; k++) attempt(...at(1 - k * spacing));
    const centre = from === 0 ? low : high;
    for (let k = 1 - FINE; k < FINE; k++) {
      const factor = centre + (k * spacing) / FINE;
      if (k !== 0 && factor <= 1) attempt(...at(factor));
    }
  };
  sweep((factor) => [factor, factor], 0);
  if (!symmetric) {
    const start = low;
    sweep((factor) => [start, factor], 1);
    const end = high;
    sweep((factor) => [factor, end], 0);
  }
  return best;
};

/** ||w - v|| / ||w||; 0 where both are zero. */
export const relativeError = (weights: Float32Array, other: Float32Array): number => {
  const { signal, noise } = powers(weights, other);
  return noise === 0 ? 0 : Math.sqrt(noise / signal);
};

/** Signal to quantization noise in decibels: 10 log10(||w||^2 / ||w - v||^2); Infinity where nothing changed. */
export const sqnr = (values: Float32Array, other: Float32Array): number => {
  const { signal, noise } = powers(values, other);
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
};

const powers = (values: Float32Array, other: Float32Array): { signal: number; noise: number } => {
  if (values.length !== other.length) {
    throw new BitlaneError('INTERNAL', `${values.length} values cannot be compared with ${other.length}`);
  }
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    const error = value - (other[i] ?? 0);
    signal += value * value;
    noise += error * error;
  }
  return { signal, noise };
};
