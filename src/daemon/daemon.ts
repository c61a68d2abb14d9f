// The daemon: wires camera, detector, road and telemetry, and owns their start and stop.
import { join } from 'node:path';
import { type Config, loadConfig, type LocalConfig } from '../config/index.js';
import type { FeedCounters, FrameResult } from '../detector/index.js';
import { messageOf } from '../errors.js';
import { Registry } from '../registry/index.js';
import { openStore, type Store } from '../store/index.js';
import { type Log, packageVersion, type RootLog } from '../system/index.js';
import {
  CommandRegistry,
  ConfigTwin,
  ControlServer,
  type DesiredChange,
  Telemetry,
} from '../telemetry/index.js';
import type { CountRow } from '../tracking/index.js';
import type { Frame } from '../vision/index.js';
import { Changes } from './changes.js';
import { addCommands } from './commands.js';
import { Eye } from './eye.js';
import { HealthProbe } from './health.js';
import { LatencyWindow, Rate } from './latency.js';
import { ModelService } from './models.js';
import { Road } from './road.js';
import { detectorMemoryMb, healthState, infoState, modelState } from './state.js';
import { Watchdog } from './watchdog.js';

/** Sees what goes by; for measuring. */
export interface DaemonObserver {
  frame?(frame: Frame): void;
  result?(result: FrameResult): void;
}

export interface DaemonOptions {
  readonly local: LocalConfig;
  readonly rootLog: RootLog;
  readonly observer?: DaemonObserver;
}

/** What the person in front of `bitlane run` may want to see. */
export interface DaemonProgress {
  readonly fps: number;
  readonly latencyP50Ms: number | null;
  readonly detected: number;
  readonly skipped: number;
  readonly tracks: number;
  /** Since the start. */
  readonly crossings: readonly CountRow[];
  readonly model: string;
  readonly connected: boolean;
}

/** After this long a remote configuration has shown that the daemon runs with it. */
const CONFIRM_MS = 60_000;
/** Lets a burst of model steps become one state message. */
const STATE_DELAY_MS = 50;
/** At the end of a finite source the last frame gets this long. */
const LAST_FRAME_MS = 15_000;

