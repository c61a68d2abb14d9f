// The teacher: the FP32 model looks at a few frames that the serving model has seen, in a process of its own, while the device is idle.
import { cpus, loadavg } from 'node:os';
import type { Config } from '../config/index.js';
import { createGeneration, type FrameResult, type Generation } from '../detector/index.js';
import { messageOf } from '../errors.js';
import type { Look, TeacherWord } from '../examples/index.js';
import type { Artifact, Registry } from '../registry/index.js';
import type { Log } from '../system/index.js';
import type { Frame } from '../vision/index.js';

export interface TeacherOptions {
  readonly registry: Registry;
  /** The configuration in force. */
  readonly config: () => Config;
  /** Whether the daemon has nothing more important to do: no swap, say. */
  readonly isFree: () => boolean;
  readonly hear: (frame: Frame, serving: Look, teacher: Look) => TeacherWord;
  readonly log: Log;
  /** One-minute load average a core; that of the machine when left out. */
  readonly load?: () => number;
}

/** How far an artifact and the teacher agree. */
export interface Agreement {
  /** Objects that both saw. */
  readonly both: number;
  /** Of these, with the same class. */
  readonly agreed: number;
}

export interface TeacherCounters {
  looks: number;
  /** Frames that were due while the device was not idle. */
  busy: number;
  failures: number;
}

/** Frames that one start of the process looks at: a start costs about as much as a few frames. */
const BURST = 4;
/** Between two frames of a burst: the road should have changed. */
const APART_MS = 3_000;
const STOP_GRACE_MS = 3_000;
const FAILED_WAIT_MS = 600_000;
/** At nice 19 beside a busy detector everything takes longer. */
const PATIENCE = 10;

const machineLoad = (): number => (loadavg()[0] ?? 0) / Math.max(1, cpus().length);

/**
 * The FP32 model that an artifact descends from, `undefined` where it is one itself or the ancestor is not installed.
 */
export const ancestorOf = async (registry: Registry, id: string): Promise<Artifact | undefined> => {
  const seen = new Set<string>();
  for (let artifact = await registry.get(id); !seen.has(artifact.id);) {
    seen.add(artifact.id);
    const { allocation, parentId } = artifact.manifest;
    if (allocation === undefined) return artifact.id === id ? undefined : artifact;
    if (parentId === null) return undefined;
    try {
      artifact = await registry.get(parentId);
    } catch {
      return undefined;
    }
  }
  return undefined;
};

export class Teacher {
  readonly counters: TeacherCounters = { looks: 0, busy: 0, failures: 0 };
  readonly #options: TeacherOptions;
  readonly #agreement = new Map<string, Agreement>();
  #nextMs = 0;
  #left = 0;
  #generation: Generation | undefined;
  /** Starts and stops, one after the other. */
  #last: Promise<void> = Promise.resolve();
  #waiting: { readonly frame: Frame; readonly serving: Look } | undefined;
  #stopped = false;

  constructor(options: TeacherOptions) {
    this.#options = options;
  }

  /** By what was seen since the start of the daemon; `undefined` before the first look. */
  agreementOf(model: string): Agreement | undefined {
    return this.#agreement.get(model);
  }

  /** Process id, while there is a process. */
  get pid(): number | undefined {
    return this.#generation?.pid;
  }

  /** A frame that the serving model has seen. Takes it when one is due, and the device is idle. */
  offer({ frame, artifactId, detections }: FrameResult, classes: readonly string[]): void {
    const { enabled } = this.#options.config().examples.teacher;
    if (this.#stopped || !enabled) {
      if (this.#generation !== undefined) this.#end();
      return;
    }
    const now = performance.now();
    if (now < this.#nextMs || this.#waiting !== undefined) return;
    if (!this.#isIdle()) {
      this.counters.busy += 1;
      this.#nextMs = now + APART_MS;
      this.#end();
      return;
    }
    const look = { frame, serving: { model: artifactId, classes, detections } };
    if (this.#generation?.wants === true) {
      this.#waiting = look;
      this.#nextMs = now + APART_MS;
      this.#left -= 1;
      this.#generation.offer(frame);
    } else if (this.#generation === undefined) {
      this.#left = BURST;
      this.#nextMs = now + APART_MS;
      this.#inTurn(() => this.#start(artifactId));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const generation = this.#generation;
    this.#end();
    // Not in turn: a start that takes long is not waited for.
    await generation?.stop();
    await this.#last;
  }

  #isIdle(): boolean {
    const { load = machineLoad, isFree, config } = this.#options;
    return isFree() && load() <= config().examples.teacher.maxLoad;
  }

  #inTurn(work: () => Promise<void>): void {
    this.#last = this.#last.then(work).catch((error: unknown) => this.#fail(messageOf(error)));
  }

  #fail(reason: string): void {
    if (this.#stopped) return;
    this.counters.failures += 1;
    this.#nextMs = performance.now() + FAILED_WAIT_MS;
    this.#options.log.warn(`the teacher failed, and rests for ${FAILED_WAIT_MS / 60_000} minutes: ${reason}`);
    this.#end();
  }

  async #start(serving: string): Promise<void> {
    if (this.#stopped || this.#generation !== undefined) return;
    const { registry, config, log } = this.#options;
    const { detector, examples } = config();
    const wanted = examples.teacher.model;
    const artifact = wanted === undefined ? await ancestorOf(registry, serving) : await registry.get(wanted);
    if (artifact === undefined || artifact.id === serving) {
      this.#nextMs = performance.now() + FAILED_WAIT_MS;
      log.debug('there is no teacher: no other FP32 model that the active one descends from is installed');
      return;
    }
    const patient = {
      ...detector,
      threads: 1,
      spinning: false,
      startTimeoutMs: Math.min(PATIENCE * detector.startTimeoutMs, 600_000),
      frameTimeoutMs: Math.min(PATIENCE * detector.frameTimeoutMs, 600_000),
    };
    const generation = createGeneration({
      number: 1,
      artifact,
      detector: patient,
      graceMs: STOP_GRACE_MS,
      last: true,
      log,
    });
    this.#generation = generation;
    generation.on('result', (result) => this.#hear(result, artifact));
    generation.on('dropped', () => this.#next());
    generation.on('failed', ({ message }) => this.#fail(message));
    await generation.start();
  }

  #hear({ detections }: FrameResult, { id: model, manifest }: Artifact): void {
    const look = this.#waiting;
    if (look === undefined) return;
    const { classes } = manifest.detector;
    const { both, agreed } = this.#options.hear(look.frame, look.serving, { model, classes, detections });
    const before = this.#agreement.get(look.serving.model) ?? { both: 0, agreed: 0 };
    this.#agreement.set(look.serving.model, { both: before.both + both, agreed: before.agreed + agreed });
    this.counters.looks += 1;
    this.#next();
  }

  /** The burst goes on, or ends until enough time has passed for the next. */
  #next(): void {
    this.#waiting = undefined;
    if (this.#left > 0) return;
    const { framesPerMinute } = this.#options.config().examples.teacher;
    this.#nextMs = performance.now() + Math.max(0, (BURST * 60_000) / framesPerMinute - BURST * APART_MS);
    this.#end();
  }

  #end(): void {
    const generation = this.#generation;
    this.#generation = undefined;
    this.#waiting = undefined;
    if (generation !== undefined) this.#inTurn(() => generation.stop());
  }
}
