// The loop in the supervisor: begins adaptations, owns their process, tries what they come to, watches it on the road.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../config/index.js';
import type { FrameResult } from '../../detector/index.js';
import { asBitlaneError, BitlaneError, messageOf } from '../../errors.js';
import type { Registry } from '../../registry/index.js';
import type { Store } from '../../store/index.js';
import { Emitter, type Log } from '../../system/index.js';
import type { OutboxBody, StateBody } from '../../telemetry/index.js';
import type { FinishedTrack } from '../../tracking/index.js';
import { Adapter } from '../job/adapter.js';
import { type Job, readJob, type Trigger, writeJob } from '../job/job.js';
import type { JobResult } from '../job/result.js';
import { keepReport } from './files.js';
import { LadderWalk } from './ladder-walk.js';
import { picturesFor } from './material.js';
import { LoopMemory } from './memory.js';
import { floatParentOf } from './parent.js';
import { AdaptationHistory, type AdaptationRecord, ofResult } from './record.js';
import type { Serving } from './serving.js';
import { tryCandidate } from './trial.js';
import { type ClassPair, dueTrigger, inWindow } from './triggers.js';
import { LiveWatch } from './watch.js';

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
  readonly agreement?: (model: string) => Promise<number | null>;
  /** Whether heat or voltage holds the device back now; `null` where it does not tell. */
  readonly throttled: () => Promise<boolean | null>;
  readonly log: Log;
  /** For tests: how often the loop looks at the clock. */
  readonly tickMs?: number;
}

const OUTGOING = 'outgoing-';
const TICK_MS = 2_000;
/** Unexpected ends of the adapter's process after which a job is given up. */
const ATTEMPTS = 4;
const RETRY_MS = 5_000;
const MISSES = 2;
/** Between two questions what the teacher said. */
const ASK_MS = 30_000;

type Begun = Pick<Job, 'id' | 'trigger'> & { readonly folder: string; readonly startedAt: string };