/** Everything of one run. Start it once, stop it once. */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #registry: Registry;
  readonly #startedMs = Date.now();
  readonly #latency = new LatencyWindow();
  readonly #watchdog = new Watchdog();
  readonly #undo: { readonly what: string; readonly work: () => Promise<void> | void }[] = [];
  readonly #ended: Promise<void>;
  #tellEnded: () => void = () => undefined;
  #config: Config;
  #parts: Parts | undefined;
  #memoryMb: number | undefined;
  #stateTimer: NodeJS.Timeout | undefined;
  #healthTimer: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;
  #running = false;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#log = options.rootLog.part('daemon');
    this.#config = options.local.config;
    this.#registry = new Registry({ stateDir: this.#config.stateDir, purpose: 'bitlane run' });
    this.#ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
  }

  /** Resolves when a camera that ends by itself (a file that is not looped) is at its end and all of it was detected. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /**
   * Starts everything; does not wait for the camera, the detector or the broker. On failure what was started is stopped again.
   *
   * @throws BitlaneError `BUSY` when another daemon uses the state folder, `NO_SUCH_MODEL` when no model is installed
   */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends everything in order; resolves when nothing of it is left. Safe to call twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Reads the configuration file again; a bad one is logged and changes nothing. */
  async reload(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    try {
      const change = parts.twin.setLocal(loadConfig(this.#options.local.source));
      if (change !== undefined) await this.#takeUp(parts, change);
    } catch (error) {
      this.#log.error(`the configuration stays as it is: ${messageOf(error)}`);
    }
  }

  /** Closes the intervals that are open: the camera is at its end, there is nothing to count on. */
  closeCounts(): void {
    this.#parts?.road.closeCounts();
  }

  /** Where the frames of this run went; `undefined` before the start. */
  get frames(): Readonly<FeedCounters> | undefined {
    return this.#parts?.models.counters;
  }

  progress(): DaemonProgress | undefined {
    const parts = this.#parts;
    if (parts === undefined) return undefined;
    const { counters, artifact } = parts.models;
    return {
      fps: parts.shown.look(counters.done),
      latencyP50Ms: this.#latency.quantile(0.5),
      detected: counters.done,
      skipped: counters.skipped + parts.eye.counters.skipped,
      tracks: parts.road.stats.tracksFinished,
      crossings: parts.road.totals,
      model: artifact?.manifest.name ?? 'none',
      connected: parts.telemetry.counters.connected,
    };
  }

  async #start(): Promise<void> {
    const { rootLog, local } = this.#options;
    for (const notice of await this.#registry.start()) this.#log.warn(notice);
    this.#later('registry', () => this.#registry.stop());
    const { stateDir, telemetry: limits } = this.#config;
    const store = openStore(join(stateDir, 'bitlane.db'), {
      log: rootLog.part('store'),
      outboxMaxRows: limits.outboxMaxRows,
      outboxMaxBytes: limits.outboxMaxBytes,
    });
    this.#later('store', () => store.close());
    const boot = store.boots.begin(packageVersion);
    this.#later('boots', () => store.boots.end(boot.id));
    const twin = new ConfigTwin({
      store: store.keyValue,
      log: rootLog.part('config'),
      bootId: boot.id,
      local,
    });
    this.#config = twin.boot().config;
    // A start that failed counts against a remote configuration that is not confirmed yet.
    this.#later('twin', () => {
      if (this.#running) twin.stopped();
    });
    rootLog.level = this.#config.logLevel;

    const commands = new CommandRegistry({ log: rootLog.part('commands') });
    const control = new ControlServer({
      runtimeDir: this.#config.runtimeDir,
      commands,
      log: rootLog.part('control'),
    });
    await control.start();
    this.#later('control', () => control.stop());
    this.#later('commands', () => commands.stop());

    const parts = this.#wire(store, boot.id, twin, commands);
    this.#parts = parts;
    await parts.telemetry.start();
    this.#later('telemetry', () => parts.telemetry.stop());
    parts.road.start();
    this.#later('road', () => parts.road.stop());
    await parts.models.start();
    this.#later('models', () => parts.models.stop());
    parts.probe.start();
    this.#later('probe', () => parts.probe.stop());
    this.#publishInfo();
    this.#publishModel();
    parts.eye.start();
    this.#later('camera', () => parts.eye.stop());
    this.#watchdog.start();
    this.#later('watchdog', () => this.#watchdog.stop());
    this.#scheduleHealth();
    const confirm = setTimeout(() => twin.confirm(), CONFIRM_MS);
    this.#later('timers', () => {
      clearTimeout(confirm);
      clearTimeout(this.#healthTimer);
      clearTimeout(this.#stateTimer);
    });
    this.#running = true;
    this.#log.info('running', { version: packageVersion, boot: boot.id });
  }

  #wire(store: Store, bootId: string, twin: ConfigTwin, commands: CommandRegistry): Parts {
    const { rootLog } = this.#options;
    const config = this.#config;
    const telemetry = new Telemetry({
      config,
      store,
      bootId,
      log: rootLog.part('telemetry'),
      twin,
      commands,
    });
    const models = new ModelService({ registry: this.#registry, config, log: rootLog.part('detector') });
    const eye = new Eye(config.camera, rootLog.part('camera'));
    const road = new Road({
      config,
      store: store.keyValue,
      lastSeq: () => store.outbox.lastSeq,
      outlet: telemetry,
      log: rootLog.part('road'),
    });
    const changes = new Changes(
      {
        camera: async (next) => {
          await eye.change(next.camera);
          road.finishTracks();
        },
        detector: (next) => models.configure(next),
        swap: (next) => models.configure(next),
        tracking: (next) => road.configure(next),
        counting: (next) => road.configure(next),
        mqtt: (next) => telemetry.configure(next),
        telemetry: async (next) => {
          road.configure(next);
          await telemetry.configure(next);
        },
        log: (next) => {
          rootLog.level = next.logLevel;
        },
        masks: () => undefined,
        info: () => undefined,
        remote: () => undefined,
        model: () => undefined,
      },
      rootLog.part('config'),
    );
    telemetry.on('desired', (change) => {
      if (this.#parts !== undefined) void this.#takeUp(this.#parts, change);
    });
    eye.on('frame', (frame) => {
      this.#watchdog.frame();
      this.#options.observer?.frame?.(frame);
      models.offer(frame);
    });
    eye.on('size', () => this.#publishInfo());
    eye.on('ended', () => void this.#waitForLastFrame());
    models.on('want', () => eye.ready());
    models.on('result', ({ result, classes }) => {
      this.#latency.add(result.totalMs);
      this.#watchdog.inference();
      this.#options.observer?.result?.(result);
      road.see(result, classes);
    });
    models.on('step', (step) => {
      telemetry.enqueue('event/model', step);
      if (step.step === 'warm') this.#watchdog.tellReady('watching the road');
      this.#publishModelSoon();
    });
    addCommands(commands, { registry: this.#registry, models, eye, rootLog, config: () => this.#config });
    const probe = new HealthProbe(config.stateDir);
    return { telemetry, models, eye, road, changes, probe, store, twin, rate: new Rate(), shown: new Rate() };
  }

  async #takeUp(parts: Parts, change: DesiredChange): Promise<void> {
    await parts.changes.take(change);
    this.#config = parts.twin.config;
    this.#publishInfo();
  }

  #publishInfo(): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    const size = parts.eye.newest ?? parts.eye.source.size;
    const known = size === undefined ? undefined : { width: size.width, height: size.height };
    parts.telemetry.publishState('info', infoState(this.#config, this.#startedMs, known));
  }

  #publishModel(): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    const state = modelState(parts.models, this.#registry, this.#latency, this.#memoryMb);
    parts.telemetry.publishState('model/state', state);
  }

  #publishModelSoon(): void {
    this.#stateTimer ??= setTimeout(() => {
      this.#stateTimer = undefined;
      this.#publishModel();
    }, STATE_DELAY_MS);
  }

  #scheduleHealth(): void {
    const seconds = this.#config.telemetry.healthEverySeconds;
    this.#healthTimer = setTimeout(() => {
      void this.#publishHealth().finally(() => {
        if (this.#stopping === undefined) this.#scheduleHealth();
      });
    }, seconds * 1000);
  }

  async #publishHealth(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    const sample = await parts.probe.sample();
    if (this.#stopping !== undefined) return;
    this.#memoryMb = detectorMemoryMb(sample, parts.models.pid);
    parts.telemetry.publishState(
      'health',
      healthState({
        sample,
        uptimeMs: Date.now() - this.#startedMs,
        fps: parts.rate.look(parts.models.counters.done),
        latency: this.#latency,
        camera: { state: parts.eye.source.state, counters: parts.eye.counters },
        models: parts.models,
        outbox: parts.store.outbox.counters,
        telemetry: parts.telemetry.counters,
      }),
    );
    this.#publishModel();
  }

  async #waitForLastFrame(): Promise<void> {
    const deadline = performance.now() + LAST_FRAME_MS;
    const isDone = (): boolean => {
      const { received, done, dropped, skipped, lost } = this.#parts?.models.counters ?? NOTHING;
      return received === done + dropped + skipped + lost;
    };
    while (!isDone() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#log.info('the camera is at its end');
    this.#tellEnded();
  }

  #later(what: string, work: () => Promise<void> | void): void {
    this.#undo.push({ what, work });
  }

  async #stop(): Promise<void> {
    this.#log.info('stopping');
    for (const { what, work } of this.#undo.reverse()) {
      try {
        await work();
      } catch (error) {
        this.#log.error(`stopping the ${what} failed: ${messageOf(error)}`);
      }
    }
    this.#log.info('stopped');
  }
}

const NOTHING = { received: 0, done: 0, dropped: 0, skipped: 0, lost: 0 };

interface Parts {
  readonly telemetry: Telemetry;
  readonly models: ModelService;
  readonly eye: Eye;
  readonly road: Road;
  readonly changes: Changes;
  readonly probe: HealthProbe;
  readonly store: Store;
  readonly twin: ConfigTwin;
  readonly rate: Rate;
  readonly shown: Rate;
}
