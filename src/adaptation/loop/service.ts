// The loop in the supervisor: begins adaptations, owns their process, tries what they come to, watches it on the road.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config/index.js';
import type { FrameResult } from '../../detector/index.js';
import { BitlaneError, messageOf } from '../../errors.js';
import type { Registry } from '../../registry/index.js';
import type { Store } from '../../store/index.js';
import { Emitter, type Log, pause } from '../../system/index.js';
import type { OutboxBody, StateBody } from '../../telemetry/index.js';
import type { FinishedTrack } from '../../tracking/index.js';
import { definedBudget, type Job, readJob, type Trigger } from '../job/job.js';
import type { JobResult } from '../job/result.js';
import { AfterSwap } from './after-swap.js';
import { keepReport } from './files.js';
import { Journal } from './journal.js';
import { LadderWalk } from './ladder-walk.js';
import { LoopMemory } from './memory.js';
import { type AskedJob, startJob } from './start-job.js';
import { type AdaptationRecord, begunRecord, eventOf, ofResult } from './record.js';
import { Outgoing } from './outgoing.js';
import { JobRunner } from './runner.js';
import type { Serving } from './serving.js';
import { tryCandidate } from './trial.js';
import { type ClassPair, dueTrigger, inWindow } from './triggers.js';
import type { AgreementOf } from './watched.js';

type State = StateBody<'adapt/state'>;
type ModelEvent = OutboxBody<'event/model'>;

export interface LoopEvents {
  state: State;
  event: ModelEvent;
}

export interface LoopOptions {
  readonly stateDir: string;
  readonly config: () => Config;
  readonly registry: Registry;
  readonly serving: Serving;
  readonly store: Pick<Store, 'keyValue' | 'adaptations'>;
  /** Pairs that are critical by what was observed; none where nothing was. */
  readonly critical: () => readonly ClassPair[];
  /** How often the FP32 model says the class that this model said, on the frames that it was asked about; `null` where they are too few. */
  readonly agreement?: AgreementOf;
  /** Whether heat or voltage holds the device back now; `null` where it does not tell. */
  readonly throttled: () => Promise<boolean | null>;
  readonly log: Log;
  /** For tests: see `AdapterOptions`. */
  readonly nice?: number;
  /** For tests: how often the loop looks at the clock. */
  readonly tickMs?: number;
}

const TICK_MS = 2_000;
const MISSES = 2;

type Begun = Pick<Job, 'id' | 'trigger'> & { readonly folder: string; readonly startedAt: string };

export class AdaptationService extends Emitter<LoopEvents> {
  readonly #options: LoopOptions;
  readonly #log: Log;
  readonly #folder: string;
  readonly #journal: Journal;
  readonly #outgoing: Outgoing;
  readonly #memory: LoopMemory;
  readonly #after: AfterSwap;
  readonly #ladder: LadderWalk;
  readonly #stop = new AbortController();
  readonly #stopped: Promise<undefined>;
  #job: Begun | undefined;
  #runner: JobRunner | undefined;
  #status: State['status'] = 'idle';
  #progress = { step: null as string | null, done: 0, all: 0 };
  #throttledSinceMs: number | undefined;
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> = Promise.resolve();
  #refusal = '';
  #busy = false;

