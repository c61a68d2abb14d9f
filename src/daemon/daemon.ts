// The daemon: wires camera, detector, road and telemetry, and owns their start and stop.
import { join } from 'node:path';
import { AdaptationService } from '../adaptation/index.js';
import { type Config, loadConfig, type LocalConfig } from '../config/index.js';
import { criticalPairs } from '../examples/index.js';
import type { FeedCounters, FrameResult } from '../detector/index.js';
import { Registry } from '../registry/index.js';
import { openStore, type Store } from '../store/index.js';
import { type Log, packageVersion, type RootLog } from '../system/index.js';
import {
  CommandRegistry,
  ConfigTwin,
  ControlServer,
  type DesiredChange,
  EmbeddedBroker,
  Telemetry,
} from '../telemetry/index.js';
import type { CountRow } from '../tracking/index.js';
import type { Frame } from '../vision/index.js';
import { Changes } from './changes.js';
import { addAdaptCommands } from './adapt-commands.js';
import { addCommands } from './commands.js';
import { Examples } from './examples.js';
import { Eye } from './eye.js';
import { HealthProbe } from './health.js';
import { LatencyWindow, Rate } from './latency.js';
import { lastFrame } from './last-frame.js';
import { Masks } from './masks.js';
import { ModelService } from './models.js';
import { Reloader } from './reloader.js';
import { Reporter } from './reporter.js';
import { Road } from './road.js';
import { takersOf } from './takers.js';
import { Teacher } from './teacher.js';
import { Trial } from './trial.js';
import { Undo } from './undo.js';
import { Watchdog } from './watchdog.js';

/** Sees what goes by; for measuring. */
export interface DaemonObserver {
  frame?(frame: Frame): void;
  result?(result: FrameResult): void;
  /** Whether a frame is at work. */
  busy?(busy: boolean): void;
}

export interface DaemonOptions {
  readonly local: LocalConfig;
  readonly rootLog: RootLog;
  readonly observer?: DaemonObserver;
  /** For measuring: priority of the adapter, where 19 would leave it nothing beside other work. */
  readonly adapterNice?: number;
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

/** Everything of one run. Start it once, stop it once. */
export class Daemon {
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #registry: Registry;
  readonly #startedMs = Date.now();
  readonly #latency = new LatencyWindow();
  readonly #watchdog = new Watchdog();
  readonly #undo = new Undo();
  readonly #ended: Promise<void>;
  #tellEnded: () => void = () => undefined;
  #config: Config;
  #parts: Parts | undefined;
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

  /** Reads the configuration file again, when no other change is under way; a bad one is logged and changes nothing. */
  reload(): void {
    this.#parts?.reloader.reload();
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
    this.#undo.add('registry', () => this.#registry.stop());
    const { stateDir, telemetry: limits } = this.#config;
    const store = openStore(join(stateDir, 'bitlane.db'), {
      log: rootLog.part('store'),
      outboxMaxRows: limits.outboxMaxRows,
      outboxMaxBytes: limits.outboxMaxBytes,
    });
    this.#undo.add('store', () => store.close());
    const boot = store.boots.begin(packageVersion);
    this.#undo.add('boots', () => store.boots.end(boot.id));
    const twin = new ConfigTwin({
      store: store.keyValue,
      log: rootLog.part('config'),
      bootId: boot.id,
      local,
    });
    this.#config = twin.boot().config;
    // A start that failed counts against a remote configuration that is not confirmed yet.
    this.#undo.add('twin', () => {
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
    this.#undo.add('control', () => control.stop());
    this.#undo.add('commands', () => commands.stop());

    const parts = this.#wire(store, boot.id, twin, commands);
    this.#parts = parts;
    const { embeddedPort } = this.#config.mqtt;
    if (embeddedPort !== undefined) {
      const broker = new EmbeddedBroker(embeddedPort, rootLog.part('broker'));
      broker.start();
      this.#undo.add('broker', () => broker.stop());
    }
    await parts.telemetry.start();
    this.#undo.add('telemetry', () => parts.telemetry.stop());
    parts.examples.start();
    this.#undo.add('examples', () => parts.examples.stop());
    parts.road.start();
    this.#undo.add('road', () => parts.road.stop());
    this.#undo.add('teacher', () => parts.teacher.stop());
    await parts.models.start();
    this.#undo.add('models', () => parts.models.stop());
    parts.probe.start();
    this.#undo.add('probe', () => parts.probe.stop());
    parts.loop.start();
    this.#undo.add('loop', () => parts.loop.stop());
    parts.reporter.start();
    this.#undo.add('reports', () => parts.reporter.stop());
    parts.eye.start();
    this.#undo.add('camera', () => parts.eye.stop());
    this.#watchdog.start();
    this.#undo.add('watchdog', () => this.#watchdog.stop());
    const trial = new Trial(twin);
    trial.start();
    this.#undo.add('trial', () => trial.stop());
    this.#running = true;
    this.#log.info('running', { version: packageVersion, boot: boot.id });
  }

