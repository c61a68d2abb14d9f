// Whether the clock on the wall can be trusted with removing things for their age: what is gone does not come back when it is set right.
/** Further from the monotonic clock between two looks, and it was set. */
const LEAP_MS = 60_000;
/** A device without a battery, or with a bad time server, is set right within this time of its start, as a rule. */
const STEADY_MS = 3_600_000;

export interface Clocks {
  /** UTC, milliseconds. */
  readonly wall: () => number;
  readonly monotonic: () => number;
}

const CLOCKS: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

export class SteadyClock {
  readonly #clocks: Clocks;
  #offsetMs: number;
  #sinceMs: number;

  constructor(clocks: Clocks = CLOCKS) {
    this.#clocks = clocks;
    this.#sinceMs = clocks.monotonic();
    this.#offsetMs = clocks.wall() - this.#sinceMs;
  }

  /** It ran for an hour without a leap. Looks at the clocks: a leap just now counts. */
  isSteady(): boolean {
    const nowMs = this.#clocks.monotonic();
    const offsetMs = this.#clocks.wall() - nowMs;
    if (Math.abs(offsetMs - this.#offsetMs) > LEAP_MS) this.#sinceMs = nowMs;
    this.#offsetMs = offsetMs;
    return nowMs - this.#sinceMs >= STEADY_MS;
  }
}
