// Live figures of a model on the road, and whether a new one does worse than the one before it.
import type { AdaptationConfig } from '../../config/index.js';
import { type FrameResult, workMs } from '../../detector/index.js';
import { type FinishedTrack, flips } from '../../tracking/index.js';

/** What was seen of one model on live frames. */
export interface LiveFigures {
  readonly frames: number;
  /** Without those in which no frame came. */
  readonly seconds: number;
  readonly fps: number;
  /** p95 of the time of a frame in the detector process, over the latest frames. */
  readonly p95Ms: number | null;
  readonly detections: number;
  /** Mean score of what scores {@link SHOWN} or more. */
  readonly confidence: number | null;
  readonly tracks: number;
  readonly flipsPerTrack: number | null;
  /** Outputs that were no finite numbers. */
  readonly nonFinite: number;
}

/** Detections of less are hardly ever things. */
const SHOWN = 0.3;
const KEPT_TIMES = 2_048;
/** So long without a frame, none came from the camera: no model takes as long for one. */
const AWAY_MS = 5_000;

/** Adds up what one model shows. */
export class LiveRecord {
  readonly #times = new Float64Array(KEPT_TIMES);
  readonly #startMs: number;
  #lastMs: number;
  #awayMs = 0;
  #frames = 0;
  #detections = 0;
  #scores = 0;
  #tracks = 0;
  #flips = 0;
  #nonFinite = 0;

  /** @param nowMs of the clock that frames are received by */
  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#lastMs = nowMs;
  }

  result(result: FrameResult, nowMs: number): void {
    this.#times[this.#frames % KEPT_TIMES] = workMs(result);
    // A camera that is away says nothing of the model.
    if (nowMs - this.#lastMs > AWAY_MS) this.#awayMs += nowMs - this.#lastMs;
    this.#frames += 1;
    this.#lastMs = nowMs;
    this.#nonFinite += result.nonFinite;
    for (const { score } of result.detections) {
      if (score < SHOWN) continue;
      this.#detections += 1;
      this.#scores += score;
    }
  }

  track({ history }: Pick<FinishedTrack, 'history'>): void {
    this.#tracks += 1;
    this.#flips += flips(history).length;
  }

  get figures(): LiveFigures {
    const seconds = Math.max(0, this.#lastMs - this.#startMs - this.#awayMs) / 1000;
    const times = this.#times.slice(0, Math.min(this.#frames, KEPT_TIMES)).sort();
    return {
      frames: this.#frames,
      seconds,
      fps: seconds === 0 ? 0 : this.#frames / seconds,
      p95Ms: times.length === 0 ? null : (times[Math.ceil(0.95 * times.length) - 1] ?? null),
      detections: this.#detections,
      confidence: this.#detections === 0 ? null : this.#scores / this.#detections,
      tracks: this.#tracks,
      flipsPerTrack: this.#tracks === 0 ? null : this.#flips / this.#tracks,
      nonFinite: this.#nonFinite,
    };
  }
}

/** Below these a figure says nothing. */
export const ENOUGH = { frames: 100, detections: 200, tracks: 20 } as const;
/** Changes of class a track that are not worth going back for, however few there were before. */
const FEW_FLIPS = 0.5;

/** What the new model does worse than it may, as a sentence; `undefined` where nothing is, or nothing can be said yet. */
export const worseThanBefore = (
  before: LiveFigures,
  after: LiveFigures,
  rules: AdaptationConfig['watch'],
  latencyMs: number | undefined,
): string | undefined => {
  if (after.nonFinite > 0) return `its outputs hold ${after.nonFinite} values that are not finite numbers`;
  if (after.frames < ENOUGH.frames) return undefined;
  if (latencyMs !== undefined && after.p95Ms !== null && after.p95Ms > latencyMs) {
    return `95 % of its frames take ${after.p95Ms.toFixed(1)} ms or less, more than the budget of ${latencyMs} ms`;
  }
  if (before.frames < ENOUGH.frames) return undefined;
  if (after.fps < rules.minThroughputRatio * before.fps) {
    return `it does ${after.fps.toFixed(1)} frames a second where the model before did ${before.fps.toFixed(1)}`;
  }
  const enough = Math.min(before.detections, after.detections) >= ENOUGH.detections;
  const drop = (before.confidence ?? 0) - (after.confidence ?? 0);
  if (enough && drop > rules.maxConfidenceDrop) {
    return `the mean score of what it detects is ${drop.toFixed(2)} below that of the model before`;
  }
  const [old, young] = [before.flipsPerTrack ?? 0, after.flipsPerTrack ?? 0];
  if (
    Math.min(before.tracks, after.tracks) >= ENOUGH.tracks &&
    young > FEW_FLIPS &&
    young > rules.maxFlipsRatio * old
  ) {
    return `it changes the class of a vehicle ${young.toFixed(1)} times where the model before did ${old.toFixed(1)} times`;
  }
  return undefined;
};
