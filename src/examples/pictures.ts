// Takes pictures off the frame path: a thread that starts when it is needed, a short queue that drops and counts.
import { Worker } from 'node:worker_threads';
import type { Log } from '../system/index.js';
import type { Box, Frame, MaskPolygon } from '../vision/index.js';
import type { PictureAnswer, PictureJob } from './picture-job.js';

export interface PictureCounters {
  taken: number;
  /** Not taken because the thread was behind. */
  dropped: number;
  /** Not taken because the frame could not be decoded, or the thread ended. */
  failed: number;
}

/** Frames that wait for the thread, the one at work included. */
const MAX_WAITING = 3;
/** Without work the thread ends and gives its memory back. */
const IDLE_MS = 20_000;

type Settle = (jpegs: readonly Uint8Array[] | undefined) => void;

export class PictureTaker {
  readonly counters: PictureCounters = { taken: 0, dropped: 0, failed: 0 };
  readonly #log: Log;
  readonly #waiting = new Map<number, Settle>();
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #next = 1;
  #stopped = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * JPEGs of some regions of a frame, masked.
   * @param regions whole pixels inside the frame
   * @returns `undefined` when the thread is behind or failed; never rejects
   */
  take(
    frame: Frame,
    masks: readonly MaskPolygon[],
    regions: readonly Box[],
    quality: number,
  ): Promise<readonly Uint8Array[] | undefined> {
    if (this.#stopped || this.#waiting.size >= MAX_WAITING) {
      this.counters.dropped += regions.length;
      return Promise.resolve(undefined);
    }
    const id = this.#next++;
    const { format, width, height, colour } = frame;
    // A copy of its own: a frame may be a small part of a large buffer, and all of that would be copied.
    const data = Uint8Array.from(frame.data);
    const picture = { format, width, height, data, ...(colour === undefined ? {} : { colour }) };
    return new Promise((resolve) => {
      this.#waiting.set(id, (jpegs) => {
        this.counters[jpegs === undefined ? 'failed' : 'taken'] += regions.length;
        resolve(jpegs);
      });
      const job: PictureJob = { id, picture, masks, regions, quality };
      this.#thread().postMessage(job, [data.buffer]);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end();
  }

  #thread(): Worker {
    clearTimeout(this.#idle);
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./picture-worker.js', import.meta.url));
    worker.on('message', (answer: PictureAnswer) => this.#take(answer));
    worker.on('error', (error) => this.#log.warn(`the picture thread failed: ${error.message}`));
    worker.on('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#failAll();
    });
    this.#worker = worker;
    return worker;
  }

  #take(answer: PictureAnswer): void {
    const settle = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('message' in answer) {
      this.#log.debug(`a frame gives no example: ${answer.message}`);
      settle?.(undefined);
    } else settle?.(answer.jpegs);
    if (this.#waiting.size > 0) return;
    this.#idle = setTimeout(() => void this.#end(), IDLE_MS);
    this.#idle.unref();
  }

  #failAll(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const settle of waiting) settle(undefined);
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll();
  }
}
