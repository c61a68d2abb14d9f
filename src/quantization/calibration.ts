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
  /** Most values of one call that go into the histogram (default 8,192), evenly spread; minimum and maximum see all. */
  readonly samples?: number;
  /**
   * Whether minimum and maximum see the samples alone (default false): several times faster on large activations, and all that
   * methods other than `min-max` need.
   */
  readonly sampledExtremes?: boolean;
}

const DEFAULT_SAMPLES = 8_192;
const GOLDEN = 0.6180339887498949;

/** Watches one activation. Deterministic: the same calls give the same ranges. */
export class ActivationObserver {
  readonly #histogram = new Histogram();
  readonly #samples: number;
  readonly #sampledExtremes: boolean;
  #min = Infinity;
  #max = -Infinity;
  #count = 0;
  #ignored = 0;
  #calls = 0;

  constructor(options: ObserverOptions = {}) {
    this.#samples = Math.max(1, Math.floor(options.samples ?? DEFAULT_SAMPLES));
    this.#sampledExtremes = options.sampledExtremes ?? false;
  }

  /** Finite values looked at. */
  get count(): number {
    return this.#count;
  }

  /** NaN and infinite values seen: they count for nothing, and none should be there. */
  get ignored(): number {
    return this.#ignored;
  }

  /** Sees the values of one picture (or of a part of one). */
  observe(values: Float32Array): void {
    // An odd step does not keep hitting the same columns of a feature map; the start moves from call to call.
    const step = Math.ceil(values.length / this.#samples) | 1;
    const first = Math.floor(((this.#calls * GOLDEN) % 1) * Math.min(step, values.length));
    this.#calls++;
    if (this.#sampledExtremes) this.#take(everyNth(values, first, step), 0, 1);
    else this.#take(values, first, step);
  }

  #take(values: Float32Array, first: number, step: number): void {
    const { min, max, ignored } = widened(values, { min: this.#min, max: this.#max });
    this.#ignored += ignored;
    this.#count += values.length - ignored;
    if (ignored === values.length) return;
    this.#min = min;
    this.#max = max;
    this.#histogram.add(
      ignored === 0 ? values : values.filter(Number.isFinite),
      Math.max(-min, max),
      first,
      step,
    );
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

const everyNth = (values: Float32Array, first: number, step: number): Float32Array => {
  const taken = new Float32Array(Math.max(0, Math.ceil((values.length - first) / step)));
  for (let i = 0, from = first; i < taken.length; i++, from += step) taken[i] = values[from] ?? 0;
  return taken;
};

interface Extremes {
  readonly min: number;
  readonly max: number;
  /** Values that are NaN or infinite. */
  readonly ignored: number;
}

/** Whether any value is outside, or NaN, which answers no to every comparison. */
const anyOutside = (values: Float32Array, { min, max }: Range): boolean => {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (!(value >= min && value <= max)) return true;
  }
  return false;
};

/** The extremes, starting from those known. Few values move one: it is asked whether any does before it is looked at which. */
const widened = (values: Float32Array, from: Range): Extremes => {
  if (!anyOutside(values, from)) return { ...from, ignored: 0 };
  let { min, max } = from;
  let ignored = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (value >= min && value <= max) continue;
    if (!Number.isFinite(value)) {
      ignored++;
      continue;
    }
    // The first one sets both.
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max, ignored };
};
