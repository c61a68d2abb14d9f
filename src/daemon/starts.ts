// How the starts of a model go: what the registry is told of them, how long the next one waits, when the model before takes over.
import type { Config } from '../config/index.js';
import { messageOf } from '../errors.js';
import { FAILED_START_LIMIT, type Registry, type StartOutcome } from '../registry/index.js';
import { Backoff, type Log, pause } from '../system/index.js';

/** A detector that ends sooner than this after its start has crashed early. */
const EARLY_MS = 30_000;
/** Early crashes in a row after which the artifact before takes over. */
const EARLY_LIMIT = 3;
/** After this long without a failure restarts begin with the shortest wait again. */
const BACKOFF_RESET_MS = 60_000;

export class Starts {
  readonly #registry: Pick<Registry, 'recordStart'>;
  readonly #log: Log;
  #backoff: Backoff;
  #failed = 0;
  #earlyCrashes = 0;
  #sinceMs = 0;
  /** It has answered a frame since it serves. */
  #answered = false;
  /** The outcome of a start on its way to the disk. */
  #recorded: Promise<void> = Promise.resolve();

  constructor(registry: Pick<Registry, 'recordStart'>, detector: Config['detector'], log: Log) {
    this.#registry = registry;
    this.#log = log;
    this.#backoff = backoffOf(detector);
  }

  configure(detector: Config['detector']): void {
    this.#backoff = backoffOf(detector);
  }

  begun(id: string): Promise<void> {
    return this.#record(id, 'begun');
  }

  /** @returns whether it failed often enough to go back to the one before */
  async failed(id: string, tell: () => void): Promise<boolean> {
    this.#failed += 1;
    await this.#record(id, 'failed');
    tell();
    return this.#failed >= FAILED_START_LIMIT;
  }

  /** A process that is warm serves from now on. */
  serves(id: string): void {
    this.#answered = false;
    this.#recorded = this.#record(id, 'warm');
    this.#sinceMs = performance.now();
  }

  /** It has answered a frame. */
  answered(id: string): void {
    if (!this.#answered) {
      this.#answered = true;
      this.#failed = 0;
      this.#recorded = this.#record(id, 'ok');
    }
    if (this.#earlyCrashes > 0 && performance.now() - this.#sinceMs > EARLY_MS) this.#earlyCrashes = 0;
  }

  /** Its process ended by itself. @returns what is to be awaited: whether it did so soon, and often enough to go back */
  crashed(id: string): () => Promise<boolean> {
    const isEarly = performance.now() - this.#sinceMs < EARLY_MS;
    this.#earlyCrashes = isEarly ? this.#earlyCrashes + 1 : 0;
    return async () => {
      if (!this.#answered) await this.#record(id, 'failed');
      return this.#earlyCrashes >= EARLY_LIMIT;
    };
  }

  /** Another model is tried: what went before says nothing of it. */
  forget(): void {
    this.#failed = 0;
    this.#earlyCrashes = 0;
  }

  /** Until the next start should be tried. */
  wait(signal: AbortSignal): Promise<void> {
    return pause(this.#backoff.next(), signal);
  }

  /** Resolves when everything is on the disk. */
  idle(): Promise<void> {
    return this.#recorded;
  }

  /** The artifact's state on disk is worth less than the road: a folder that cannot be written does not stop detection. */
  async #record(id: string, outcome: StartOutcome): Promise<void> {
    try {
      await this.#registry.recordStart(id, outcome);
    } catch (error) {
      this.#log.warn(`the start of ${id.slice(0, 12)} could not be recorded: ${messageOf(error)}`);
    }
  }
}

const backoffOf = ({ restartInitialMs, restartMaxMs }: Config['detector']): Backoff =>
  new Backoff({
    initialMs: restartInitialMs,
    maxMs: Math.max(restartInitialMs, restartMaxMs),
    resetAfterMs: BACKOFF_RESET_MS,
  });
