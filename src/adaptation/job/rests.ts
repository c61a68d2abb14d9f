// When the adapter rests so that frames have the processor to themselves: while one is at work, and for no longer than is fair.

/** Share of the time that the adapter has at least, however busy the detector is. */
export const LEAST_SHARE = 0.25;
/** What it may be owed of that, milliseconds; then it works through frames until it is owed nothing. */
export const MOST_OWED_MS = 200;

const PER_REST = LEAST_SHARE / (1 - LEAST_SHARE);

/** The clock and the timer that {@link Rests} goes by. */
export interface RestsClock {
  /** Milliseconds. */
  readonly now: () => number;
  /** Calls back once after `ms`; returns what takes that back. */
  readonly after: (ms: number, work: () => void) => () => void;
}

const CLOCK: RestsClock = {
  now: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * Work beside a model slows it down, however low its priority: two threads of one core share its units, and all cores share memory. So
 * the adapter rests while a frame is at work and works between frames. A detector that is always at work leaves it
 * {@link LEAST_SHARE} of the time, in pieces of {@link MOST_OWED_MS}.
 */
export class Rests {
  readonly #set: (rests: boolean) => void;
  readonly #clock: RestsClock;
  #busy = false;
  #timing = false;
  #rests = false;
  /** It is owed so much that it works, whatever the frames do. */
  #isPaid = false;
  #owedMs = 0;
  #sinceMs: number;
  #takeBack: (() => void) | undefined;

  /** @param set puts the adapter to rest, and back to work; called on changes alone */
  constructor(set: (rests: boolean) => void, clock: RestsClock = CLOCK) {
    this.#set = set;
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** Whether a frame is at work. */
  frames(busy: boolean): void {
    this.#busy = busy;
    this.#see();
  }

  /** Whether the adapter measures times, which a rest would be part of. */
  timing(isTiming: boolean): void {
    this.#timing = isTiming;
    this.#see();
  }

  /** No more rests. */
  end(): void {
    this.frames(false);
  }

  #see(): void {
    const now = this.#clock.now();
    const goneMs = now - this.#sinceMs;
    this.#sinceMs = now;
    this.#owedMs = Math.max(0, this.#owedMs + (this.#rests ? PER_REST * goneMs : -goneMs));
    if (this.#owedMs >= MOST_OWED_MS) this.#isPaid = true;
    if (this.#owedMs === 0) this.#isPaid = false;
    const rests = this.#busy && !this.#timing && !this.#isPaid;
    if (rests !== this.#rests) {
      this.#rests = rests;
      this.#set(rests);
    }
    this.#takeBack?.();
    this.#takeBack = undefined;
    const nextMs = rests
      ? (MOST_OWED_MS - this.#owedMs) / PER_REST
      : this.#busy && this.#isPaid && !this.#timing
        ? this.#owedMs
        : undefined;
    if (nextMs !== undefined) this.#takeBack = this.#clock.after(Math.ceil(nextMs), () => this.#see());
  }
}
