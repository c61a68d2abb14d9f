// When the next frame is taken: late enough to be fresh, early enough to be there when the model is free.

/** Of the time that is expected, how much is believed; the rest is a margin for whatever comes between. */
const TRUST = 0.85;
/** For the way through two processes and the timer's own grain. */
const MARGIN_MS = 2;
const SMOOTHING = 0.2;

/** Learns from the frames that were done. */
export class Pace {
  #intakeMs = 0;
  #modelMs = 0;

  /** @param intakeMs decoding and placing a frame; @param modelMs the model and what comes after it */
  add(intakeMs: number, modelMs: number): void {
    const share = this.#modelMs === 0 ? 1 : SMOOTHING;
    this.#intakeMs += share * (intakeMs - this.#intakeMs);
    this.#modelMs += share * (modelMs - this.#modelMs);
  }

  /** Milliseconds after the process has begun with a frame. 0 at first. */
  waitMs(): number {
    return Math.max(0, Math.floor(TRUST * this.#modelMs - 2 * this.#intakeMs - MARGIN_MS));
  }
}
