// ACIQ (Banner 2019): the clipping that is best for a Laplace or Gauss distribution fitted to the values.
import type { Range } from './calibration.js';
import { squaredError } from './clipping.js';
import { type Histogram, SIDE_BINS } from './histogram.js';

/** Where a falling function crosses zero. */
const bisect = (low: number, high: number, falling: (x: number) => number): number => {
  let [a, b] = [low, high];
  for (let i = 0; i < 80; i++) {
    const middle = (a + b) / 2;
    if (falling(middle) > 0) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
};

/**
 * Best clipping of a Laplace distribution around its mean, in multiples of its mean absolute deviation: the root of
 * exp(-x) = x / (3 4^bits).
 */
export const laplaceClip = (bits: number): number => bisect(0, 50, (x) => Math.exp(-x) - x / (3 * 4 ** bits));

/** Complementary error function for x >= 0 (Abramowitz and Stegun 7.1.26 is too coarse: a continued fraction, or the series). */
const erfc = (x: number): number => {
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let tail = 0;
  for (let n = 60; n >= 1; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
};

/** Best clipping of a Gauss distribution around its mean, in standard deviations. */
export const gaussClip = (bits: number): number =>
  bisect(
    0,
    50,
    (x) => Math.sqrt(2 / Math.PI) * Math.exp((-x * x) / 2) - x * erfc(x / Math.SQRT2) - x / (3 * 4 ** bits),
  );

/**
 * The range that a fitted distribution would be clipped to, never wider than `whole`. Values on one side of zero only are half
 * of a distribution around zero, whose grid has the other half's codes too: one bit more. Exact zeros say nothing of the tail.
 *
 * @param family the one with the smaller squared error where it is left out
 */
export const aciqRange = (
  histogram: Histogram,
  whole: Range,
  bits: number,
  family?: 'laplace' | 'gauss',
): Range => {
  const oneSided = whole.min === 0 || whole.max === 0;
  const { mean, deviation, spread } = momentsOf(histogram, oneSided);
  const effective = oneSided ? bits + 1 : bits;
  const around = (reach: number): Range => {
    const min = Math.min(0, Math.max(whole.min, mean - reach));
    const max = Math.max(0, Math.min(whole.max, mean + reach));
    return min === max ? whole : { min, max };
  };
  const laplace = around(laplaceClip(effective) * deviation);
  const gauss = around(gaussClip(effective) * spread);
  if (family !== undefined) return family === 'laplace' ? laplace : gauss;
  const error = (range: Range): number => squaredError(histogram, range, whole, bits);
  return error(laplace) <= error(gauss) ? laplace : gauss;
};

const momentsOf = (
  histogram: Histogram,
  aroundZero: boolean,
): { mean: number; deviation: number; spread: number } => {
  const zeros = aroundZero ? 0 : histogram.zeros;
  let total = zeros;
  let sum = 0;
  for (let bin = 0; bin < 2 * SIDE_BINS; bin++) {
    const count = histogram.counts[bin] ?? 0;
    total += count;
    sum += count * histogram.centre(bin);
  }
  if (total === 0) return { mean: 0, deviation: 0, spread: 0 };
  const mean = aroundZero ? 0 : sum / total;
  let deviation = zeros * Math.abs(mean);
  let square = zeros * mean * mean;
  for (let bin = 0; bin < 2 * SIDE_BINS; bin++) {
    const count = histogram.counts[bin] ?? 0;
    if (count === 0) continue;
    const from = histogram.centre(bin) - mean;
    deviation += count * Math.abs(from);
    square += count * from * from;
  }
  return { mean, deviation: deviation / total, spread: Math.sqrt(square / total) };
};
