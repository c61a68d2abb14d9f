// The new model on the road, held against the one before it, for as long as was asked for.
import type { AdaptationConfig } from '../../config/index.js';
import type { FrameResult } from '../../detector/index.js';
import type { FinishedTrack } from '../../tracking/index.js';
import { ENOUGH, type LiveFigures, LiveRecord, worseThanBefore } from './live.js';

/** Figures of the model that serves, and of the one before where it is still being watched. */
export class LiveWatch {
  #model: string | undefined;
  #current: LiveRecord | undefined;
  #sinceWallMs = 0;
  #sinceMs = 0;
  /** The stretch before the current one, of the same model. */
  #earlier: LiveFigures | undefined;
  #before: LiveFigures | undefined;

  /** One frame of the serving model. */
  result(result: FrameResult, keepSeconds: number, nowMs = performance.now()): void {
    if (result.artifactId !== this.#model) {
      this.#before = this.#best();
      this.#model = result.artifactId;
      this.#begin(nowMs);
      this.#earlier = undefined;
    } else if (nowMs - this.#sinceMs > keepSeconds * 1000) {
      // What was an hour ago was other traffic.
      this.#earlier = this.#current?.figures;
      this.#begin(nowMs);
    }
    this.#current?.result(result, nowMs);
  }

  /** A finished track; one that began with another model says nothing of either. */
  track(track: Pick<FinishedTrack, 'history' | 'firstSeenMs'>): void {
    if (track.firstSeenMs >= this.#sinceWallMs) this.#current?.track(track);
  }

  get model(): string | undefined {
    return this.#model;
  }

  get figures(): { readonly before: LiveFigures | undefined; readonly after: LiveFigures | undefined } {
    return { before: this.#before, after: this.#current?.figures };
  }

  /** p95 of frames of a model that serves, milliseconds; `undefined` where it was not seen for long enough. */
  p95Of(model: string): number | undefined {
    const seen = this.#model === model ? this.#best() : undefined;
    return seen === undefined || seen.frames < ENOUGH.frames ? undefined : (seen.p95Ms ?? undefined);
  }

  /** Why the model that serves should go, if it should. */
  verdict(rules: AdaptationConfig['watch'], latencyMs: number | undefined): string | undefined {
    const { before, after } = this.figures;
    if (after === undefined) return undefined;
    return worseThanBefore(before ?? new LiveRecord(0).figures, after, rules, latencyMs);
  }

  #begin(nowMs: number): void {
    this.#current = new LiveRecord(nowMs);
    this.#sinceMs = nowMs;
    this.#sinceWallMs = Date.now();
  }

  #best(): LiveFigures | undefined {
    const now = this.#current?.figures;
    const earlier = this.#earlier;
    return now === undefined || (earlier !== undefined && earlier.frames > now.frames) ? earlier : now;
  }
}
