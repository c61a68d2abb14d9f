// Recorded pictures played as if they came from a camera.
import { setTimeout as delay } from 'node:timers/promises';
import type { CameraConfigOf } from '../../config/index.js';
import { messageOf } from '../../errors.js';
import type { Driver, Run, Sink } from '../driver.js';
import type { FrameSize } from '../source.js';
import { pictures, type ReplayItem } from './pictures.js';

/** This far behind (the device slept, the disk is too slow) the clock starts anew instead of skipping for ever. */
const LOST_MS = 1_000;

const quietly = (promise: Promise<unknown>): void => {
  promise.catch(() => undefined);
};

class ReplayRun implements Run {
  readonly #config: CameraConfigOf<'replay'>;
  readonly #sink: Sink;
  readonly #abort = new AbortController();
  readonly #playing: Promise<void>;
  readonly #periodMs: number;
  #size: FrameSize | undefined;
  #startMs = 0;
  #slot = 0;

  constructor(config: CameraConfigOf<'replay'>, sink: Sink) {
    this.#config = config;
    this.#sink = sink;
    this.#periodMs = 1000 / config.fps;
    this.#playing = this.#play().catch((error: unknown) => {
      if (!this.#over) sink.failed(messageOf(error));
    });
  }

  get #over(): boolean {
    return this.#abort.signal.aborted;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#playing;
  }

  async #play(): Promise<void> {
    do {
      const good = await this.#pass();
      if (this.#over) return;
      if (good === 0) {
        this.#sink.failed(`${this.#config.path} holds no picture that can be read`);
        return;
      }
    } while (this.#config.loop);
    this.#sink.ended();
  }

  /** Plays everything once; returns how many pictures were good. */
  async #pass(): Promise<number> {
    const source = pictures(this.#config.path);
    let good = 0;
    try {
      let next = source.next();
      for (;;) {
        const step = await next;
        if (step.done === true || this.#over) return good;
        // Read ahead by one, while this one waits for its time.
        next = source.next();
        quietly(next);
        if (await this.#show(step.value)) good += 1;
        if (this.#over) return good;
      }
    } finally {
      await source.return(undefined);
    }
  }

  /** Returns whether the picture was a good one. */
  async #show(item: ReplayItem): Promise<boolean> {
    const slot = this.#slot;
    this.#slot += 1;
    if ('bad' in item) {
      this.#sink.bad(item.bad);
      return false;
    }
    this.#size ??= item.size;
    const { width, height } = item.size;
    if (width !== this.#size.width || height !== this.#size.height) {
      this.#sink.bad(
        `the picture is ${width}x${height} where ${this.#size.width}x${this.#size.height} came before`,
      );
      return false;
    }
    const due = this.#config.pace === 'fast' ? await this.#sink.wanted() : await this.#waitFor(slot);
    if (this.#over) return true;
    if (due) this.#sink.frame({ format: 'jpeg', width, height, data: item.data });
    else this.#sink.skipped(1);
    return true;
  }

  /** Waits until the time of `slot` has come; false when it is over. Times are counted from the first one, so nothing drifts. */
  async #waitFor(slot: number): Promise<boolean> {
    const now = performance.now();
    if (slot === 0) this.#startMs = now;
    const dueMs = this.#startMs + slot * this.#periodMs;
    const lateMs = now - dueMs;
    if (lateMs > LOST_MS) {
      this.#startMs = now - slot * this.#periodMs;
      return true;
    }
    if (lateMs > this.#periodMs) return false;
    if (lateMs < 0) {
      // An abort ends the wait; the caller looks whether it is over.
      await delay(-lateMs, undefined, { signal: this.#abort.signal }).catch(() => undefined);
    }
    return true;
  }
}

export const replayDriver = (config: CameraConfigOf<'replay'>): Driver => ({
  size: undefined,
  frameMs: 1000 / config.fps,
  start: (sink) => new ReplayRun(config, sink),
});
