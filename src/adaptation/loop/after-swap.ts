// After a swap: the new model is held against the one before it, and goes back where the road says so.
import type { AdaptationConfig } from '../../config/index.js';
import type { FrameResult } from '../../detector/index.js';
import { messageOf } from '../../errors.js';
import type { Log } from '../../system/index.js';
import type { OutboxBody } from '../../telemetry/index.js';
import type { FinishedTrack } from '../../tracking/index.js';
import type { AdaptationRecord } from './record.js';
import type { Serving } from './serving.js';
import { LiveWatch } from './watch.js';
import { type AgreementOf, Watched, type WatchedOptions } from './watched.js';

/** Between two tries of a way back. */
const RETRY_MS = 15_000;

export interface AfterSwapOptions {
  readonly serving: Pick<Serving, 'use'>;
  /** As it is configured now. */
  readonly rules: () => AdaptationConfig['watch'];
  readonly agreement: AgreementOf | undefined;
  readonly log: Log;
  /** It is not watched any more. `back`: why the model goes; it stays where that is left out. */
  readonly onEnd: (live: AdaptationRecord['live'], back: string | undefined) => void;
  /** The model before is about to be swapped in again. */
  readonly onReturn: () => void;
}

/** Sees every frame and track, watched or not: what was before a swap is what a new model is held against. */
export class AfterSwap {
  readonly #options: AfterSwapOptions;
  readonly #live = new LiveWatch();
  #watched: Watched | undefined;
  /** Why the model that is watched goes, from when that is known until the one before serves again. */
  #back: { readonly reason: string; tryMs: number; isUnderWay: boolean } | undefined;

  constructor(options: AfterSwapOptions) {
    this.#options = options;
  }

  /** A frame of the serving model. */
  result(result: FrameResult): void {
    // What is watched is judged, and remembered, by all that was seen of it.
    const keepSeconds =
      this.#watched?.candidate === result.artifactId ? Infinity : this.#options.rules().seconds;
    this.#live.result(result, keepSeconds);
  }

  track(track: FinishedTrack): void {
    this.#live.track(track);
  }

  /** See {@link LiveWatch.p95Of}. */
  p95Of(model: string): number | undefined {
    return this.#live.p95Of(model);
  }

  begin(swap: Pick<WatchedOptions, 'candidate' | 'baseline' | 'budget'>): void {
    const { agreement, rules } = this.#options;
    const untilMs = performance.now() + rules().seconds * 1000;
    this.#back = undefined;
    this.#watched = new Watched({ ...swap, live: this.#live, agreement, untilMs });
  }

  /** Looks once more at a model that is watched. */
  async look(nowMs: number): Promise<void> {
    if (this.#back !== undefined) {
      if (nowMs >= this.#back.tryMs) await this.#tryBack(this.#back);
      return;
    }
    const found = await this.#watched?.look(this.#options.rules(), nowMs);
    if (found?.kind === 'worse') await this.#goBack(found.reason);
    else if (found?.kind === 'over') this.#end();
  }

  /** Something happened to a model: one that crashes while it is watched goes at once. */
  step({ step, model, reason }: OutboxBody<'event/model'>): void {
    const watched = this.#watched?.candidate;
    if (watched === undefined || model === null) return;
    // One of its own that failed is told too where its settings were changed: it goes on serving then.
    if (model === watched && step === 'restarted') void this.#goBack(reason ?? 'its process ended');
    else if (step === 'committed' && model !== watched) {
      // The way back ends what it began; anybody else's choice stands.
      const isOurs = this.#back?.isUnderWay === true && model === this.#watched?.baseline;
      if (!isOurs) this.#end(this.#back?.reason);
    } else if (step === 'rolled-back' && model === watched) this.#end(reason ?? 'it did not start');
  }

  /** Another model serves now, for a reason that says nothing of the one that was watched. */
  leave(): void {
    if (this.#watched !== undefined && this.#back === undefined) this.#end();
  }

  async #goBack(reason: string): Promise<void> {
    if (this.#watched === undefined || this.#back !== undefined) return;
    this.#back = { reason, tryMs: 0, isUnderWay: false };
    this.#options.onReturn();
    await this.#tryBack(this.#back);
  }

  /** The model stays on record as gone only when it is: a way back that is barred is tried again. */
  async #tryBack(back: { readonly reason: string; tryMs: number; isUnderWay: boolean }): Promise<void> {
    const watched = this.#watched;
    if (watched === undefined || back.isUnderWay) return;
    back.isUnderWay = true;
    try {
      await this.#options.serving.use(watched.baseline, { isTrusted: true });
    } catch (error) {
      back.tryMs = performance.now() + RETRY_MS;
      this.#options.log.error(`the way back to ${watched.baseline.slice(0, 12)} failed: ${messageOf(error)}`);
      return;
    } finally {
      back.isUnderWay = false;
    }
    if (this.#watched === watched) this.#end(back.reason);
  }

  #end(back?: string): void {
    const live = this.#watched?.figures ?? null;
    this.#back = undefined;
    this.#watched = undefined;
    this.#options.onEnd(live, back);
  }
}