  constructor(options: LoopOptions) {
    super();
    this.#options = options;
    this.#log = options.log;
    this.#stopped = new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    this.#folder = join(options.stateDir, 'adaptation');
    this.#journal = new Journal(options.store.adaptations, this.#folder, options.log);
    this.#outgoing = new Outgoing(this.#folder, options.log);
    this.#memory = new LoopMemory(options.store.keyValue, options.log);
    this.#ladder = new LadderWalk(options.serving, options.log);
    this.#after = new AfterSwap({
      serving: options.serving,
      rules: () => this.#config.watch,
      agreement: options.agreement,
      log: options.log,
      onEnd: (live, back) => this.#endWatch(live, back),
      onReturn: () => this.#memory.set({ ladder: [] }),
    });
  }

  get state(): State {
    const [last] = this.#journal.list(5).filter(({ endedAt }) => endedAt !== null);
    const { step, done, all } = this.#progress;
    const watched = this.#status === 'watching' ? this.#journal.record : undefined;
    const current = this.#job ?? watched;
    return {
      status: this.#status,
      adaptation: current?.id ?? null,
      trigger: current?.trigger ?? null,
      started_at: current?.startedAt ?? null,
      step,
      done,
      all,
      last:
        last === undefined || last.endedAt === null
          ? null
          : { adaptation: last.id, outcome: last.outcome, ended_at: last.endedAt, reason: last.reason },
      rungs: this.#memory.value.ladder.map(({ id }) => id),
    };
  }

  history(most: number): AdaptationRecord[] {
    return this.#journal.list(most);
  }

  /** Takes up a job that was under way, and begins to look at the clock. */
  start(): void {
    mkdirSync(join(this.#folder, 'cache'), { recursive: true, mode: 0o750 });
    this.#outgoing.sweep();
    const folder = join(this.#folder, 'job');
    if (existsSync(folder)) this.#resume(folder);
    this.#tell();
    this.#schedule();
  }

  /** Ends the adapter's process; its job is taken up again at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#runner?.stop();
    await Promise.all([this.#ticking, this.#work, this.#outgoing.idle()]);
    this.removeAll();
  }

  /**
   * Begins an adaptation.
   *
   * @throws BitlaneError `BUSY` while one runs or is watched, `NO_SUCH_MODEL` where there is nothing to adapt, `BAD_DATASET` where there
   *   are no pictures to adapt to
   */
  async begin(
    trigger: Trigger,
    asked: Omit<AskedJob, 'trigger'> = {},
  ): Promise<{ readonly id: string; readonly parent: string }> {
    if (this.#status !== 'idle') {
      throw new BitlaneError(
        'BUSY',
        `an adaptation is ${this.#status}: ${this.#status === 'watching' ? 'wait until its model was watched for long enough' : 'cancel it first'}`,
      );
    }
    this.#setStatus('running');
    try {
      return await this.#begin(trigger, asked);
    } catch (error) {
      this.#setStatus('idle');
      throw error;
    }
  }

  /** @throws BitlaneError `BAD_COMMAND` where none runs */
  async cancel(): Promise<string> {
    const id = this.#job?.id;
    if (id === undefined || this.#status === 'deploying') {
      throw new BitlaneError(
        id === undefined ? 'BAD_COMMAND' : 'BUSY',
        id === undefined ? 'no adaptation runs' : 'the candidate is being tried: it is too late to cancel',
      );
    }
    await this.#runner?.stop();
    await this.#work;
    return id;
  }

  /** Whether a frame is at work. */
  frames(busy: boolean): void {
    this.#busy = busy;
    this.#runner?.frames(busy);
  }

  /** A frame of the serving model. */
  result(result: FrameResult): void {
    this.#after.result(result);
    this.#ladder.result(result);
  }

  track(track: FinishedTrack): void {
    this.#after.track(track);
  }

  /** Something happened to a model. */
  step(event: ModelEvent): void {
    this.#after.step(event);
  }

  get #config(): Config['adaptation'] {
    return this.#options.config().adaptation;
  }

  #setStatus(status: State['status']): void {
    this.#status = status;
    if (status !== 'running') this.#progress = { step: null, done: 0, all: 0 };
    this.#tell();
  }

  #tell(): void {
    if (!this.#stop.signal.aborted) this.emit('state', this.state);
  }

  async #begin(
    trigger: Trigger,
    asked: Omit<AskedJob, 'trigger'>,
  ): Promise<{ readonly id: string; readonly parent: string }> {
    const { folder, job, parent, baseline } = await startJob(
      {
        ...this.#options,
        home: this.#folder,
        memory: this.#memory,
        servedP95Ms: (model) => this.#after.p95Of(model),
      },
      { trigger, ...asked },
    );
    this.#memory.set({
      configuredAtBegin: definedBudget(this.#config.budget),
      // Only misses in a row are learned from.
      ...(trigger !== 'miss' && { misses: 0 }),
    });
    this.#take(folder, job, { parent, baseline });
    return { id: job.id, parent };
  }

  #resume(folder: string): void {
    let job: Job;
    try {
      job = readJob(folder);
    } catch (error) {
      // Killed before its job was written: there is nothing to take up.
      this.#log.warn(`a job that was left half-written is removed: ${messageOf(error)}`);
      rmSync(folder, { recursive: true, force: true });
      return;
    }
    const known = this.#journal.get(job.id);
    this.#status = 'running';
    this.#log.info('an adaptation that was under way is taken up again', { adaptation: job.id });
    const id = /[0-9a-f]{64}/;
    this.#take(folder, job, {
      parent: known?.parent ?? id.exec(job.parent)?.[0] ?? '',
      baseline: known?.baseline ?? id.exec(job.baseline)?.[0] ?? '',
    });
  }

  #take(folder: string, job: Job, models: Pick<AdaptationRecord, 'parent' | 'baseline'>): void {
    this.#job = { id: job.id, trigger: job.trigger, startedAt: job.createdAt, folder };
    const isNew = this.#journal.get(job.id) === undefined;
    this.#journal.begin(begunRecord(job, models));
    if (isNew) this.#event('adapting');
    this.#work = this.#run(folder, job).catch((error: unknown) => {
      this.#log.error(`the loop met a problem: ${messageOf(error)}`);
      this.#end('failed', messageOf(error));
    });
  }

  async #run(folder: string, job: Job): Promise<void> {
    const runner = new JobRunner({
      folder,
      nice: this.#options.nice,
      busy: () => this.#busy,
      config: () => this.#config,
      log: this.#log,
      onStatus: (status) => this.#setStatus(status),
      onProgress: (step, done, all) => {
        const isOther = this.#progress.step !== step;
        this.#progress = { step, done, all };
        if (isOther) this.#tell();
      },
    });
    this.#runner = runner;
    const ended = await runner.run();
    this.#runner = undefined;
    if (this.#stop.signal.aborted) return;
    this.#journal.keep({ peakMb: Math.round(runner.peakMb) });
    switch (ended.kind) {
      case 'result':
        return this.#settle(job, ended.result);
      case 'failed':
        return this.#end('failed', ended.reason);
      case 'stopped':
        return this.#end('cancelled', 'it was cancelled');
    }
  }

  /** The adapter is done: what it made is tried on live frames, where it was judged good. */
  async #settle(job: Job, result: JobResult): Promise<void> {
    if (result.outcome === 'failed') return this.#end('failed', result.reason);
    this.#journal.keep(ofResult(result));
    if (result.outcome === 'rejected') return this.#end('rejected', result.reason);
    this.#setStatus('deploying');
    const { registry, serving } = this.#options;
    const { parent, baseline } = this.#journal.record ?? { parent: '', baseline: '' };
    const trial = tryCandidate(
      { registry, serving, memory: this.#memory, log: this.#log, wait: (ms) => pause(ms, this.#stop.signal) },
      {
        job,
        result,
        parent,
        baseline,
        canaryFrames: this.#config.canaryFrames,
        minAgreement: this.#config.minAgreement,
      },
    );
    // A daemon that stops does not wait for a canary; the job is still there at its next start.
    const tried = await Promise.race([trial, this.#stopped]);
    if (tried === undefined || this.#stop.signal.aborted) return;
    this.#journal.keep({ canary: tried.figures ?? null });
    if (!tried.committed) {
      this.#end('refused', tried.reason);
      const { misses } = this.#memory.value;
      this.#memory.set({ misses: tried.missed ? misses + 1 : 0 });
      // What was learned from the miss makes the next one fit.
      if (tried.missed && misses < MISSES) await this.begin('miss', { budget: job.budget, pairs: job.pairs });
      return;
    }
    this.#memory.set({
      misses: 0,
      // As they were asked for: those that the pictures do not know are no reason to adapt again and again.
      adaptedTo: job.pairs ?? result.critical.pairs,
      budget: job.budget,
      configured: this.#memory.value.configuredAtBegin ?? definedBudget(this.#config.budget),
    });
    this.#end('committed', result.reason);
    this.#after.begin({ candidate: result.candidate.id, baseline, budget: job.budget });
    this.#setStatus('watching');
  }

  #end(outcome: AdaptationRecord['outcome'], reason: string): void {
    const job = this.#job;
    if (job === undefined) return;
    this.#journal.keep({ outcome, reason, endedAt: new Date().toISOString() });
    this.#memory.set({ lastEndMs: Date.now() });
    keepReport(this.#folder, job.folder, job.id);
    this.#outgoing.remove(job.folder);
    this.#job = undefined;
    this.#log.info(`the adaptation has ended: ${outcome}: ${reason}`, { adaptation: job.id });
    this.#event('adapted');
    this.#setStatus('idle');
  }

  #event(step: 'adapting' | 'adapted' | 'rolled-back', reason?: string): void {
    const record = this.#journal.record;
    if (record === undefined || this.#stop.signal.aborted) return;
    this.emit('event', eventOf(record, step, this.#options.serving.artifact?.id ?? null, reason));
  }

  #endWatch(live: AdaptationRecord['live'], back: string | undefined): void {
    this.#journal.keep({
      ...(live !== null && { live }),
      ...(back !== undefined && { outcome: 'rolled-back', reason: back }),
    });
    this.#setStatus('idle');
    if (back === undefined) return;
    this.#log.warn(`the adapted model is taken back: ${back}`);
    this.#event('rolled-back', back);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#ticking = this.#tick()
        .catch((error: unknown) => this.#log.error(`the loop met a problem: ${messageOf(error)}`))
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#schedule();
        });
    }, this.#options.tickMs ?? TICK_MS);
  }

  async #tick(): Promise<void> {
    const nowMs = performance.now();
    const throttled = (await this.#options.throttled()) === true;
    if (this.#stop.signal.aborted) return;
    this.#throttledSinceMs = throttled ? (this.#throttledSinceMs ?? nowMs) : undefined;
    const config = this.#config;
    switch (this.#status) {
      case 'running':
        this.#tell();
        await this.#pauseOutside(config);
        break;
      case 'watching':
        // A daemon that stops does not wait for a way back.
        await Promise.race([this.#after.look(nowMs), this.#stopped]);
        break;
      case 'idle':
        await this.#beginWhereDue(config, nowMs);
        break;
      case 'paused':
      case 'deploying':
        break;
    }
    if (this.#status !== 'deploying') {
      const { ladder, budget } = this.#memory.value;
      const stepped = await Promise.race([
        this.#ladder.see(ladder, throttled, budget?.latencyMs, config.ladder),
        this.#stopped,
      ]);
      // A step is not the loop's new model.
      if (stepped === true) this.#after.leave();
    }
  }

  /** What was begun by itself rests outside of its hours. */
  async #pauseOutside({ schedule, enabled }: Config['adaptation']): Promise<void> {
    const trigger = this.#job?.trigger;
    if (trigger === 'command' || trigger === undefined || !enabled || inWindow(schedule, new Date())) return;
    await this.#runner?.pause();
  }

  async #beginWhereDue(config: Config['adaptation'], nowMs: number): Promise<void> {
    const { lastEndMs, adaptedTo, configured } = this.#memory.value;
    const trigger = dueTrigger(config, {
      now: new Date(),
      lastEndMs,
      adaptedTo,
      critical: this.#options.critical(),
      throttledMs: this.#throttledSinceMs === undefined ? 0 : nowMs - this.#throttledSinceMs,
      budgetChanged:
        configured !== undefined &&
        JSON.stringify(definedBudget(config.budget)) !== JSON.stringify(configured),
    });
    if (trigger === undefined || this.#options.serving.artifact === undefined) return;
    try {
      await this.begin(trigger);
      this.#refusal = '';
    } catch (error) {
      // Said once; it is due again with every look.
      const reason = messageOf(error);
      if (reason !== this.#refusal)
        this.#log.warn(`an adaptation is due (${trigger}) and cannot begin: ${reason}`);
      this.#refusal = reason;
    }
  }
}
