// The frame feed: newest frame wins, one generation serves, and a swap moves the feed over between two frames.
import { setTimeout as sleep } from 'node:timers/promises';
import { BitlaneError, messageOf } from '../errors.js';
import { Emitter } from '../system/index.js';
import type { Frame } from '../vision/index.js';
import { type CanaryFigures, type CanaryRules, CanaryRecord } from './canary.js';
import type { FrameResult, Generation, GenerationEvents } from './generation.js';
import { Handover } from './handover.js';
import { Probation, RecentTimes } from './probation.js';
import { CanaryTurns } from './turns.js';

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
  /** Whether a frame is at work. */
  busy: boolean;
  /** A frame is wanted and none waits: a source that delivers on demand is asked for one. */
  want: undefined;
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

export interface SwapHooks {
  /** A last look at a candidate that passed its canary: what is wrong with it, or nothing. */
  readonly check?: (figures: CanaryFigures) => string | undefined;
  /** Makes the swap durable. */
  readonly commit?: () => void | Promise<void>;
  /** Takes `commit` back. */
  readonly undo?: () => void | Promise<void>;
}

/** Between two looks whether a process has answered its last frame. */
const DRAIN_MS = 5;
/** For how long a swap waits for a frame before it starts its process: a camera may stand still. */
const FRAME_WAIT_MS = 500;