export class AdaptationService extends Emitter<LoopEvents> {
  readonly #options: LoopOptions;
  readonly #log: Log;
  readonly #folder: string;
  readonly #history: AdaptationHistory;
  readonly #memory: LoopMemory;
  readonly #watch = new LiveWatch();
  readonly #ladder: LadderWalk;
  readonly #stop = new AbortController();
  readonly #stopped: Promise<undefined>;
  #job: Begun | undefined;
  #record: AdaptationRecord | undefined;
  #adapter: Adapter | undefined;
  #cancelled = false;
  #paused = false;
  #status: State['status'] = 'idle';
  #progress = { step: null as string | null, done: 0, all: 0 };
  #watchedUntilMs = 0;
  #throttledSinceMs: number | undefined;
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> = Promise.resolve();
  #refusal = '';
  #agreement: { readonly before: number | null; readonly after: number | null } = {
    before: null,
    after: null,
  };
  #askedMs = 0;
  #removing: Promise<void> = Promise.resolve();

  constructor(options: LoopOptions) {
    super();
    this.#options = options;
    this.#log = options.log;
    this.#stopped = new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    this.#folder = join(options.stateDir, 'adaptation');
    this.#history = new AdaptationHistory(options.store.adaptations);
    this.#memory = new LoopMemory(options.store.keyValue, options.log);
    this.#ladder = new LadderWalk(options.serving, options.log);
  }

  get state(): State {
    const [last] = this.#history.list(5).filter(({ endedAt }) => endedAt !== null);
    const { step, done, all } = this.#progress;
    return {
      status: this.#status,
      adaptation: this.#job?.id ?? (this.#status === 'watching' ? (this.#record?.id ?? null) : null),
      trigger: this.#job?.trigger ?? null,
      started_at: this.#job?.startedAt ?? null,
      step,
      done,
      all,
      last:
        last?.endedAt == null
          ? null
          : { adaptation: last.id, outcome: last.outcome, ended_at: last.endedAt, reason: last.reason },
      rungs: this.#memory.value.ladder.map(({ id }) => id),
    };
  }

  history(most: number): AdaptationRecord[] {
    return this.#history.list(most);
  }

  /** Takes up a job that was under way, and begins to look at the clock. */
  start(): void {
    mkdirSync(join(this.#folder, 'cache'), { recursive: true, mode: 0o750 });
    for (const name of readdirSync(this.#folder)) {
      if (name.startsWith(OUTGOING)) this.#remove(join(this.#folder, name));
    }
    const folder = join(this.#folder, 'job');
    if (existsSync(folder)) this.#resume(folder);
    this.#tell();
    this.#schedule();
  }

  /** Ends the adapter's process; its job is taken up again at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#adapter?.stop();
    await Promise.all([this.#ticking, this.#work, this.#removing]);
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
    asked: { readonly budget?: Job['budget'] | undefined; readonly pairs?: Job['pairs'] } = {},
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
    this.#cancelled = true;
    await this.#adapter?.stop(new BitlaneError('TIMEOUT', 'the adaptation was cancelled'));
    await this.#work;
    return id;
  }

  /** A frame of the serving model. */
  result(result: FrameResult): void {
    this.#watch.result(result, this.#config.watch.seconds);
    this.#ladder.result(result);
  }

  track(track: FinishedTrack): void {
    this.#watch.track(track);
  }

  /** Something happened to a model: one that crashes while it is watched goes at once. */
  step({ step, model, reason }: ModelEvent): void {
    const watched = this.#status === 'watching' ? this.#record?.candidate : undefined;
    if (watched === undefined || model === null) return;
    if (model === watched && (step === 'restarted' || step === 'failed')) {
      void this.#goBack(reason ?? 'its process ended');
    } else if (step === 'committed' && model !== watched) this.#endWatch('another model was swapped in');
    else if (step === 'rolled-back' && model === watched) {
      this.#endWatch(reason ?? 'it did not start', 'rolled-back');
    }
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
    { budget, pairs }: { readonly budget?: Job['budget'] | undefined; readonly pairs?: Job['pairs'] },
  ): Promise<{ readonly id: string; readonly parent: string }> {
    const { registry, serving, critical } = this.#options;
    const config = this.#options.config();
    const { adaptation, confusions, detector } = config;
    const { ladder, frameOverRun } = this.#memory.value;
    const active = serving.artifact;
    if (active === undefined)
      throw new BitlaneError('NO_SUCH_MODEL', 'no model serves: there is nothing to adapt');
    // On a lower rung the model that serves is not what a new one must be as good as.
    const best = ladder.some(({ id }) => id === active.id) ? ladder[0]?.id : undefined;
    const baseline = best === undefined ? active : await registry.get(best);
    const parent = await floatParentOf(registry, baseline);
    const now = new Date();
    const id = `${now.toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-')}-${randomBytes(2).toString('hex')}`;
    const [incoming, folder] = [join(this.#folder, 'job.incoming'), join(this.#folder, 'job')];
    rmSync(incoming, { recursive: true, force: true });
    mkdirSync(incoming, { recursive: true, mode: 0o750 });
    const wanted = budget ?? adaptation.budget;
    const limited = Object.values(wanted).some((limit) => limit !== undefined);
    writeJob(incoming, {
      format: 'bitlane-adaptation',
      version: 1,
      id,
      createdAt: now.toISOString(),
      trigger,
      parent: dirname(parent.modelPath),
      baseline: dirname(baseline.modelPath),
      ...picturesFor(config, pairs ?? critical()),
      pinned: confusions.pinned,
      banned: confusions.banned,
      // Where nothing is limited the new model is at least no larger than the one that serves.
      budget: limited ? definedOnly(wanted) : { modelBytes: baseline.manifest.modelBytes },
      frameOverRun: frameOverRun[parent.id] ?? 1,
      objective: adaptation.objective,
      calibrationPictures: adaptation.calibrationPictures,
      ...(adaptation.profile !== undefined && { profile: adaptation.profile }),
      processes: adaptation.processes,
      threads: detector.threads,
      rungs: adaptation.ladder.rungs,
      acceptance: {
        minPictures: adaptation.minPictures,
        minObjects: adaptation.minObjects,
        maxDrop: adaptation.maxDrop,
      },
      cache: join(this.#folder, 'cache'),
      cacheMb: adaptation.cacheMb,
    });
    rmSync(folder, { recursive: true, force: true });
    renameSync(incoming, folder);
    this.#take(folder, readJob(folder), {
      parent: parent.id,
      baseline: baseline.id,
    });
    return { id, parent: parent.id };
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
    const known = this.#history.get(job.id);
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
    this.#cancelled = false;
    this.#paused = false;
    const isNew = this.#history.get(job.id) === undefined;
    this.#keep({
      id: job.id,
      trigger: job.trigger,
      startedAt: job.createdAt,
      endedAt: null,
      outcome: 'running',
      reason: '',
      ...models,
      candidate: null,
      budget: job.budget,
      pairs: [],
      objects: 0,
      labelled: job.tuning?.labelled ?? true,
      significant: [],
      bits: {},
      int8: 0,
      averageBits: null,
      modelBytes: null,
      runMs: null,
      worth: null,
      canary: null,
      live: null,
      rungs: [],
      times: {},
      peakMb: null,
    });
    if (isNew) this.#event('adapting');
    this.#work = this.#run(folder, job).catch((error: unknown) => {
      this.#log.error(`the loop met a problem: ${messageOf(error)}`);
      this.#end('failed', messageOf(error));
    });
  }

  async #run(folder: string, job: Job): Promise<void> {
    for (let attempt = 1; ;) {
      if (this.#cancelled) return this.#end('cancelled', 'it was cancelled');
      const outcome = await this.#runOnce(folder);
      if (this.#stop.signal.aborted) return;
      if (this.#cancelled) return this.#end('cancelled', 'it was cancelled');
      if (!(outcome instanceof BitlaneError)) return this.#settle(job, outcome);
      if (this.#paused) {
        await this.#untilWindow();
        continue;
      }
      if (outcome.code === 'UNSUPPORTED' || outcome.code === 'TIMEOUT' || attempt >= ATTEMPTS) {
        return this.#end('failed', outcome.message);
      }
      attempt += 1;
      this.#log.warn(`the adapter is started again: ${outcome.message}`);
      await this.#wait(RETRY_MS);
      if (this.#stop.signal.aborted) return;
    }
  }

  async #runOnce(folder: string): Promise<JobResult | BitlaneError> {
    const { memoryMb, deadlineMinutes } = this.#config;
    const adapter = new Adapter({
      folder,
      memoryMb,
      deadlineMs: deadlineMinutes * 60_000,
      onProgress: (step, done, all) => {
        const isOther = this.#progress.step !== step;
        this.#progress = { step, done, all };
        if (isOther) this.#tell();
      },
    });
    this.#adapter = adapter;
    this.#setStatus('running');
    try {
      return await adapter.run();
    } catch (error) {
      return asBitlaneError(error);
    } finally {
      this.#adapter = undefined;
      if (this.#record !== undefined) {
        this.#record = {
          ...this.#record,
          peakMb: Math.max(this.#record.peakMb ?? 0, Math.round(adapter.peakMb)),
        };
      }
    }
  }

  /** The adapter is done: what it made is tried on live frames, where it was judged good. */
  async #settle(job: Job, result: JobResult): Promise<void> {
    if (result.outcome === 'failed') return this.#end('failed', result.reason);
    this.#keep(ofResult(result));
    if (result.outcome === 'rejected') return this.#end('rejected', result.reason);
    this.#setStatus('deploying');
    const { registry, serving } = this.#options;
    const { parent, baseline } = this.#record ?? { parent: '', baseline: '' };
    const trial = tryCandidate(
      { registry, serving, memory: this.#memory, log: this.#log, wait: (ms) => this.#wait(ms) },
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
    this.#keep({ canary: tried.figures ?? null });
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
      adaptedTo: result.critical.pairs,
      budget: job.budget,
      configured: definedOnly(this.#config.budget),
    });
    this.#end('committed', result.reason);
    this.#agreement = { before: null, after: null };
    this.#watchedUntilMs = performance.now() + this.#config.watch.seconds * 1000;
    this.#setStatus('watching');
  }

  #end(outcome: AdaptationRecord['outcome'], reason: string): void {
    const job = this.#job;
    if (job === undefined) return;
    this.#keep({ outcome, reason, endedAt: new Date().toISOString() });
    this.#memory.set({ lastEndMs: Date.now() });
    keepReport(this.#folder, job.folder, job.id);
    this.#remove(job.folder);
    this.#job = undefined;
    this.#log.info(`the adaptation has ended: ${outcome}: ${reason}`, { adaptation: job.id });
    this.#event('adapted');
    this.#setStatus('idle');
  }

  /** Out of the way at once; the bytes go while the loop goes on. */
  #remove(folder: string): void {
    const outgoing = join(this.#folder, `${OUTGOING}${randomBytes(4).toString('hex')}`);
    try {
      renameSync(folder, outgoing);
    } catch (error) {
      this.#log.warn(`${folder} cannot be removed: ${messageOf(error)}`);
      return;
    }
    this.#removing = this.#removing
      .then(() => rm(outgoing, { recursive: true, force: true }))
      .catch((error: unknown) => this.#log.warn(`${outgoing} cannot be removed: ${messageOf(error)}`));
  }

  #keep(change: Partial<AdaptationRecord>): void {
    const known = this.#record?.id === this.#job?.id ? this.#record : undefined;
    this.#record = { ...(known ?? this.#record), ...change } as AdaptationRecord;
    try {
      for (const id of this.#history.put(this.#record)) keepReport(this.#folder, undefined, id);
    } catch (error) {
      this.#log.warn(`the history could not be written: ${messageOf(error)}`);
    }
  }

  #event(step: 'adapting' | 'adapted' | 'rolled-back', reason?: string): void {
    const record = this.#record;
    if (record === undefined || this.#stop.signal.aborted) return;
    const { worth, canary } = record;
    const figures = Object.entries({
      model_bytes: record.modelBytes,
      average_bits: record.averageBits,
      latency_p95_ms: canary?.p95Ms,
      memory_mb: canary?.memoryMb,
      map50_change: worth?.map50?.change.value,
      critical_change: worth?.criticalAccuracy?.change.value,
      agreement_change: worth?.agreement?.change.value,
    }).flatMap(([name, value]) => (typeof value === 'number' ? [[name, value] as const] : []));
    this.emit('event', {
      step,
      model: record.candidate,
      active: this.#options.serving.artifact?.id ?? null,
      generation: 0,
      ...((reason ?? record.reason) === '' ? {} : { reason: reason ?? record.reason }),
      ...(figures.length > 0 && { figures: Object.fromEntries(figures) }),
      adaptation: {
        id: record.id,
        trigger: record.trigger,
        outcome: record.outcome,
        pairs: record.pairs,
        bits: record.bits,
      },
    });
  }

  async #goBack(reason: string): Promise<void> {
    const record = this.#record;
    if (this.#status !== 'watching' || record === undefined) return;
    this.#endWatch(reason, 'rolled-back');
    this.#memory.set({ ladder: [] });
    try {
      await this.#options.serving.use(record.baseline);
    } catch (error) {
      this.#log.error(`the way back to ${record.baseline.slice(0, 12)} failed: ${messageOf(error)}`);
    }
  }

  /** Whether the FP32 model agrees with the new model less than with the old one, as a sentence. */
  async #disagreement(most: number): Promise<string | undefined> {
    const { agreement } = this.#options;
    const record = this.#record;
    const nowMs = performance.now();
    if (agreement === undefined || record?.candidate == null || nowMs < this.#askedMs + ASK_MS)
      return undefined;
    this.#askedMs = nowMs;
    const [before, after] = [await agreement(record.baseline), await agreement(record.candidate)];
    this.#agreement = { before, after };
    if (before === null || after === null || before - after <= most) return undefined;
    return `the FP32 model agrees with ${(100 * after).toFixed(0)} % of what it says, and agreed with ${(100 * before).toFixed(0)} % of the model before`;
  }

  #endWatch(reason: string, outcome?: 'rolled-back'): void {
    const { before, after } = this.#watch.figures;
    const isSeen = this.#watch.model === this.#record?.candidate;
    this.#keep({
      ...(isSeen && before && after && { live: { before, after, agreement: this.#agreement } }),
      ...(outcome && { outcome, reason }),
    });
    this.#setStatus('idle');
    if (outcome === undefined) return;
    this.#log.warn(`the adapted model is taken back: ${reason}`);
    this.#event('rolled-back', reason);
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
      case 'watching': {
        if (this.#watch.model !== this.#record?.candidate && nowMs <= this.#watchedUntilMs) break;
        const problem =
          this.#watch.verdict(config.watch, this.#record?.budget.latencyMs) ??
          (await this.#disagreement(config.watch.maxAgreementDrop));
        if (problem !== undefined) await this.#goBack(problem);
        else if (nowMs > this.#watchedUntilMs) this.#endWatch('');
        break;
      }
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
      if (stepped === true && this.#status === 'watching') this.#endWatch('the device stepped down');
    }
  }

  /** What was begun by itself rests outside of its hours. */
  async #pauseOutside({ schedule, enabled }: Config['adaptation']): Promise<void> {
    const trigger = this.#job?.trigger;
    if (trigger === 'command' || trigger === undefined || !enabled || inWindow(schedule, new Date())) return;
    this.#paused = true;
    this.#setStatus('paused');
    await this.#adapter?.stop(new BitlaneError('TIMEOUT', 'outside of its hours'));
  }

  async #untilWindow(): Promise<void> {
    const isOut = (): boolean => this.#config.enabled && !inWindow(this.#config.schedule, new Date());
    while (isOut() && !this.#stop.signal.aborted && !this.#cancelled) await this.#wait(TICK_MS);
    this.#paused = false;
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
        configured !== undefined && JSON.stringify(definedOnly(config.budget)) !== JSON.stringify(configured),
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

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const { signal } = this.#stop;
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    });
  }
}

const definedOnly = (budget: Readonly<Job['budget']>): Job['budget'] =>
  Object.fromEntries(
    (['modelBytes', 'latencyMs', 'memoryMb', 'averageBits'] as const).flatMap((name) =>
      budget[name] === undefined ? [] : [[name, budget[name]]],
    ),
  );
