// What a candidate must show on live frames before it may take over.
import type { FrameResult } from './generation.js';

export interface CanaryRules {
  /** Frames that the candidate must have answered. */
  readonly frames: number;
  readonly timeoutMs: number;
  /** Largest median time of a frame in the detector process, over the serving generation's. */
  readonly maxLatencyRatio: number;
}

const workMs = ({ timings }: FrameResult): number =>
  timings.preprocessMs + timings.inferenceMs + timings.postprocessMs;

/** The middle value; `NaN` of nothing. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[half] ?? NaN)
    : ((sorted[half - 1] ?? NaN) + (sorted[half] ?? NaN)) / 2;
};

/** Collects both generations' answers and gives one verdict: `undefined` for passed, or the rule that was broken. */
export class CanaryRecord {
  readonly #rules: CanaryRules;
  readonly #verdict: (problem: string | undefined) => void;
  readonly #serving: number[] = [];
  readonly #candidate: number[] = [];
  #done = false;

  constructor(rules: CanaryRules, verdict: (problem: string | undefined) => void) {
    this.#rules = rules;
    this.#verdict = verdict;
  }

  addServing(result: FrameResult): void {
    this.#serving.push(workMs(result));
    // Only the newest frames are like the candidate's.
    if (this.#serving.length > this.#rules.frames) this.#serving.shift();
    if (!this.#done) this.#judge();
  }

  addCandidate(result: FrameResult): void {
    if (this.#done) return;
    this.#candidate.push(workMs(result));
    if (result.nonFinite > 0) {
      this.#end(`the candidate's outputs hold ${result.nonFinite} values that are not finite numbers`);
    } else this.#judge();
  }

  /** Waits for both: without a frame of the serving generation there is nothing to compare with. */
  #judge(): void {
    if (this.#candidate.length >= this.#rules.frames && this.#serving.length > 0) this.#end(this.#tooSlow());
  }

  #tooSlow(): string | undefined {
    const { maxLatencyRatio } = this.#rules;
    const [candidate, serving] = [median(this.#candidate), median(this.#serving)];
    return candidate > serving * maxLatencyRatio
      ? `the candidate takes ${candidate.toFixed(1)} ms a frame, more than ${maxLatencyRatio} times the ${serving.toFixed(1)} ms of the serving model`
      : undefined;
  }

  #end(problem: string | undefined): void {
    this.#done = true;
    this.#verdict(problem);
  }
}
