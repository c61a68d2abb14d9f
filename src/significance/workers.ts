// Processes that evaluate components: one chunk of pictures each at a time, watched, and replaced once where one breaks.
import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { BitlaneError, type ErrorCode } from '../errors.js';
import { spawnOwned, stopChild } from '../system/index.js';
import { type WorkerJob, type WorkerReply, workerReplySchema, type WorkerSetup } from './worker-messages.js';

const SCRIPT = fileURLToPath(new URL('./worker.js', import.meta.url));
/** A component of a chunk takes seconds; a process that says nothing for so long is stuck. */
const STALL_MS = 600_000;
const GRACE_MS = 500;
/** A job that ends two processes is not tried again. */
const ATTEMPTS = 2;

/** Processes that measure where nothing else is said: a core is left for what else the device does. */
export const usualProcesses = (): number => Math.max(1, availableParallelism() - 1);

export interface WorkOptions {
  readonly processes: number;
  readonly signal?: AbortSignal;
  /** After each component of a job. */
  readonly onComponent?: () => void;
}

/** One process. */
class Worker {
  readonly #child: ChildProcess;
  #waiting: ((reply: WorkerReply | Error) => void) | undefined;

  constructor() {
    this.#child = spawnOwned(process.execPath, [SCRIPT], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    this.#child.on('message', (raw) => {
      const parsed = workerReplySchema.safeParse(raw);
      this.#waiting?.(parsed.success ? parsed.data : parsed.error);
    });
    this.#child.on('exit', () => this.#waiting?.(new Error('it ended')));
    this.#child.on('error', (error) => this.#waiting?.(error));
  }

  /** Sends a request and waits for its last reply. Rejects with a plain Error where the process breaks. */
  ask(request: WorkerSetup | WorkerJob, onComponent: () => void, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const finish = (error?: Error): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', stop);
        this.#waiting = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      const stop = (): void => finish(new BitlaneError('TIMEOUT', 'interrupted before it was done'));
      const watch = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => finish(new Error(`it said nothing for ${STALL_MS / 1000} s`)), STALL_MS);
      };
      signal?.addEventListener('abort', stop);
      watch();
      this.#waiting = (reply) => {
        if (reply instanceof Error) finish(reply);
        else if (reply.type === 'failed') {
          finish(new BitlaneError(reply.code as ErrorCode, reply.message));
        } else if (reply.type === 'component') {
          watch();
          onComponent();
        } else finish();
      };
      if (!this.#child.connected) finish(new Error('it ended'));
      else {
        this.#child.send(request, (error) => {
          if (error !== null) finish(error);
        });
      }
    });
  }

  stop(): Promise<void> {
    return stopChild(this.#child, GRACE_MS);
  }
}

/**
 * Does all jobs. None of the processes outlives this call.
 *
 * @throws BitlaneError what a job failed with, `INTERNAL` where one ended its process twice, the reason of `signal`
 */
export const doJobs = async (
  setup: WorkerSetup,
  jobs: readonly WorkerJob[],
  options: WorkOptions,
): Promise<void> => {
  const { signal, onComponent = () => undefined } = options;
  const queue = jobs.map((job) => ({ job, attempts: 0 }));
  const failed = new AbortController();
  const stop = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal]);
  const serve = async (): Promise<void> => {
    let worker: Worker | undefined;
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        stop.throwIfAborted();
        try {
          if (worker === undefined) {
            worker = new Worker();
            await worker.ask(setup, () => undefined, stop);
          }
          await worker.ask(next.job, onComponent, stop);
        } catch (error) {
          stop.throwIfAborted();
          if (error instanceof BitlaneError) throw error;
          await worker?.stop();
          worker = undefined;
          next.attempts++;
          if (next.attempts >= ATTEMPTS) {
            throw new BitlaneError(
              'INTERNAL',
              'a process that measures significance ended twice at the same pictures: is there memory enough?',
              { cause: error },
            );
          }
          queue.push(next);
        }
      }
    } catch (error) {
      failed.abort(error);
      throw error;
    } finally {
      await worker?.stop();
    }
  };
  const count = Math.max(1, Math.min(options.processes, jobs.length));
  const ended = await Promise.allSettled(Array.from({ length: count }, serve));
  signal?.throwIfAborted();
  for (const result of ended) if (result.status === 'rejected') throw failed.signal.reason ?? result.reason;
};
