// Ranges read from a histogram: percentiles, least squared error, least divergence.
import type { Range } from './calibration.js';
import { type Histogram, SIDE_BINS } from './histogram.js';

/** The bins that hold anything, in order, exact zeros among them. */
interface Spikes {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

const spikesOf = (histogram: Histogram, { min, max }: Range): Spikes => {
  const values: number[] = [];
  const counts: number[] = [];
  histogram.counts.forEach((count, bin) => {
    if (count === 0) return;
    values.push(Math.min(max, Math.max(min, histogram.centre(bin))));
    counts.push(count);
  });
  return { values: Float64Array.from(values), counts: Float64Array.from(counts) };
};

/** The value that a share of all values lies below, within the bin it falls into. */
const quantile = (histogram: Histogram, share: number): number => {
  const wanted = share * histogram.total;
  let below = 0;
  for (let bin = 0; bin < 2 * SIDE_BINS; bin++) {
    if (bin === SIDE_BINS) {
      below += histogram.zeros;
      if (below >= wanted && histogram.zeros > 0) return 0;
    }
    const count = histogram.counts[bin] ?? 0;
    if (count > 0 && below + count >= wanted) {
      return (bin - SIDE_BINS + (wanted - below) / count) * histogram.binWidth;
    }
    below += count;
  }
  return histogram.limit;
};

/** The range without `100 - percentile` per cent of the values at each end; never wider than `whole`, zero included. */
export const percentileRange = (histogram: Histogram, whole: Range, percentile: number): Range => {
  const share = Math.min(1, Math.max(0.5, percentile / 100));
  const min = Math.min(0, Math.max(whole.min, quantile(histogram, 1 - share)));
  const max = Math.max(0, Math.min(whole.max, quantile(histogram, share)));
  return min === max ? whole : { min, max };
};

/** Squared error of all values on an asymmetric grid over the range; zeros cost nothing. */
export const squaredError = (histogram: Histogram, range: Range, whole: Range, bits: number): number =>
  errorOf(spikesOf(histogram, whole), histogram.binWidth, range, bits);

const errorOf = (spikes: Spikes, width: number, range: Range, bits: number): number => {
  const levels = 2 ** bits - 1;
  const scale = (range.max - range.min) / levels;
  if (!(scale > 0)) return Infinity;
  const zero = Math.round(-range.min / scale);
  const low = -zero * scale;
  const high = (levels - zero) * scale;
  // Values lie anywhere in their bin: that adds to the error where the bin is finer than the grid; elsewhere it is the error.
  const within = (width * width) / 12;
  const coarse = width > scale;
  const rounding = (scale * scale) / 12;
  let error = 0;
  for (let i = 0; i < spikes.values.length; i++) {
    const value = spikes.values[i] ?? 0;
    const count = spikes.counts[i] ?? 0;
    if (value > high) error += count * ((value - high) ** 2 + within);
    else if (value < low) error += count * ((value - low) ** 2 + within);
    else if (coarse) error += count * rounding;
    else error += count * ((value - Math.round(value / scale) * scale) ** 2 + within);
  }
  return error;
};

const STEPS = 16;

/** The best of `start`, of evenly spaced factors, and of finer ones around the best of those. */
const bestFactor = (start: number, cost: (factor: number) => number): number => {
  let best = start;
  let bestCost = cost(start);
  const attempt = (factor: number): void => {
    if (factor <= 0 || factor > 1) return;
    const here = cost(factor);
    if (here < bestCost) [best, bestCost] = [factor, here];
  };
  for (let k = 1; k <= STEPS; k++) attempt(k / STEPS);
  const centre = best;
  for (let k = 1 - STEPS; k < STEPS; k++) attempt(centre + k / STEPS / STEPS);
  return best;
};

/** The range with the least squared error: both ends together, then end by end. */
export const mseRange = (histogram: Histogram, whole: Range, bits: number): Range => {
  const spikes = spikesOf(histogram, whole);
  const rangeOf = (low: number, high: number): Range => ({ min: whole.min * low, max: whole.max * high });
  const cost = (low: number, high: number): number =>
    errorOf(spikes, histogram.binWidth, rangeOf(low, high), bits);
  let low = bestFactor(1, (factor) => cost(factor, factor));
  let high = low;
  if (whole.min === 0 || whole.max === 0) return rangeOf(low, high);
  for (let round = 0; round < 2; round++) {
    high = bestFactor(high, (factor) => cost(low, factor));
    low = bestFactor(low, (factor) => cost(factor, high));
  }
  return rangeOf(low, high);
};

const CANDIDATES = 128;
/** Stands in for the chance of a value that the quantized distribution does not know. */
const UNSEEN = 1e-6;

/**
 * The threshold, one for both ends, with the least divergence of the clipped distribution from its quantized self. Exact zeros
 * are left out: every grid holds them.
 */
export const klRange = (histogram: Histogram, whole: Range, bits: number): Range => {
  const width = histogram.binWidth;
  const most = Math.max(-whole.min, whole.max);
  const levels = 2 ** bits;
  const rangeOf = (threshold: number): Range => ({
    min: Math.max(whole.min, -threshold),
    max: Math.min(whole.max, threshold),
  });
  const span = ({ min, max }: Range): number => Math.ceil(max / width) + Math.ceil(-min / width);
  const sums = prefixSums(histogram.counts);
  let best = whole;
  let bestDivergence = Infinity;
  for (let k = CANDIDATES; k >= 1; k--) {
    const range = rangeOf((most * k) / CANDIDATES);
    if (span(range) < levels) break;
    const from = SIDE_BINS - Math.ceil(-range.min / width);
    const to = SIDE_BINS + Math.ceil(range.max / width);
    const here = divergence(histogram.counts, sums, from, to, levels);
    if (here < bestDivergence) [best, bestDivergence] = [range, here];
  }
  return best;
};

/** Sums over the bins below each: counts, bins that hold anything, count log count. */
interface PrefixSums {
  readonly counts: Float64Array;
  readonly filled: Float64Array;
  readonly entropy: Float64Array;
}

const prefixSums = (bins: Uint32Array): PrefixSums => {
  const counts = new Float64Array(bins.length + 1);
  const filled = new Float64Array(bins.length + 1);
  const entropy = new Float64Array(bins.length + 1);
  bins.forEach((count, bin) => {
    counts[bin + 1] = (counts[bin] ?? 0) + count;
    filled[bin + 1] = (filled[bin] ?? 0) + (count > 0 ? 1 : 0);
    entropy[bin + 1] = (entropy[bin] ?? 0) + (count > 0 ? count * Math.log(count) : 0);
  });
  return { counts, filled, entropy };
};

/**
 * KL(P || Q): P the bins `from`..`to` with everything outside added to the ends, Q the same bins merged into levels, each level
 * spread evenly over its bins that hold anything.
 */
const divergence = (
  bins: Uint32Array,
  sums: PrefixSums,
  from: number,
  to: number,
  levels: number,
): number => {
  const at = (values: ArrayLike<number>, bin: number): number => values[bin] ?? 0;
  const below = at(sums.counts, from);
  const inside = at(sums.counts, to) - below;
  const total = at(sums.counts, bins.length);
  const above = total - inside - below;
  if (!(inside > 0)) return Infinity;
  const edge = (level: number): number => from + Math.floor((level * (to - from)) / levels);
  // Sum of P log(P / Q), times the total: first as if nothing lay outside, then what the two ends gain.
  let sum = at(sums.entropy, to) - at(sums.entropy, from) - inside * Math.log(total);
  let first = from;
  let ends = 0;
  for (let level = 0; level < levels; level++) {
    const last = edge(level + 1);
    const mass = at(sums.counts, last) - at(sums.counts, first);
    const share = mass / (at(sums.filled, last) - at(sums.filled, first)) / inside;
    if (mass > 0) sum -= mass * Math.log(share);
    if (first === from) ends += gain(at(bins, from), below, share, total);
    if (last === to) ends += gain(at(bins, to - 1), above, share, total);
    first = last;
  }
  return (sum + ends) / total;
};

/** What `more` values from outside add at an end bin of `count` values, whose chance under Q is `share` if it holds any. */
const gain = (count: number, more: number, share: number, total: number): number => {
  if (more === 0) return 0;
  const q = count > 0 ? share : UNSEEN / total;
  const term = (n: number): number => (n === 0 ? 0 : n * Math.log(n / total / q));
  return term(count + more) - term(count);
};