/** Owns which generation sees frames. Starting and restarting the serving generation is its owner's business. */
export class DetectorFeed extends Emitter<FeedEvents> {
  readonly counters: FeedCounters = { received: 0, done: 0, dropped: 0, skipped: 0, lost: 0 };
  #serving: Generation | undefined;
  #candidate: Generation | undefined;
  #record: CanaryRecord | undefined;
  #turns: CanaryTurns | undefined;
  #waiting: Frame | undefined;
  #swapping = false;
  /** A frame is at work. */
  #busy = false;
  /** Nothing is given to anyone: one process ends, and another has not begun. */
  #paused = false;
  /** The serving generation is a candidate, and the one before is gone: what follows its end is the exchange's business. */
  #exchanging = false;
  #probation: Probation | undefined;
  readonly #recent = new RecentTimes();
  #stopped = false;
  /** How the serving generation ended in a handover: told only if the candidate does not take over. */
  #death: GenerationEvents['failed'] | undefined;
  #handover: Handover | undefined;
  #onFed: (() => void) | undefined;
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
    this.#pump();
  }

  /** What both ways to swap begin with: one at a time, from a generation that serves; `aborted` rejects when the swap has to end. */
  #beginSwap(candidate: Generation): {
    readonly old: Generation;
    readonly tell: (step: SwapStep, reason?: string) => void;
    readonly aborted: Promise<never>;
  } {
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
    const aborted = new Promise<never>((_, reject) => {
      this.#abortSwap = (reason) => reject(new BitlaneError('SWAP_FAILED', reason));
    });
    aborted.catch(() => undefined);
    return { old, tell, aborted };
  }

  /**
   * Starts `candidate`, lets it see the frames that the serving generation gets, and moves the feed to it between two frames.
   * Resolves once it serves and the old one is gone; on any failure the old one goes on and `SWAP_FAILED` is thrown.
   *
   * `commit` runs when the canary has passed, while the old one still serves: it may take its time (a registry syncs to disk)
   * without a gap in the results. If it throws, the swap is rolled back. `undo` runs where the swap is rolled back after
   * `commit`: the candidate died on its last few metres.
   */
  async swap(candidate: Generation, rules: CanaryRules, hooks: SwapHooks = {}): Promise<void> {
    const { old, tell, aborted } = this.#beginSwap(candidate);
    let committed = false;
    try {
      tell('starting');
      await Promise.race([this.#nextFed(), aborted]);
      await Promise.race([candidate.start({ behind: true }), aborted]);
      this.#candidate = candidate;
      this.#attach(candidate);
      tell('canary');
      const figures = await this.#canary(candidate, old, rules, aborted);
      const problem = hooks.check?.(figures);
      if (problem !== undefined) throw new BitlaneError('SWAP_FAILED', problem);
      await hooks.commit?.();
      committed = true;
      tell('handover');
      await Promise.race([aborted, this.#handOver(candidate)]);
      if (candidate.state !== 'ready' || this.#stopped) {
        throw new BitlaneError('SWAP_FAILED', 'the candidate ended before it took over');
      }
      this.#serving = candidate;
      this.#death = undefined;
      for (const result of this.#handover?.takeEarly() ?? []) this.#tell(result);
    } catch (error) {
      const reason = messageOf(error);
      // What the candidate was given in a handover that came to nothing.
      this.counters.lost += this.#handover?.given ?? 0;
      this.#endSwap();
      tell('rolled-back', reason);
      this.#tellDeath();
      await candidate.stop();
      if (committed) await hooks.undo?.();
      throw new BitlaneError('SWAP_FAILED', reason, { cause: error });
    }
    this.#endSwap();
    tell('committed');
    await old.stop();
  }

  /**
   * {@link swap} for a device that cannot hold two processes: the serving generation ends first, the candidate serves on probation in
   * its place, and what `back` makes serves again where it fails. Frames wait (newest wins) while nothing serves; what the candidate
   * says on probation is told as results.
   */
  async exchange(
    candidate: Generation,
    back: () => Generation,
    rules: CanaryRules,
    hooks: SwapHooks = {},
  ): Promise<void> {
    const { old, tell, aborted } = this.#beginSwap(candidate);
    tell('starting');
    this.#paused = true;
    this.#exchanging = true;
    while (old.inFlight > 0 && old.state === 'ready') await sleep(DRAIN_MS);
    const before = [...this.#recent.all];
    this.#serving = undefined;
    this.#tellBusy();
    await old.stop();
    let committed = false;
    try {
      if (this.#stopped) throw new BitlaneError('SWAP_FAILED', 'the daemon is stopping');
      await Promise.race([candidate.start(), aborted]);
      tell('canary');
      const figures = await this.#onProbation(candidate, before, rules, aborted);
      const problem = hooks.check?.(figures);
      if (problem !== undefined) throw new BitlaneError('SWAP_FAILED', problem);
      tell('handover');
      await hooks.commit?.();
      committed = true;
      if (this.#serving !== candidate || this.#stopped) {
        throw new BitlaneError('SWAP_FAILED', 'the candidate ended before it was taken over');
      }
    } catch (error) {
      const reason = messageOf(error);
      this.#paused = true;
      this.#probation = undefined;
      this.#serving = undefined;
      this.#tellBusy();
      await candidate.stop();
      tell('rolled-back', reason);
      if (committed) await hooks.undo?.();
      await this.#startAgain(back());
      throw new BitlaneError('SWAP_FAILED', reason, { cause: error });
    }
    this.#endSwap();
    tell('committed');
  }

  async #onProbation(
    candidate: Generation,
    before: readonly number[],
    rules: CanaryRules,
    aborted: Promise<never>,
  ): Promise<CanaryFigures> {
    const proved = new Promise<CanaryFigures>((resolve, reject) => {
      this.#probation = new Probation(rules, before, (outcome) => {
        this.#probation = undefined;
        if (typeof outcome === 'string') reject(new BitlaneError('SWAP_FAILED', outcome));
        else resolve(outcome);
      });
    });
    proved.catch(() => undefined);
    const timer = setTimeout(
      () => this.#abortSwap?.(`the candidate was not proved after ${rules.timeoutMs} ms`),
      rules.timeoutMs,
    );
    this.#attach(candidate);
    this.#serving = candidate;
    this.#paused = false;
    this.#pump();
    try {
      return await Promise.race([proved, aborted]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #startAgain(generation: Generation): Promise<void> {
    this.#abortSwap = undefined;
    try {
      if (!this.#stopped) {
        await generation.start();
        this.#attach(generation);
        this.#serving = generation;
      }
    } catch (error) {
      await generation.stop();
      this.emit('failed', { code: 'DETECTOR_FAILED', message: messageOf(error), framesLost: 0 });
    } finally {
      this.#endSwap();
    }
  }

  /** Ends both generations. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#abortSwap?.('the daemon is stopping');
    this.removeAll();
    const generations = [this.#serving, this.#candidate];
    this.#serving = undefined;
    await Promise.all(generations.map(async (generation) => generation?.stop()));
  }

  /**
   * Resolves when the serving generation has just been given a frame. Starting a process holds up this one while the kernel copies
   * its page tables; from here on the serving generation is at work meanwhile.
   */
  #nextFed(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FRAME_WAIT_MS);
      this.#onFed = () => {
        clearTimeout(timer);
        this.#onFed = undefined;
        resolve();
      };
    });
  }

  async #canary(
    candidate: Generation,
    old: Generation,
    rules: CanaryRules,
    aborted: Promise<never>,
  ): Promise<CanaryFigures> {
    const passed = new Promise<CanaryFigures>((resolve, reject) => {
      const classes = { serving: old.classes, candidate: candidate.classes };
      const record = new CanaryRecord(rules, classes, (problem) => {
        this.#endCanary();
        if (problem === undefined) resolve(record.figures);
        else reject(new BitlaneError('SWAP_FAILED', problem));
      });
      this.#record = record;
      this.#turns = new CanaryTurns(old, candidate, () => this.#pump());
    });
    const timer = setTimeout(
      () => this.#abortSwap?.(`the candidate had not passed its canary after ${rules.timeoutMs} ms`),
      rules.timeoutMs,
    );
    try {
      return await Promise.race([passed, aborted]);
    } finally {
      clearTimeout(timer);
    }
  }

  #endCanary(): void {
    this.#record = undefined;
    this.#turns?.stop();
    this.#turns = undefined;
  }

  /** From now on frames go to the candidate; resolves when the old generation has finished its own. */
  #handOver(candidate: Generation): Promise<void> {
    const handover = new Handover(candidate);
    this.#handover = handover;
    this.#pump();
    this.#checkDrained();
    return handover.drained;
  }

  #checkDrained(): void {
    this.#handover?.check(this.#serving?.inFlight ?? 0);
  }

  #tell(result: FrameResult): void {
    this.counters.done += 1;
    this.emit('result', result);
  }

  #tellDeath(): void {
    const failure = this.#death;
    this.#death = undefined;
    if (failure !== undefined) this.emit('failed', failure);
  }

  #endSwap(): void {
    this.#paused = false;
    this.#exchanging = false;
    this.#probation = undefined;
    this.#candidate = undefined;
    this.#endCanary();
    this.#onFed = undefined;
    this.#handover = undefined;
    this.#abortSwap = undefined;
    this.#swapping = false;
    this.#pump();
  }

  #pump(): void {
    this.#give();
    this.#tellBusy();
  }

  #tellBusy(): void {
    const generations = [this.#serving, this.#candidate, this.#handover?.candidate];
    const busy = generations.some((generation) => (generation?.inFlight ?? 0) > 0);
    if (busy === this.#busy) return;
    this.#busy = busy;
    this.emit('busy', busy);
  }

  #give(): void {
    if (this.#paused) return;
    const target = this.#handover?.candidate ?? this.#serving;
    if (this.#turns?.next() === false || target?.wants !== true) return;
    if (this.#waiting === undefined) {
      this.emit('want', undefined);
      return;
    }
    const frame = this.#waiting;
    this.#waiting = undefined;
    try {
      target.offer(frame);
      this.#handover?.give(frame.seq);
      // A canary sees what the serving generation sees; frames that it misses are not counted anywhere.
      this.#turns?.show(frame);
      this.#onFed?.();
    } catch {
      // A frame that breaks its own size: the camera's door lets none through, so this is counted, not spread.
      this.counters.dropped += 1;
    }
  }

  /** Whether a generation was given this frame to serve it, and not only to show what it can. */
  #isServed(generation: Generation, seq: number): boolean {
    if (generation === this.#serving) return true;
    return generation === this.#handover?.candidate && this.#handover.isServed(seq);
  }

  #attach(generation: Generation): void {
    generation.on('want', () => this.#pump());
    generation.on('result', (result) => {
      if (generation === this.#serving) {
        this.#recent.add(result);
        this.#probation?.add(result);
        this.#record?.addServing(result);
        this.#turns?.answered(result);
        this.#tell(result);
      } else if (this.#isServed(generation, result.frame.seq)) this.#handover?.keep(result);
      else this.#record?.addCandidate(result);
      this.#checkDrained();
    });
    generation.on('dropped', ({ seq }) => {
      if (this.#isServed(generation, seq)) {
        this.counters.dropped += 1;
        if (generation === this.#handover?.candidate) this.#handover.drop();
      }
      this.#checkDrained();
    });
    generation.on('failed', (failure) => {
      this.#tellBusy();
      if (generation !== this.#serving) {
        this.#abortSwap?.(failure.message);
        return;
      }
      this.counters.lost += failure.framesLost;
      this.#serving = undefined;
      if (this.#exchanging) {
        this.#abortSwap?.(failure.message);
        return;
      }
      // In a handover the candidate takes over now instead of rolling back.
      if (this.#handover !== undefined) {
        this.#death = failure;
        this.#checkDrained();
        return;
      }
      this.#abortSwap?.(`the serving generation failed during the swap: ${failure.message}`);
      this.emit('failed', failure);
    });
  }
}
