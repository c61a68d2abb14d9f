// A job until it ends: the adapter is started again where its process ends by accident, and rests outside of its hours.
import type { AdaptationConfig } from '../../config/index.js';
import { asBitlaneError, BitlaneError } from '../../errors.js';
import { type Log, pause } from '../../system/index.js';
import { Adapter } from '../job/adapter.js';
import type { JobResult } from '../job/result.js';
import { inWindow } from './triggers.js';

export interface RunnerOptions {
  readonly folder: string;
  readonly nice: number | undefined;
  /** Whether a frame is at work now; changes are told to {@link JobRunner.frames}. */
  readonly busy: () => boolean;
  /** The configuration in force. */
  readonly config: () => AdaptationConfig;
  readonly log: Log;
  readonly onStatus: (status: 'running' | 'paused') => void;
  readonly onProgress: (step: string, done: number, all: number) => void;
}

export type JobEnd =
  | { readonly kind: 'result'; readonly result: JobResult }
  /** It will not get any further. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** By {@link JobRunner.stop}: it can be taken up again. */
  | { readonly kind: 'stopped' };

/** Unexpected ends of the adapter's process after which a job is given up. */
const ATTEMPTS = 4;
const RETRY_MS = 5_000;
const LOOK_MS = 2_000;

/** Runs one job once. */
export class JobRunner {
  readonly #options: RunnerOptions;
  readonly #stop = new AbortController();
  #adapter: Adapter | undefined;
  #paused = false;
  #peakMb = 0;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Most memory that the adapter took, MB. */
  get peakMb(): number {
    return this.#peakMb;
  }

  /** Never rejects. */
  async run(): Promise<JobEnd> {
    for (let attempt = 1; !this.#stop.signal.aborted;) {
      const outcome = await this.#once();
      // Also where it was done a moment before: who cancels wants nothing of it.
      if (this.#stop.signal.aborted) break;
      if (!(outcome instanceof BitlaneError)) return { kind: 'result', result: outcome };
      if (this.#paused) {
        await this.#untilHours();
        continue;
      }
      if (outcome.code === 'UNSUPPORTED' || outcome.code === 'TIMEOUT' || attempt >= ATTEMPTS) {
        return { kind: 'failed', reason: outcome.message };
      }
      attempt += 1;
      this.#options.log.warn(`the adapter is started again: ${outcome.message}`);
      await pause(RETRY_MS, this.#stop.signal);
    }
    return { kind: 'stopped' };
  }

  /** Whether a frame is at work: the adapter rests meanwhile, where the configuration says so. */
  frames(busy: boolean): void {
    this.#adapter?.frames(busy);
  }

  /** Ends the adapter's process for now; {@link run} goes on within the hours of the configuration. */
  async pause(): Promise<void> {
    this.#paused = true;
    this.#options.onStatus('paused');
    await this.#adapter?.stop(new BitlaneError('TIMEOUT', 'outside of its hours'));
  }

  /** Ends it for good; resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#adapter?.stop();
  }

  async #once(): Promise<JobResult | BitlaneError> {
    const { folder, nice, config, onProgress, onStatus } = this.#options;
    const { memoryMb, deadlineMinutes } = config();
    const adapter = new Adapter({
      folder,
      memoryMb,
      deadlineMs: deadlineMinutes * 60_000,
      ...(nice !== undefined && { nice }),
      rests: () => config().betweenFrames,
      onProgress,
    });
    this.#adapter = adapter;
    adapter.frames(this.#options.busy());
    onStatus('running');
    try {
      return await adapter.run();
    } catch (error) {
      return asBitlaneError(error);
    } finally {
      this.#adapter = undefined;
      this.#peakMb = Math.max(this.#peakMb, adapter.peakMb);
    }
  }

  async #untilHours(): Promise<void> {
    const isOut = (): boolean => {
      const { enabled, schedule } = this.#options.config();
      return enabled && !inWindow(schedule, new Date());
    };
    while (isOut() && !this.#stop.signal.aborted) await pause(LOOK_MS, this.#stop.signal);
    this.#paused = false;
  }
}