  #wire(store: Store, bootId: string, twin: ConfigTwin, commands: CommandRegistry): Parts {
    const { rootLog, adapterNice } = this.#options;
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
    const masks = new Masks(config);
    const examples = new Examples({
      config,
      store,
      telemetry,
      bootId,
      masks,
      log: rootLog.part('examples'),
    });
    const teacher = new Teacher({
      registry: this.#registry,
      config: () => this.#config,
      isFree: () => models.status === 'serving',
      hear: (frame, serving, word) => examples.keeper.hear(frame, serving, word),
      log: rootLog.part('teacher'),
    });
    const road = new Road({
      config,
      store: store.keyValue,
      lastSeq: () => store.outbox.lastSeq,
      outlet: telemetry,
      log: rootLog.part('road'),
      watcher: {
        seen: (result, classes, tracks) => examples.seen(result, classes, tracks),
        finished: (tracks) => {
          examples.finished(tracks);
          for (const track of tracks) this.#parts?.loop.track(track);
        },
      },
    });
    const probe = new HealthProbe(config.stateDir);
    const loop = new AdaptationService({
      stateDir: config.stateDir,
      config: () => this.#config,
      registry: this.#registry,
      serving: models,
      store,
      critical: () => (examples.confusions === undefined ? [] : criticalPairs(examples.confusions)),
      agreement: (model) => examples.agreementWithTeacher(model),
      throttled: () => probe.isThrottled(),
      ...(adapterNice !== undefined && { nice: adapterNice }),
      log: rootLog.part('adaptation'),
    });
    const reporter = new Reporter({
      telemetry,
      models,
      registry: this.#registry,
      eye,
      probe,
      store,
      examples: examples.keeper,
      latency: this.#latency,
      startedMs: this.#startedMs,
      config: () => this.#config,
    });
    const changes = new Changes(
      takersOf({ telemetry, models, eye, road, examples, rootLog }),
      masks,
      rootLog.part('config'),
    );
    const changed = (change: DesiredChange): void => {
      if (this.#parts !== undefined) void this.#takeUp(this.#parts, change);
    };
    telemetry.on('desired', changed);
    const load = (): LocalConfig => loadConfig(this.#options.local.source);
    const reloader = new Reloader({ twin, load, changed, log: this.#log });
    eye.on('frame', (frame) => {
      this.#watchdog.frame();
      this.#options.observer?.frame?.(frame);
      models.offer(frame);
    });
    eye.on('size', () => reporter.info());
    eye.on('ended', () => {
      void lastFrame(models).then(() => {
        this.#log.info('the camera is at its end');
        this.#tellEnded();
      });
    });
    models.on('want', () => eye.ready());
    models.on('busy', (busy) => {
      this.#options.observer?.busy?.(busy);
      loop.frames(busy);
    });
    models.on('result', ({ result, classes }) => {
      this.#latency.add(result.totalMs);
      this.#watchdog.inference();
      this.#options.observer?.result?.(result);
      road.see(result, classes);
      loop.result(result);
      teacher.offer(result, classes);
    });
    loop.on('state', (state) => telemetry.publishState('adapt/state', state));
    loop.on('event', (event) =>
      telemetry.enqueue('event/model', { ...event, generation: models.generations }),
    );
    models.on('step', (step) => {
      telemetry.enqueue('event/model', step);
      loop.step(step);
      if (step.step === 'warm') this.#watchdog.tellReady('watching the road');
      reporter.modelSoon();
    });
    examples.addCommands(commands, () => models.artifact?.manifest.detector.classes);
    addCommands(commands, {
      registry: this.#registry,
      models,
      eye,
      masks,
      rootLog,
      config: () => this.#config,
    });
    addAdaptCommands(commands, loop);
    return {
      telemetry,
      models,
      loop,
      eye,
      road,
      examples,
      teacher,
      changes,
      probe,
      reporter,
      reloader,
      twin,
      shown: new Rate(),
    };
  }

  async #takeUp(parts: Parts, change: DesiredChange): Promise<void> {
    await parts.changes.take(change);
    this.#config = parts.twin.config;
    parts.reporter.info();
  }

  async #stop(): Promise<void> {
    this.#log.info('stopping');
    await this.#undo.run(this.#log);
    this.#log.info('stopped');
  }
}

interface Parts {
  readonly telemetry: Telemetry;
  readonly models: ModelService;
  readonly loop: AdaptationService;
  readonly eye: Eye;
  readonly road: Road;
  readonly examples: Examples;
  readonly teacher: Teacher;
  readonly changes: Changes;
  readonly probe: HealthProbe;
  readonly reporter: Reporter;
  readonly reloader: Reloader;
  readonly twin: ConfigTwin;
  readonly shown: Rate;
}
