// Ranks, and how much of a map's order is left when it is measured on one half of the objects and then on the other.
import { quantile } from '../evaluation/index.js';

/** Ranks from 0; equal values share the mean of theirs. */
export const ranksOf = (values: readonly number[]): number[] => {
  const order = values.map((_, index) => index).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const ranks = new Array<number>(values.length).fill(0);
  for (let from = 0; from < order.length;) {
    let to = from;
    while (to + 1 < order.length && values[order[to + 1] ?? 0] === values[order[from] ?? 0]) to++;
    for (let i = from; i <= to; i++) ranks[order[i] ?? 0] = (from + to) / 2;
    from = to + 1;
  }
  return ranks;
};

/** Spearman's rank correlation, -1 to 1; undefined where one side is all alike. */
export const spearman = (a: readonly number[], b: readonly number[]): number | undefined => {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const mean = (a.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [(x[i] ?? 0) - mean, (y[i] ?? 0) - mean];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? undefined : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
};

/** Random numbers from 0 to 1, the same for the same seed. */
export const randomNumbers = (seed: number): (() => number) => {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  return () => {
    // splitmix32 (Steele, Lea, Flood 2014).
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
};

/** Drawings of the interval of a rank correlation. */
const RANK_ROUNDS = 300;

/** {@link spearman}, NaN where it has no meaning, with its 95 % interval over resampled pairs. */
export const rankInterval = (
  a: readonly number[],
  b: readonly number[],
): { readonly value: number; readonly low: number; readonly high: number } => {
  const of = (indices: readonly number[]): number =>
    spearman(
      indices.map((index) => a[index] ?? NaN),
      indices.map((index) => b[index] ?? NaN),
    ) ?? NaN;
  const all = a.map((_, index) => index);
  const random = randomNumbers(2);
  const rounds = Array.from({ length: RANK_ROUNDS }, () =>
    of(all.map(() => Math.floor(random() * all.length))),
  ).sort((x, y) => x - y);
  return {
    value: of(all),
    low: rounds[Math.floor(0.025 * RANK_ROUNDS)] ?? NaN,
    high: rounds[Math.ceil(0.975 * RANK_ROUNDS) - 1] ?? NaN,
  };
};

/** Sums of a value over objects, by picture: what means over any choice of pictures are made from. */
export interface PictureSums {
  readonly sum: Float64Array;
  readonly weight: Float64Array;
}

/** The mean over pictures that each count as often as `counts` says; all once where it is left out. NaN of none. */
export const meanOf = ({ sum, weight }: PictureSums, counts?: ArrayLike<number>): number => {
  let [all, total] = [0, 0];
  for (let i = 0; i < sum.length; i++) {
    const count = counts?.[i] ?? 1;
    all += count * (sum[i] ?? 0);
    total += count * (weight[i] ?? 0);
  }
  return all / total;
};

const ROUNDS = 500;
const HALVINGS = 20;

/** Resampled pictures: how often each counts, in each round. The same for everything that is measured on them. */
export const resamples = (pictures: number, seed = 1, rounds = ROUNDS): Uint16Array[] => {
  const random = randomNumbers(seed);
  return Array.from({ length: rounds }, () => {
    const counts = new Uint16Array(pictures);
    for (let i = 0; i < pictures; i++) {
      const at = Math.floor(random() * pictures);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    return counts;
  });
};

/** A mean with its 95 % interval over resampled pictures. */
export const spreadOf = (
  sums: PictureSums,
  samples: readonly Uint16Array[],
): { readonly mean: number; readonly low: number; readonly high: number } => {
  const mean = meanOf(sums);
  const means = samples.map((counts) => meanOf(sums, counts)).filter(Number.isFinite);
  const sorted = Float64Array.from(means).sort();
  if (sorted.length === 0) return { mean, low: mean, high: mean };
  return { mean, low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
};

/**
 * Mean rank correlation between what components measure on one random half of the pictures and on the other, over 20 halvings. Not
 * corrected upwards for the half size (Spearman-Brown). Null where it has no meaning.
 *
 * @param components for each, its sums over the same pictures
 */
export const splitHalf = (components: readonly PictureSums[], seed = 1): number | null => {
  const pictures = components[0]?.sum.length ?? 0;
  if (pictures < 2 || components.length < 2) return null;
  const random = randomNumbers(seed);
  const found: number[] = [];
  for (let round = 0; round < HALVINGS; round++) {
    const order = Array.from({ length: pictures }, (_, i) => i);
    for (let i = pictures - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    const first = new Uint8Array(pictures);
    for (const picture of order.slice(0, pictures >> 1)) first[picture] = 1;
    const second = first.map((taken) => 1 - taken);
    const [a, b] = [first, second].map((half) => components.map((sums) => meanOf(sums, half)));
    if (a === undefined || b === undefined || ![...a, ...b].every(Number.isFinite)) continue;
    const correlation = spearman(a, b);
    if (correlation !== undefined) found.push(correlation);
  }
  return found.length === 0 ? null : found.reduce((sum, value) => sum + value, 0) / found.length;
};
