// Calibration: watches the values of one activation as they stream by and says which range its grid should cover.
import { BitlaneError } from '../errors.js';
import { aciqRange } from './aciq.js';
import { klRange, mseRange, percentileRange } from './clipping.js';
import { Histogram } from './histogram.js';

/**
 * How a range is found from the values seen:
 * - `min-max`: all of them, outliers too;
 * - `percentile`: all but a share at each end;
 * - `mse`: the least mean squared error of rounding and clipping;
 * - `kl`: the least divergence between the distribution and its quantized self (Migacz 2017);
 * - `aciq`: the least expected error under a fitted Laplace or Gauss distribution (Banner 2019).
 */
export type RangeMethod = 'min-max' | 'percentile' | 'mse' | 'kl' | 'aciq';

/** Every {@link RangeMethod}. */
export const RANGE_METHODS: readonly RangeMethod[] = ['min-max', 'percentile', 'mse', 'kl', 'aciq'];

/** Where nothing else is said: one value in ten thousand may be clipped, which keeps single outliers from setting the scale. */
export const DEFAULT_RANGE_METHOD: RangeMethod = 'percentile';

/** A range that holds zero. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

export interface RangeOptions {
  /** Of `percentile`: per cent of the values below the upper end (default 99.99). */
  readonly percentile?: number;
  /** Of `aciq`: the distribution; the better fitting one where it is left out. */
  readonly family?: 'laplace' | 'gauss';
}

export interface ObserverOptions {
  /** Most values of one call that go into the histogram (default 16,384), evenly spread; minimum and maximum see all. */
  readonly samples?: number;
}

const DEFAULT_SAMPLES = 16_384;
const GOLDEN = 0.6180339887498949;

/** Watches one activation. Deterministic: the same calls give the same ranges. */
export class ActivationObserver {
  readonly #histogram = new Histogram();
  readonly #samples: number;
  #min = Infinity;
  #max = -Infinity;
  #sum = 0;
  #count = 0;
  #ignored = 0;
  #calls = 0;

  constructor(options: ObserverOptions = {}) {
    this.#samples = Math.max(1, Math.floor(options.samples ?? DEFAULT_SAMPLES));
  }

  /** Finite values seen. */
  get count(): number {
    return this.#count;
  }

  /** NaN and infinite values seen: they count for nothing, and none should be there. */
  get ignored(): number {
    return this.#ignored;
  }

  /** Mean of the finite values seen; 0 where there are none. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** Sees the values of one picture (or of a part of one). */
  observe(values: Float32Array): void {
    if (values.length === 0) return;
    const all = extremes(values);
    if (Number.isFinite(all.sum)) {
      this.#take(values, all);
      return;
    }
    const finite = values.filter(Number.isFinite);
    this.#ignored += values.length - finite.length;
    if (finite.length > 0) this.#take(finite, extremes(finite));
  }

  #take(values: Float32Array, { min, max, sum }: Extremes): void {
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
    this.#sum += sum;
    this.#count += values.length;
    // An odd step does not keep hitting the same columns of a feature map; the start moves from call to call.
    const step = Math.ceil(values.length / this.#samples) | 1;
    const first = Math.floor(((this.#calls * GOLDEN) % 1) * step);
    this.#calls++;
    this.#histogram.add(values, Math.max(-min, max), first, step);
  }

  /**
   * The range to cover, zero included.
   *
   * @param bits of the grid, 2 to 8
   * @throws BitlaneError `INTERNAL` where no finite value was seen
   */
  range(method: RangeMethod = DEFAULT_RANGE_METHOD, bits = 8, options: RangeOptions = {}): Range {
    if (this.#count === 0) {
      throw new BitlaneError('INTERNAL', 'no finite value was seen: there is no range to find');
    }
    const whole: Range = { min: Math.min(this.#min, 0), max: Math.max(this.#max, 0) };
    if (whole.min === whole.max) return whole;
    switch (method) {
      case 'min-max':
        return whole;
      case 'percentile':
        return percentileRange(this.#histogram, whole, options.percentile ?? 99.99);
      case 'mse':
        return mseRange(this.#histogram, whole, bits);
      case 'kl':
        return klRange(this.#histogram, whole, bits);
      case 'aciq':
        return aciqRange(this.#histogram, whole, bits, options.family);
    }
  }
}

interface Extremes {
  readonly min: number;
  readonly max: number;
  readonly sum: number;
}

/** Four at a time: the comparisons of one value need not wait for those of the one before. */
const extremes = (values: Float32Array): Extremes => {
  let [min0, min1, min2, min3] = [Infinity, Infinity, Infinity, Infinity];
  let [max0, max1, max2, max3] = [-Infinity, -Infinity, -Infinity, -Infinity];
  let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
  const fours = values.length & ~3;
  for (let i = 0; i < fours; i += 4) {
    const a = values[i] ?? 0;
    const b = values[i + 1] ?? 0;
    const c = values[i + 2] ?? 0;
    const d = values[i + 3] ?? 0;
    if (a < min0) min0 = a;
    if (a > max0) max0 = a;
    if (b < min1) min1 = b;
    if (b > max1) max1 = b;
    if (c < min2) min2 = c;
    if (c > max2) max2 = c;
    if (d < min3) min3 = d;
    if (d > max3) max3 = d;
    sum0 += a;
    sum1 += b;
    sum2 += c;
    sum3 += d;
  }
  for (let i = fours; i < values.length; i++) {
    const a = values[i] ?? 0;
    if (a < min0) min0 = a;
    if (a > max0) max0 = a;
    sum0 += a;
  }
  return {
    min: Math.min(min0, min1, min2, min3),
    max: Math.max(max0, max1, max2, max3),
    sum: sum0 + sum1 + (sum2 + sum3),
  };
};
