// What the daemon tells of itself: `info`, `model/state` and, on its own rhythm, `health`.
import type { Config } from '../config/index.js';
import type { ExampleKeeper } from '../examples/index.js';
import type { Registry } from '../registry/index.js';
import type { Store } from '../store/index.js';
import type { Telemetry } from '../telemetry/index.js';
import type { Eye } from './eye.js';
import type { HealthProbe } from './health.js';
import { type LatencyWindow, Rate } from './latency.js';
import type { ModelService } from './models.js';
import { detectorMemoryMb, healthState, infoState, modelState } from './state.js';

/** Lets a burst of model steps become one state message. */
const STATE_DELAY_MS = 50;

export interface ReporterParts {
  readonly telemetry: Telemetry;
  readonly models: ModelService;
  readonly registry: Registry;
  readonly eye: Eye;
  readonly probe: HealthProbe;
  readonly store: Store;
  readonly examples: ExampleKeeper;
  readonly latency: LatencyWindow;
  /** UTC. */
  readonly startedMs: number;
  /** The configuration in force. */
  readonly config: () => Config;
}

export class Reporter {
  readonly #parts: ReporterParts;
  readonly #rate = new Rate();
  /** Monotonic: the clock may be set back past the start. */
  readonly #beganMs = performance.now();
  #memoryMb: number | undefined;
  #modelTimer: NodeJS.Timeout | undefined;
  #healthTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(parts: ReporterParts) {
    this.#parts = parts;
  }

  /** Says what is so far, and how it is from now on. */
  start(): void {
    this.info();
    this.model();
    this.#scheduleHealth();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#modelTimer);
    clearTimeout(this.#healthTimer);
  }

  info(): void {
    const { eye, telemetry, config, startedMs } = this.#parts;
    const size = eye.newest ?? eye.source.size;
    const known = size === undefined ? undefined : { width: size.width, height: size.height };
    telemetry.publishState('info', infoState(config(), startedMs, known));
  }

  model(): void {
    const { models, registry, latency, telemetry } = this.#parts;
    telemetry.publishState('model/state', modelState(models, registry, latency, this.#memoryMb));
  }

  modelSoon(): void {
    if (this.#isStopped) return;
    this.#modelTimer ??= setTimeout(() => {
      this.#modelTimer = undefined;
      this.model();
    }, STATE_DELAY_MS);
  }

  #scheduleHealth(): void {
    const seconds = this.#parts.config().telemetry.healthEverySeconds;
    this.#healthTimer = setTimeout(() => {
      void this.#health().finally(() => {
        if (!this.#isStopped) this.#scheduleHealth();
      });
    }, seconds * 1000);
  }

  async #health(): Promise<void> {
    const { probe, models, eye, store, telemetry, latency, examples } = this.#parts;
    const sample = await probe.sample();
    if (this.#isStopped) return;
    this.#memoryMb = detectorMemoryMb(sample, models.pid);
    telemetry.publishState(
      'health',
      healthState({
        sample,
        uptimeMs: performance.now() - this.#beganMs,
        fps: this.#rate.look(models.counters.done),
        latency,
        camera: { state: eye.source.state, counters: eye.counters },
        models,
        outbox: store.outbox.counters,
        telemetry: telemetry.counters,
        examples,
      }),
    );
    this.model();
  }
}
