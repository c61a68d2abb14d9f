// Latency and rate over the newest frames.

/** The newest values, and quantiles of them. */
export class LatencyWindow {
  readonly #values: Float64Array;
  #count = 0;

  /** @param size values that are kept */
  constructor(size = 512) {
    this.#values = new Float64Array(size);
  }

  get count(): number {
    return this.#count;
  }

  /** @param ms one frame's latency, milliseconds */
  add(ms: number): void {
    this.#values[this.#count % this.#values.length] = ms;
    this.#count += 1;
  }

  /** The `share` quantile (nearest rank) in milliseconds; `null` before the first value. */
  quantile(share: number): number | null {
    const kept = Math.min(this.#count, this.#values.length);
    if (kept === 0) return null;
    const sorted = this.#values.slice(0, kept).sort();
    return sorted[Math.min(kept - 1, Math.max(0, Math.ceil(share * kept) - 1))] ?? null;
  }
}

/** Events a second between two looks. */
export class Rate {
  #count: number;
  #atMs: number;

  constructor(count = 0, atMs = performance.now()) {
    this.#count = count;
    this.#atMs = atMs;
  }

  /** Events a second since the look before, and begins anew. */
  look(count: number, atMs = performance.now()): number {
    const seconds = (atMs - this.#atMs) / 1000;
    const rate = seconds > 0 ? (count - this.#count) / seconds : 0;
    this.#count = count;
    this.#atMs = atMs;
    return Math.max(0, rate);
  }
}
