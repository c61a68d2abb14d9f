// Which model serves: its start at boot, its restarts, swaps to another and the way back.
import type { Demands, Deployed, DeployFigures, UseOptions } from '../adaptation/index.js';
import type { Config } from '../config/index.js';
import {
  type CanaryFigures,
  createGeneration,
  DetectorFeed,
  type FeedCounters,
  type FrameResult,
  type Generation,
  keptClasses,
  type SwapEvent,
} from '../detector/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import type { Artifact, Registry } from '../registry/index.js';
import { Emitter, type Log } from '../system/index.js';
import type { OutboxBody } from '../telemetry/index.js';
import type { Frame } from '../vision/index.js';
import { figuresOf, overBudget } from './demands.js';
import { Starts } from './starts.js';

export type ModelStep = OutboxBody<'event/model'>;

export interface ModelEvents {
  /** A frame was detected; `classes` are the names that its class indices mean. */
  result: { readonly result: FrameResult; readonly classes: readonly string[] };
  /** Something happened to a model. */
  step: ModelStep;
  /** A frame is wanted and none waits. */
  want: undefined;
  /** Whether a frame is at work. */
  busy: boolean;
}

export interface ModelServiceOptions {
  readonly registry: Registry;
  readonly config: Config;
  readonly log: Log;
}

/** What is being done, as `model/state` says it. */
export type ModelStatus = 'none' | 'starting' | 'serving' | 'swapping' | 'failed';

const STOP_GRACE_MS = 3_000;
const short = (id: string): string => id.slice(0, 12);

/** Owns the frame feed and every detector process. */
export class ModelService extends Emitter<ModelEvents> {
  readonly #registry: Registry;
  readonly #log: Log;
  readonly #feed = new DetectorFeed();
  readonly #classes = new Map<string, readonly string[]>();
  readonly #stop = new AbortController();
  readonly #starts: Starts;
  #config: Config;
  #artifact: Artifact | undefined;
  #candidate: Artifact | undefined;
  #generations = 0;
  #restarts = 0;
  #serving: Promise<void> | undefined;
  #status: ModelStatus = 'none';

  constructor(options: ModelServiceOptions) {
    super();
    this.#registry = options.registry;
    this.#log = options.log;
    this.#config = options.config;
    this.#starts = new Starts(options.registry, options.config.detector, options.log);
    this.#feed.on('result', (result) => this.#onResult(result));
    this.#feed.on('failed', ({ message }) => this.#onFailed(message));
    this.#feed.on('swap', (event) => this.#onSwap(event));
    this.#feed.on('want', () => this.emit('want', undefined));
    this.#feed.on('busy', (busy) => this.emit('busy', busy));
  }

  /** The artifact that serves, or is being started. */
  get artifact(): Artifact | undefined {
    return this.#artifact;
  }

  get candidate(): Artifact | undefined {
    return this.#candidate;
  }

  get status(): ModelStatus {
    return this.#candidate === undefined ? this.#status : 'swapping';
  }

  get generations(): number {
    return this.#generations;
  }

  /** Times that the serving process was started anew because it had ended. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Process id of the serving detector. */
  get pid(): number | undefined {
    return this.#feed.serving?.pid;
  }

  get counters(): Readonly<FeedCounters> {
    return this.#feed.counters;
  }

  /** Hands over a frame: newest wins. */
  offer(frame: Frame): void {
    this.#feed.offer(frame);
  }

