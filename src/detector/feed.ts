// The frame feed: newest frame wins, one generation serves, and a swap moves the feed over between two frames.
import { BitlaneError, messageOf } from '../errors.js';
import { Emitter } from '../system/index.js';
import type { Frame } from '../vision/index.js';
import { type CanaryRules, CanaryRecord } from './canary.js';
import type { FrameResult, Generation, GenerationEvents } from './generation.js';

export type SwapStep = 'starting' | 'canary' | 'handover' | 'committed' | 'rolled-back';

export interface SwapEvent {
  readonly step: SwapStep;
  readonly from: string;
  readonly to: string;
  /** Why, for `rolled-back`: one plain sentence. */
  readonly reason?: string;
}

export interface FeedEvents {
  /** Results of the serving generation only, in the order of their frames. */
  result: FrameResult;
  swap: SwapEvent;
  /** The serving generation ended by itself; frames wait (newest wins) until {@link DetectorFeed.serve} names another. */
  failed: GenerationEvents['failed'];
}

/** Every frame received is in exactly one place: received = done + dropped + skipped + lost + in flight + waiting. */
export interface FeedCounters {
  received: number;
  done: number;
  /** Could not be decoded. */
  dropped: number;
  /** Overwritten by a newer frame before a generation wanted one. */
  skipped: number;
  /** Were with a generation that failed. */
  lost: number;
}

/** Owns which generation sees frames. Starting and restarting the serving generation is its owner's business. */
export class DetectorFeed extends Emitter<FeedEvents> {
  readonly counters: FeedCounters = { received: 0, done: 0, dropped: 0, skipped: 0, lost: 0 };
  #serving: Generation | undefined;
  #candidate: Generation | undefined;
  #record: CanaryRecord | undefined;
  #waiting: Frame | undefined;
  #held = false;
  #swapping = false;
  #onIdle: (() => void) | undefined;
  #abortSwap: ((reason: string) => void) | undefined;

  get serving(): Generation | undefined {
    return this.#serving;
  }

  get swapping(): boolean {
    return this.#swapping;
  }

  /** Frames waiting for the serving generation: 0 or 1. */
  get waiting(): number {
    return this.#waiting === undefined ? 0 : 1;
  }

  /** Makes a started generation the serving one. Throws `BUSY` while another serves or a swap runs. */
  serve(generation: Generation): void {
    if (this.#serving !== undefined || this.#swapping) {
      throw new BitlaneError('BUSY', 'a generation serves already: swap to another');
    }
    this.#attach(generation);
    this.#serving = generation;
    this.#pump();
  }

  /** Takes the newest frame; one that still waits is skipped and counted. */
  offer(frame: Frame): void {
    this.counters.received += 1;
    if (this.#waiting !== undefined) this.counters.skipped += 1;
    this.#waiting = frame;
    // A canary sees live frames beside the serving generation; what it misses is not counted anywhere.
    const canary = this.#record === undefined ? undefined : this.#candidate;
    try {
      canary?.offer(frame);
    } catch {
      // The serving generation meets the same frame, and counts it.
    }
    this.#pump();
  }

  /**
   * Starts `candidate`, lets it see live frames, and moves the feed to it. Resolves once it serves and the old one is gone; on
   * any failure the old one goes on and `SWAP_FAILED` is thrown. `beforeCommit` runs when the canary has passed, with nothing
   * in flight in neither: if it throws, the swap is rolled back.
   */
  async swap(
    candidate: Generation,
    rules: CanaryRules,
    beforeCommit: () => void = () => undefined,
  ): Promise<void> {
    const old = this.#serving;
    if (this.#swapping) throw new BitlaneError('BUSY', 'a swap is running: wait until it has ended');
    if (old === undefined)
      throw new BitlaneError('SWAP_FAILED', 'no generation serves: there is nothing to swap');
    this.#swapping = true;
    const tell = (step: SwapStep, reason?: string): void =>
      this.emit('swap', {
        step,
        from: old.artifactId,
        to: candidate.artifactId,
        ...(reason === undefined ? {} : { reason }),
      });
    let timer: NodeJS.Timeout | undefined;
    const aborted = new Promise<never>((_, reject) => {
      this.#abortSwap = (reason) => reject(new BitlaneError('SWAP_FAILED', reason));
    });
    aborted.catch(() => undefined);
    try {
      tell('starting');
      await Promise.race([candidate.start(), aborted]);
      this.#candidate = candidate;
      this.#attach(candidate);
      tell('canary');
      timer = setTimeout(
        () => this.#abortSwap?.(`the candidate had not passed its canary after ${rules.timeoutMs} ms`),
        rules.timeoutMs,
      );
      await Promise.race([this.#canary(rules), aborted]);
      tell('handover');
      this.#held = true;
      await Promise.race([this.#idle(), aborted]);
      beforeCommit();
      this.#serving = candidate;
    } catch (error) {
      const reason = messageOf(error);
      this.#endSwap();
      tell('rolled-back', reason);
      await candidate.stop();
      throw new BitlaneError('SWAP_FAILED', reason, { cause: error });
    } finally {
      clearTimeout(timer);
    }
    this.#endSwap();
    tell('committed');
    await old.stop();
  }

  /** Ends both generations. */
  async stop(): Promise<void> {
    this.#abortSwap?.('the daemon is stopping');
    this.removeAll();
    const generations = [this.#serving, this.#candidate];
    this.#serving = undefined;
    await Promise.all(generations.map(async (generation) => generation?.stop()));
  }

  #canary(rules: CanaryRules): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#record = new CanaryRecord(rules, (problem) => {
        this.#record = undefined;
        if (problem === undefined) resolve();
        else reject(new BitlaneError('SWAP_FAILED', problem));
      });
    });
  }

  /** Resolves when neither generation holds a frame. */
  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    if ((this.#serving?.inFlight ?? 0) + (this.#candidate?.inFlight ?? 0) === 0) this.#onIdle?.();
  }

  #endSwap(): void {
    this.#candidate = undefined;
    this.#record = undefined;
    this.#onIdle = undefined;
    this.#abortSwap = undefined;
    this.#held = false;
    this.#swapping = false;
    this.#pump();
  }

  #pump(): void {
    if (this.#held || this.#waiting === undefined || this.#serving?.wants !== true) return;
    const frame = this.#waiting;
    this.#waiting = undefined;
    try {
      this.#serving.offer(frame);
    } catch {
      // A frame that breaks its own size: the camera's door lets none through, so this is counted, not spread.
      this.counters.dropped += 1;
    }
  }

  #attach(generation: Generation): void {
    generation.on('want', () => this.#pump());
    generation.on('result', (result) => {
      if (generation === this.#serving) {
        this.counters.done += 1;
        this.#record?.addServing(result);
        this.emit('result', result);
      } else this.#record?.addCandidate(result);
      this.#checkIdle();
    });
    generation.on('dropped', () => {
      if (generation === this.#serving) this.counters.dropped += 1;
      this.#checkIdle();
    });
    generation.on('failed', (failure) => {
      if (generation !== this.#serving) {
        this.#abortSwap?.(failure.message);
        return;
      }
      this.counters.lost += failure.framesLost;
      this.#serving = undefined;
      this.#abortSwap?.(`the serving generation failed during the swap: ${failure.message}`);
      this.emit('failed', failure);
    });
  }
}
