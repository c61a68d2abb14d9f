// Restart delays: exponential with jitter, bounded, forgotten after a good stretch.

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** When an attempt went well for this long (counted from the end of the wait before it) the next delay is `initialMs` again. */
  readonly resetAfterMs: number;
}

/** Delay before the next attempt. Not a timer: the owner waits. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  #failures = 0;
  /** The end of the last wait: the soonest that the next attempt began. */
  #lastAttempt = Number.NEGATIVE_INFINITY;

  constructor(
    options: BackoffOptions,
    now: () => number = () => performance.now(),
    random: () => number = Math.random,
  ) {
    this.#options = options;
    this.#now = now;
    this.#random = random;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** Records a failure and returns the wait in milliseconds, never more than `maxMs`. */
  next(): number {
    const now = this.#now();
    if (now - this.#lastAttempt > this.#options.resetAfterMs) this.#failures = 0;
    const base = Math.min(this.#options.maxMs, this.#options.initialMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    const wait = base * (0.75 + 0.25 * this.#random());
    this.#lastAttempt = now + wait;
    return wait;
  }

  reset(): void {
    this.#failures = 0;
    this.#lastAttempt = Number.NEGATIVE_INFINITY;
  }
}
