// The camera as the daemon holds it: the source in use, its newest frame, and changing it with a way back.
import {
  type CameraCounters,
  type CameraState,
  createFrameSource,
  type FrameSource,
} from '../camera/index.js';
import type { CameraConfig } from '../config/index.js';
import { BitlaneError } from '../errors.js';
import { Emitter, type Log } from '../system/index.js';
import type { Frame } from '../vision/index.js';

export interface EyeEvents {
  frame: Frame;
  state: CameraState;
  /** The first frame, or the first of another size. */
  size: { readonly width: number; readonly height: number };
  /** A source that ends by itself is at its end. */
  ended: undefined;
}

/** A source that worked before gets this long beyond its stall time to show that it works with other settings. */
const PROOF_MS = 10_000;

const sum = (a: CameraCounters, b: CameraCounters): CameraCounters => ({
  received: a.received + b.received,
  bad: a.bad + b.bad,
  restarts: a.restarts + b.restarts,
  stalls: a.stalls + b.stalls,
  skipped: a.skipped + b.skipped,
});

export class Eye extends Emitter<EyeEvents> {
  readonly #log: Log;
  #config: CameraConfig;
  #source: FrameSource;
  #newest: Frame | undefined;
  #waiting: (() => void)[] = [];
  /** Frames of sources before this one: numbers go on over a change. */
  #base = 0;
  #next = 0;
  #started = false;
  #before: CameraCounters = { received: 0, bad: 0, restarts: 0, stalls: 0, skipped: 0 };

  constructor(config: CameraConfig, log: Log) {
    super();
    this.#config = config;
    this.#log = log;
    this.#source = this.#make(config);
  }

  get source(): FrameSource {
    return this.#source;
  }

  /** Of this source and those before it. */
  get counters(): CameraCounters {
    return sum(this.#before, this.#source.counters);
  }

  get newest(): Frame | undefined {
    return this.#newest;
  }

  start(): void {
    this.#started = true;
    this.#source.start();
  }

  /** The detector can take another frame. */
  ready(): void {
    this.#source.ready();
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.removeAll();
    await this.#source.stop();
  }

  /**
   * Restarts the source and waits for its first frame.
   *
   * @returns milliseconds from the restart to the frame
   * @throws BitlaneError `CAMERA_FAILED` when none came within `timeoutMs`
   */
  async restart(timeoutMs: number): Promise<number> {
    const began = performance.now();
    const first = this.#nextFrame(timeoutMs);
    await Promise.all([this.#source.restart(), first]);
    return performance.now() - began;
  }

  /**
   * Changes the camera's settings. When frames came before and none come with the new settings, the old ones are put back.
   *
   * @throws BitlaneError `CAMERA_FAILED` when the old settings were put back
   */
  async change(config: CameraConfig): Promise<void> {
    const before = this.#config;
    const worked = this.#source.state === 'running';
    await this.#replace(config);
    if (!worked || !this.#started) return;
    try {
      await this.#nextFrame(config.stallTimeoutMs + PROOF_MS);
    } catch (error) {
      await this.#replace(before);
      throw new BitlaneError(
        'CAMERA_FAILED',
        'the camera delivered no frame with the new settings: the settings before are in force again',
        { cause: error },
      );
    }
  }

  async #replace(config: CameraConfig): Promise<void> {
    await this.#source.stop();
    this.#before = this.counters;
    this.#base = this.#next;
    this.#config = config;
    this.#source = this.#make(config);
    if (this.#started) this.#source.start();
  }

  #make(config: CameraConfig): FrameSource {
    const source = createFrameSource(config, { log: this.#log });
    source.on('frame', (frame) => this.#take(frame));
    source.on('state', (state) => this.emit('state', state));
    source.on('bad', ({ reason }) => this.#log.debug(`a frame was dropped: ${reason}`));
    source.on('problem', ({ message, restartInMs }) =>
      this.#log.warn(message, { restart_in_ms: Math.round(restartInMs) }),
    );
    source.on('ended', () => this.emit('ended', undefined));
    return source;
  }

  #take(frame: Frame): void {
    const numbered = this.#base === 0 ? frame : { ...frame, seq: this.#base + frame.seq };
    this.#next = numbered.seq + 1;
    const before = this.#newest;
    this.#newest = numbered;
    if (before?.width !== frame.width || before.height !== frame.height) {
      this.emit('size', { width: frame.width, height: frame.height });
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
    this.emit('frame', numbered);
  }

  #nextFrame(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new BitlaneError('CAMERA_FAILED', `no frame came within ${timeoutMs / 1000} s`)),
        timeoutMs,
      );
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
