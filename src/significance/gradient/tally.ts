// Sums over pictures for thousands of filters at several bit-widths, and how far their order agrees between halves of the pictures.
import { randomNumbers, spearman } from '../statistics.js';

const HALVINGS = 20;

/** The mean of one measure over objects, for every filter and bit-width; and the same over random halves of the pictures. */
export class Tally {
  readonly #sum: Float64Array;
  readonly #halves: readonly Float64Array[];
  readonly #halfWeights = new Float64Array(HALVINGS);
  #weight = 0;
  /** What this picture says so far: to be added to. */
  readonly now: Float64Array;
  #nowWeight = 0;
  readonly #random: () => number;

  /** @param size filters times bit-widths */
  constructor(size: number, halvings = HALVINGS) {
    this.#sum = new Float64Array(size);
    this.now = new Float64Array(size);
    this.#halves = Array.from({ length: halvings }, () => new Float64Array(size));
    // The same halves for every measure.
    this.#random = randomNumbers(1);
  }

  /** Says that objects of this weight went into {@link now}. */
  weigh(weight: number): void {
    this.#nowWeight += weight;
  }

  /** Ends a picture. */
  close(): void {
    const { now } = this;
    for (const half of [undefined, ...this.#halves.keys()]) {
      if (half !== undefined && this.#random() < 0.5) continue;
      const sum = half === undefined ? this.#sum : this.#halves[half];
      if (sum === undefined || this.#nowWeight === 0) continue;
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (now[i] ?? 0);
      if (half === undefined) this.#weight += this.#nowWeight;
      else this.#halfWeights[half] = (this.#halfWeights[half] ?? 0) + this.#nowWeight;
    }
    now.fill(0);
    this.#nowWeight = 0;
  }

  /** Means; zeros where nothing was seen. */
  get means(): Float64Array {
    const weight = this.#weight;
    return weight === 0 ? this.#sum.slice() : this.#sum.map((sum) => sum / weight);
  }

  /** Mean split-half rank correlation of some places; null where it has no meaning. */
  splitHalf(places: readonly number[]): number | null {
    const found: number[] = [];
    for (const [half, sums] of this.#halves.entries()) {
      const weight = this.#halfWeights[half] ?? 0;
      if (weight === 0 || weight >= this.#weight) continue;
      const first = places.map((i) => (sums[i] ?? 0) / weight);
      const second = places.map((i) => ((this.#sum[i] ?? 0) - (sums[i] ?? 0)) / (this.#weight - weight));
      const correlation = spearman(first, second);
      if (correlation !== undefined) found.push(correlation);
    }
    return found.length === 0 ? null : found.reduce((sum, value) => sum + value, 0) / found.length;
  }
}
