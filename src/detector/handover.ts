// The moment of a swap when two generations serve: the candidate gets the frames, the old one finishes those it holds.
import type { FrameResult, Generation } from './generation.js';

/** What the candidate answers before the old one is done waits here, so that results stay in the order of their frames. */
export class Handover {
  readonly candidate: Generation;
  /** Resolves when the old generation holds no frame any more. */
  readonly drained: Promise<void>;
  #resolve: () => void = () => undefined;
  /** Its first frame of its own: what it answers before that are canary frames. */
  #first: number | undefined;
  #early: FrameResult[] = [];
  #given = 0;

  constructor(candidate: Generation) {
    this.candidate = candidate;
    this.drained = new Promise((resolve) => (this.#resolve = resolve));
  }

  /** Frames that the candidate was given to serve, less those it could not decode: lost if it does not take over. */
  get given(): number {
    return this.#given;
  }

  give(seq: number): void {
    this.#first ??= seq;
    this.#given += 1;
  }

  /** Whether the candidate was given this frame to serve it, and not only to show what it can. */
  isServed(seq: number): boolean {
    return this.#first !== undefined && seq >= this.#first;
  }

  /** The candidate could not decode a frame it was given. */
  drop(): void {
    this.#given -= 1;
  }

  keep(result: FrameResult): void {
    this.#early.push(result);
  }

  /** Answers that came before the old generation was done. */
  takeEarly(): readonly FrameResult[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  /** @param inFlight frames that the old generation still holds */
  check(inFlight: number): void {
    if (inFlight === 0) this.#resolve();
  }
}