  /**
   * Decides what to serve and begins to start it; does not wait until it serves.
   *
   * @throws BitlaneError `NO_SUCH_MODEL` when nothing is installed
   */
  async start(): Promise<void> {
    const wanted = this.#config.model;
    if (this.#registry.active === null && wanted !== undefined) await this.#registry.activate(wanted);
    const { active, rolledBackFrom } = await this.#registry.atBoot();
    if (active === undefined) {
      throw new BitlaneError(
        'NO_SUCH_MODEL',
        `no model is installed in ${this.#registry.folder}: make one with "bitlane models import FILE.onnx --head ... --names ..."`,
      );
    }
    if (rolledBackFrom !== undefined) {
      this.#tell('rolled-back', rolledBackFrom, `${short(rolledBackFrom)} did not start: going back`);
    }
    this.#artifact = active;
    this.#serve();
  }

  /** Takes up changed `detector` and `swap` settings. A running model goes on until its successor has passed the canary. */
  async configure(config: Config): Promise<void> {
    const before = this.#config;
    const artifact = this.#artifact;
    const isOther = JSON.stringify(before.detector) !== JSON.stringify(config.detector);
    this.#take(config);
    // A model that is only being started is started with the new settings the next time; one that serves is replaced.
    if (artifact === undefined || !isOther || this.#feed.serving === undefined) return;
    try {
      await this.#swap(artifact, { before: before.detector });
    } catch (error) {
      // What was refused must not come into force with the next restart.
      this.#take(before);
      throw error;
    }
  }

  #take(config: Config): void {
    this.#config = config;
    this.#starts.configure(config.detector);
  }

  /**
   * Swaps an installed artifact in; resolves when it serves.
   *
   * @throws BitlaneError `NO_SUCH_MODEL`, `BAD_MODEL`, `BUSY`, `SWAP_FAILED`: the model before goes on serving
   */
  async use(id: string, { isTrusted = false }: UseOptions = {}): Promise<void> {
    if (this.#artifact?.id === id && this.#feed.serving !== undefined) return;
    this.#demandFree();
    this.#tell('requested', id);
    let artifact: Artifact;
    try {
      artifact = await this.#registry.verify(id);
    } catch (error) {
      this.#tell('refused', id, messageOf(error));
      throw error;
    }
    if (this.#feed.serving === undefined) await this.#replaceBroken(artifact);
    else await this.#swap(artifact, { isTrusted });
  }

  /** Swaps an installed artifact in where it shows what is demanded on live frames; the model before goes on serving otherwise. */
  async deploy(id: string, demands: Demands): Promise<Deployed> {
    let figures: DeployFigures | undefined;
    let missed = false;
    const look = (candidate: Generation, canary: CanaryFigures): string | undefined => {
      figures = figuresOf(canary, [candidate.pid, this.pid], this.#candidate?.manifest.modelBytes ?? 0);
      const problem = overBudget(figures, demands);
      missed = problem !== undefined;
      return problem;
    };
    try {
      this.#demandFree();
      this.#tell('requested', id);
      const artifact = await this.#registry.verify(id);
      if (this.#feed.serving === undefined) {
        throw this.#status === 'starting'
          ? new BitlaneError('BUSY', 'the model is being started: wait until it serves')
          : new BitlaneError('SWAP_FAILED', 'no model serves: a candidate has nothing to be held against');
      }
      const { canaryFrames, minAgreement } = demands;
      await this.#swap(artifact, {
        look,
        ...(canaryFrames !== undefined && { canaryFrames }),
        ...(minAgreement !== undefined && { minAgreement }),
      });
      return { committed: true, ...(figures && { figures }) };
    } catch (error) {
      const busy = error instanceof BitlaneError && error.code === 'BUSY';
      return { committed: false, reason: messageOf(error), busy, missed, ...(figures && { figures }) };
    }
  }

  /** Swaps the previous artifact in, or the factory one where there is none. */
  async rollback(): Promise<void> {
    const { active, previous, factory } = this.#registry;
    const target = [previous, factory].find((id) => id !== null && id !== active);
    if (target === undefined || target === null) {
      throw new BitlaneError('NO_SUCH_MODEL', 'there is no earlier artifact to go back to');
    }
    await this.use(target, { isTrusted: true });
  }

  /** Ends every detector process. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.removeAll();
    await this.#feed.stop();
    await this.#serving;
    await this.#starts.idle();
    this.#status = 'none';
  }

  #demandFree(): void {
    if (this.#candidate !== undefined) {
      throw new BitlaneError('BUSY', 'a swap is running: wait until it has ended');
    }
  }

  #create(artifact: Artifact, detector = this.#config.detector): Generation {
    const names = artifact.manifest.detector.classes;
    const { unknown } = keptClasses(detector.classes, names);
    if (unknown.length > 0) {
      this.#log.warn(`detector.classes names what ${artifact.manifest.name} does not know`, {
        unknown: unknown.join(', '),
      });
    }
    this.#generations += 1;
    this.#classes.set(artifact.id, names);
    return createGeneration({
      number: this.#generations,
      artifact,
      detector,
      graceMs: STOP_GRACE_MS,
      log: this.#log,
    });
  }

  #serve(): void {
    this.#status = 'starting';
    this.#serving = this.#serveUntilItWorks().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#status = 'failed';
      this.#log.error(`the detector cannot be started: ${messageOf(error)}`);
    });
  }

  /** Starts the active artifact, with waits between failures; after two failures in a row the one before it. */
  async #serveUntilItWorks(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const artifact = this.#artifact;
      if (artifact === undefined) return;
      await this.#starts.begun(artifact.id);
      const generation = this.#create(artifact);
      this.#tell('started', artifact.id);
      try {
        await generation.start();
        if (this.#stop.signal.aborted) return await generation.stop();
        if (this.#artifact !== artifact) {
          // Another one was chosen meanwhile.
          await generation.stop();
          continue;
        }
        this.#starts.serves(artifact.id);
        this.#status = 'serving';
        this.#feed.serve(generation);
        this.#tell('warm', artifact.id);
        return;
      } catch (error) {
        await generation.stop();
        if (this.#stop.signal.aborted) return;
        if (this.#artifact !== artifact) continue;
        const isEnough = await this.#starts.failed(artifact.id, () =>
          this.#tell('failed', artifact.id, messageOf(error)),
        );
        if (!isEnough || !(await this.#goBack(artifact.id))) await this.#starts.wait(this.#stop.signal);
      }
    }
  }

  /** Makes the artifact before the active one; false where there is none. */
  async #goBack(from: string): Promise<boolean> {
    try {
      this.#artifact = await this.#registry.rollback();
    } catch (error) {
      this.#log.warn(`there is no way back from ${short(from)}: ${messageOf(error)}`);
      return false;
    }
    this.#starts.forget();
    this.#tell('rolled-back', from, `${short(from)} failed again and again: going back`);
    return true;
  }

  /** Nothing serves (the active artifact does not start): the other one is made active and started. */
  async #replaceBroken(artifact: Artifact): Promise<void> {
    await this.#registry.activate(artifact);
    this.#starts.forget();
    this.#artifact = artifact;
    // The loop that is waiting for its next attempt takes the new artifact up then.
    if (this.#status === 'failed') this.#serve();
    this.#tell('committed', artifact.id);
  }

  async #swap(
    artifact: Artifact,
    more: {
      readonly canaryFrames?: number;
      readonly minAgreement?: number;
      readonly look?: (candidate: Generation, figures: CanaryFigures) => string | undefined;
      /** Settings of the process that serves, where the swap is for other ones. */
      readonly before?: Config['detector'];
      /** Runs, and is not compared. */
      readonly isTrusted?: boolean;
    } = {},
  ): Promise<void> {
    this.#demandFree();
    const { swap } = this.#config;
    const isOther = artifact.id !== this.#artifact?.id;
    this.#candidate = artifact;
    const generation = this.#create(artifact);
    const check = (figures: CanaryFigures): string | undefined => more.look?.(generation, figures);
    try {
      const rules = {
        frames: more.canaryFrames ?? swap.canaryFrames,
        timeoutMs: swap.canaryTimeoutMs,
        maxLatencyRatio: more.isTrusted === true ? Infinity : swap.maxLatencyRatio,
        minAgreement: more.isTrusted === true ? 0 : Math.max(swap.minAgreement, more.minAgreement ?? 0),
      };
      const hooks = isOther
        ? {
            check,
            commit: async () => void (await this.#registry.activate(artifact)),
            undo: () => this.#registry.revert(),
          }
        : {};
      const before = this.#artifact;
      if (swap.mode === 'side-by-side' || before === undefined)
        await this.#feed.swap(generation, rules, hooks);
      else await this.#feed.exchange(generation, () => this.#create(before, more.before), rules, hooks);
    } finally {
      this.#candidate = undefined;
    }
  }

  #onResult(result: FrameResult): void {
    this.#starts.answered(result.artifactId);
    this.emit('result', { result, classes: this.#classes.get(result.artifactId) ?? [] });
  }

  #onFailed(message: string): void {
    const id = this.#artifact?.id;
    if (id === undefined || this.#stop.signal.aborted) return;
    this.#restarts += 1;
    this.#status = 'starting';
    const isEnough = this.#starts.crashed(id);
    this.#tell('restarted', id, message);
    this.#serving = (async () => {
      const isBroken = (await isEnough()) && this.#artifact?.id === id;
      if (!isBroken || !(await this.#goBack(id))) await this.#starts.wait(this.#stop.signal);
      await this.#serveUntilItWorks();
    })().catch((error: unknown) => {
      this.#status = 'failed';
      this.#log.error(`the detector cannot be started: ${messageOf(error)}`);
    });
  }

  #onSwap(event: SwapEvent): void {
    switch (event.step) {
      case 'starting':
        return this.#tell('started', event.to);
      case 'canary':
        return this.#tell('warm', event.to);
      case 'handover':
        return this.#tell('canary', event.to);
      case 'committed':
        this.#artifact = this.#candidate;
        this.#starts.serves(event.to);
        this.#starts.forget();
        return this.#tell('committed', event.to);
      case 'rolled-back':
        return this.#tell('failed', event.to, event.reason);
    }
  }

  #tell(step: ModelStep['step'], model: string, reason?: string): void {
    const line = `${step}${reason === undefined ? '' : `: ${reason}`}`;
    if (step === 'failed' || step === 'restarted' || step === 'rolled-back') {
      this.#log.warn(line, { model: short(model) });
    } else this.#log.info(line, { model: short(model) });
    this.emit('step', {
      step,
      model,
      active: this.#artifact?.id ?? null,
      generation: this.#generations,
      ...(reason === undefined ? {} : { reason }),
    });
  }
}
