// Batches ahead of time: a thread makes the next ones while a step runs.
import { Worker } from 'node:worker_threads';
import { BitlaneError, type ErrorCode, messageOf } from '../../errors.js';
import type { Batch } from '../types.js';
import type { BatchOptions } from './batches.js';
import type { SourceSpec } from './sample.js';

export interface LoaderSource extends SourceSpec {
  /** Pictures of it in every batch. */
  readonly share: number;
}

/** What the thread is started with; modules by their addresses. */
export interface LoaderSetup {
  readonly sources: readonly { readonly module: string; readonly options: unknown; readonly share: number }[];
  readonly options: BatchOptions;
}

export interface LoaderRequest {
  readonly step: number;
}

export interface LoaderReply {
  readonly step: number;
  readonly batch?: Batch;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** Batches that are made before they are asked for. */
const AHEAD = 2;

const SCRIPT = new URL('./loader-worker.js', import.meta.url);

/** Batches of a run, in the order of its steps. `stop` it, on the error path too. */
export class Loader {
  readonly #worker: Worker;
  readonly #steps: number;
  readonly #ready = new Map<number, Batch>();
  #asked: number;
  #waiting:
    | {
        readonly step: number;
        readonly resolve: (batch: Batch) => void;
        readonly reject: (error: Error) => void;
      }
    | undefined;
  #broken: Error | undefined;

  /**
   * @param first the step that is asked for first
   * @param steps of the run: none is made beyond
   */
  constructor(sources: readonly LoaderSource[], options: BatchOptions, first: number, steps: number) {
    const setup: LoaderSetup = {
      sources: sources.map(({ module, options: about, share }) => ({
        module: module.href,
        options: about,
        share,
      })),
      options,
    };
    this.#asked = first;
    this.#steps = steps;
    this.#worker = new Worker(SCRIPT, { workerData: setup });
    this.#worker.on('message', (reply: LoaderReply) => this.#take(reply));
    this.#worker.on('error', (error) =>
      this.#break(
        new BitlaneError('INTERNAL', `the loader's thread ended: ${messageOf(error)}`, { cause: error }),
      ),
    );
    this.#worker.on('exit', () => this.#break(new BitlaneError('INTERNAL', "the loader's thread ended")));
    this.#ask(first + AHEAD);
  }

  #ask(until: number): void {
    for (; this.#asked < Math.min(until, this.#steps); this.#asked += 1) {
      this.#worker.postMessage({ step: this.#asked } satisfies LoaderRequest);
    }
  }

  #take({ step, batch, error }: LoaderReply): void {
    if (batch === undefined) {
      this.#break(new BitlaneError(error?.code ?? 'INTERNAL', error?.message ?? 'the loader gave nothing'));
    } else if (this.#waiting?.step === step) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve(batch);
    } else this.#ready.set(step, batch);
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#waiting?.reject(this.#broken);
    this.#waiting = undefined;
  }

  /**
   * The batch of a step; those behind it are begun. Steps are asked for one after the other.
   *
   * @throws BitlaneError `BAD_DATASET` where a picture cannot be read
   */
  async at(step: number): Promise<Batch> {
    const ready = this.#ready.get(step);
    this.#ready.delete(step);
    this.#ask(step + 1 + AHEAD);
    if (ready !== undefined) return ready;
    if (this.#broken !== undefined) throw this.#broken;
    return new Promise((resolve, reject) => {
      this.#waiting = { step, resolve, reject };
    });
  }

  async stop(): Promise<void> {
    this.#broken ??= new BitlaneError('INTERNAL', 'the loader is stopped');
    this.#ready.clear();
    await this.#worker.terminate();
  }
}
