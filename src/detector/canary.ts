// What a candidate must show on live frames before it may take over.
import { median } from '../system/index.js';
import { type Detection, iou } from '../vision/index.js';
import type { FrameResult } from './generation.js';

export interface CanaryRules {
  /** Frames that both generations must have answered. */
  readonly frames: number;
  readonly timeoutMs: number;
  /** Largest median time of a frame in the detector process, over the serving generation's on the same frames. */
  readonly maxLatencyRatio: number;
  /** Smallest share (0..1) of the serving model's confident detections that the candidate finds too; 0: not checked. */
  readonly minAgreement: number;
}

/** Class names of both artifacts, in their orders: the same class may have another index in each. */
export interface CanaryClasses {
  readonly serving: readonly string[];
  readonly candidate: readonly string[];
}

/** What a canary came to: both generations on the same frames, in turns. */
export interface CanaryFigures {
  readonly frames: number;
  /** Milliseconds of a frame in the detector process. */
  readonly serving: Quantiles;
  readonly candidate: Quantiles;
  /** Detections that the serving generation was sure of, and of these those that the candidate found. */
  readonly confident: number;
  readonly found: number;
}

export interface Quantiles {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** Nearest rank. */
export const quantilesOf = (times: readonly number[]): Quantiles => {
  const sorted = [...times].sort((a, b) => a - b);
  return { p50Ms: median(sorted), p95Ms: sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN };
};

const CONFIDENT = 0.5;
const SAME_PLACE = 0.5;

/** What a frame took in the detector process, in milliseconds. */
export const workMs = ({ timings }: FrameResult): number =>
  timings.preprocessMs + timings.inferenceMs + timings.postprocessMs;

/**
 * Of the serving model's detections of one frame that score 0.5 or more, how many the candidate finds: same class name, IoU of
 * 0.5 or more, its score whatever it is. Best first, and each of the candidate's boxes stands for one.
 */
export const countFound = (
  serving: readonly Detection[],
  candidate: readonly Detection[],
  classes: CanaryClasses,
): { readonly confident: number; readonly found: number } => {
  const confident = serving
    .filter((detection) => detection.score >= CONFIDENT)
    .sort((a, b) => b.score - a.score);
  const free = new Set(candidate);
  let found = 0;
  for (const wanted of confident) {
    const name = classes.serving[wanted.classId];
    let best: Detection | undefined;
    let bestIou = SAME_PLACE;
    for (const offered of free) {
      if (classes.candidate[offered.classId] !== name) continue;
      const overlap = iou(wanted, offered);
      if (overlap >= bestIou) [best, bestIou] = [offered, overlap];
    }
    if (best === undefined) continue;
    free.delete(best);
    found += 1;
  }
  return { confident: confident.length, found };
};

/**
 * Holds both generations' answers to the same frames against each other and gives one verdict: `undefined` for passed, or the
 * rule that was broken.
 */
export class CanaryRecord {
  readonly #rules: CanaryRules;
  readonly #classes: CanaryClasses;
  readonly #verdict: (problem: string | undefined) => void;
  /** Answers that wait for the other generation's, by frame. A generation holds two frames at most, so these are few. */
  readonly #waiting = { serving: new Map<number, FrameResult>(), candidate: new Map<number, FrameResult>() };
  readonly #times = { serving: [] as number[], candidate: [] as number[] };
  #confident = 0;
  #found = 0;
  #done = false;

  constructor(rules: CanaryRules, classes: CanaryClasses, verdict: (problem: string | undefined) => void) {
    this.#rules = rules;
    this.#classes = classes;
    this.#verdict = verdict;
  }

  get figures(): CanaryFigures {
    return {
      frames: this.#times.candidate.length,
      serving: quantilesOf(this.#times.serving),
      candidate: quantilesOf(this.#times.candidate),
      confident: this.#confident,
      found: this.#found,
    };
  }

  addServing(result: FrameResult): void {
    this.#add('serving', 'candidate', result);
  }

  addCandidate(result: FrameResult): void {
    if (result.nonFinite > 0) {
      this.#end(`the candidate's outputs hold ${result.nonFinite} values that are not finite numbers`);
    } else this.#add('candidate', 'serving', result);
  }

  #add(side: 'serving' | 'candidate', other: 'serving' | 'candidate', result: FrameResult): void {
    if (this.#done) return;
    const { seq } = result.frame;
    const match = this.#waiting[other].get(seq);
    if (match === undefined) {
      this.#waiting[side].set(seq, result);
      return;
    }
    // Both answer in the order of their frames: what is older than this one has no match coming.
    for (const waiting of Object.values(this.#waiting)) {
      for (const older of waiting.keys()) if (older <= seq) waiting.delete(older);
    }
    this.#times[side].push(workMs(result));
    this.#times[other].push(workMs(match));
    const [serving, candidate] = side === 'serving' ? [result, match] : [match, result];
    const { confident, found } = countFound(serving.detections, candidate.detections, this.#classes);
    this.#confident += confident;
    this.#found += found;
    if (this.#times.candidate.length >= this.#rules.frames)
      this.#end(this.#tooSlow() ?? this.#tooDifferent());
  }

  #tooSlow(): string | undefined {
    const { maxLatencyRatio } = this.#rules;
    const [candidate, serving] = [median(this.#times.candidate), median(this.#times.serving)];
    return candidate > serving * maxLatencyRatio
      ? `the candidate takes ${candidate.toFixed(1)} ms a frame, more than ${maxLatencyRatio} times the ${serving.toFixed(1)} ms of the serving model`
      : undefined;
  }

  #tooDifferent(): string | undefined {
    return this.#found < this.#rules.minAgreement * this.#confident
      ? `the candidate finds ${this.#found} of the ${this.#confident} objects that the serving model is sure of, less than a share of ${this.#rules.minAgreement}`
      : undefined;
  }

  #end(problem: string | undefined): void {
    if (this.#done) return;
    this.#done = true;
    this.#verdict(problem);
  }
}
