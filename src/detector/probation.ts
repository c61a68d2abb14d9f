// A candidate that serves before it was proved, where a device cannot hold two processes: held against what its predecessor showed.
import { type CanaryFigures, type CanaryRules, quantilesOf, workMs } from './canary.js';
import type { FrameResult } from './generation.js';

/** Frames of the predecessor whose times are remembered. */
const REMEMBERED = 256;

/** Times of the latest frames of the serving generation. */
export class RecentTimes {
  #times: number[] = [];
  #generation: number | undefined;

  add(result: FrameResult): void {
    if (result.generation !== this.#generation) {
      this.#generation = result.generation;
      this.#times = [];
    }
    this.#times.push(workMs(result));
    if (this.#times.length > REMEMBERED) this.#times.shift();
  }

  get all(): readonly number[] {
    return this.#times;
  }
}

/** Counts a candidate's frames and gives one verdict: figures, or the rule that was broken. */
export class Probation {
  readonly #rules: CanaryRules;
  readonly #before: readonly number[];
  readonly #verdict: (outcome: CanaryFigures | string) => void;
  readonly #times: number[] = [];

  /** @param before times of the predecessor's latest frames */
  constructor(
    rules: CanaryRules,
    before: readonly number[],
    verdict: (outcome: CanaryFigures | string) => void,
  ) {
    this.#rules = rules;
    this.#before = before;
    this.#verdict = verdict;
  }

  add(result: FrameResult): void {
    if (result.nonFinite > 0) {
      this.#verdict(`the candidate's outputs hold ${result.nonFinite} values that are not finite numbers`);
      return;
    }
    this.#times.push(workMs(result));
    if (this.#times.length < this.#rules.frames) return;
    const [serving, candidate] = [quantilesOf(this.#before), quantilesOf(this.#times)];
    const { maxLatencyRatio } = this.#rules;
    this.#verdict(
      candidate.p50Ms > maxLatencyRatio * serving.p50Ms
        ? `the candidate takes ${candidate.p50Ms.toFixed(1)} ms a frame, more than ${maxLatencyRatio} times the ${serving.p50Ms.toFixed(1)} ms of the model before`
        : { frames: this.#times.length, serving, candidate, confident: 0, found: 0 },
    );
  }
}
