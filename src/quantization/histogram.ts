// A histogram of a stream whose range is not known: bins on both sides of zero, twice as wide whenever a value falls outside.

/** Bins on each side of zero: at least half of them lie within the largest magnitude seen. */
export const SIDE_BINS = 4096;

/** Smallest limit: values below count as if they were in the first bin. */
const LEAST_LIMIT = 2 ** -100;

/**
 * Counts of values. The limit is a power of two, so that the bins do not depend on the order in which values came. Exact zeros
 * are counted apart: after a ReLU they are half of all values, cost no error on any grid and would hide the rest.
 */
export class Histogram {
  /** [-limit, limit) in 2 x SIDE_BINS bins. */
  readonly counts = new Uint32Array(2 * SIDE_BINS);
  #limit = 0;
  #zeros = 0;
  #total = 0;

  /** Magnitude that no value reaches; 0 while there are none. */
  get limit(): number {
    return this.#limit;
  }

  get binWidth(): number {
    return this.#limit / SIDE_BINS;
  }

  /** How many values were exactly zero. */
  get zeros(): number {
    return this.#zeros;
  }

  /** How many values there are, zeros included. */
  get total(): number {
    return this.#total;
  }

  /** The middle of bin `index`. */
  centre(index: number): number {
    return (index - SIDE_BINS + 0.5) * this.binWidth;
  }

  /**
   * Counts every `step`-th value from `first` on.
   *
   * @param magnitude no value of them is larger
   */
  add(values: Float32Array, magnitude: number, first: number, step: number): void {
    if (magnitude >= this.#limit) this.#grow(magnitude);
    const counts = this.counts;
    const perUnit = SIDE_BINS / this.#limit;
    let zeros = 0;
    let total = 0;
    for (let i = first; i < values.length; i += step, total++) {
      const value = values[i] ?? 0;
      if (value === 0) zeros++;
      // Rounded down before the sum, which would lose tiny negative values.
      const bin = (Math.floor(value * perUnit) | 0) + SIDE_BINS;
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    counts[SIDE_BINS] = (counts[SIDE_BINS] ?? 0) - zeros;
    this.#zeros += zeros;
    this.#total += total;
  }

  #grow(magnitude: number): void {
    let limit = Math.max(this.#limit, LEAST_LIMIT);
    while (limit <= magnitude) limit *= 2;
    const factor = this.#limit === 0 ? 1 : limit / this.#limit;
    this.#limit = limit;
    if (factor === 1) return;
    const counts = this.counts;
    const merged = new Uint32Array(counts.length);
    for (let bin = 0; bin < counts.length; bin++) {
      const to = Math.floor((bin - SIDE_BINS) / factor) + SIDE_BINS;
      merged[to] = (merged[to] ?? 0) + (counts[bin] ?? 0);
    }
    counts.set(merged);
  }
}
