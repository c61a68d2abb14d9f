// One detector process serving one artifact: its start, its frames, its deadlines, its end.
import type { ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import { BitlaneError } from '../errors.js';
import { Emitter, hasExited, type Log, spawnOwned, stopChild } from '../system/index.js';
import type { Detection, Frame } from '../vision/index.js';
import {
  type DetectorMessage,
  detectorMessageSchema,
  type GenerationFailure,
  ROW,
  type Timings,
} from './messages.js';
import { Pace } from './pace.js';
import { encodeHeader } from './wire.js';

export interface GenerationOptions {
  /** Counts generations of this supervisor, from 1. */
  readonly number: number;
  readonly artifactId: string;
  /** The artifact's class names, in its order. */
  readonly classes: readonly string[];
  /** Script of the detector process. */
  readonly script: string;
  readonly args: readonly string[];
  readonly startTimeoutMs: number;
  readonly frameTimeoutMs: number;
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly log: Log;
}

/** What was seen in one frame, and by whom. */
export interface FrameResult {
  readonly generation: number;
  readonly artifactId: string;
  readonly frame: Omit<Frame, 'data'>;
  readonly detections: readonly Detection[];
  readonly nonFinite: number;
  readonly timings: Timings;
  /** From the frame's last byte received to its detections ready, in the supervisor. */
  readonly totalMs: number;
}

export interface GenerationEvents {
  /** One more frame is wanted, while the process may be busy with another: {@link Generation.offer} one. */
  want: undefined;
  result: FrameResult;
  dropped: { readonly seq: number; readonly reason: string };
  /** The process ended or was ended without being asked to. At most once; frames in flight are gone. */
  failed: GenerationFailure & { readonly framesLost: number };
}

export type GenerationState = 'new' | 'starting' | 'ready' | 'stopping' | 'ended';

interface InFlight {
  readonly frame: Omit<Frame, 'data'>;
  readonly deadline: NodeJS.Timeout;
}

const toDetections = (rows: readonly number[]): Detection[] => {
  const detections: Detection[] = [];
  for (let at = 0; at < rows.length; at += ROW) {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, classId = 0, score = 0] = rows.slice(at, at + ROW);
    detections.push({ x1, y1, x2, y2, classId, score });
  }
  return detections;
};

/** Owns the process. Emits `failed` at most once; after `stop` it emits nothing. */
export class Generation extends Emitter<GenerationEvents> {
  readonly #options: GenerationOptions;
  readonly #inFlight = new Map<number, InFlight>();
  #child: ChildProcess | undefined;
  #state: GenerationState = 'new';
  /** Whether one more frame is wanted while the process is busy with another. */
  #early = false;
  #earlyTimer: NodeJS.Timeout | undefined;
  readonly #pace = new Pace();
  #settleStart: ((failure?: BitlaneError) => void) | undefined;

  constructor(options: GenerationOptions) {
    super();
    this.#options = options;
  }

  get state(): GenerationState {
    return this.#state;
  }

  get number(): number {
    return this.#options.number;
  }

  get artifactId(): string {
    return this.#options.artifactId;
  }

  get classes(): readonly string[] {
    return this.#options.classes;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Frames that the process holds. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** True when the process waits for a frame, or soon will: the next one is read and prepared while the model is at work. */
  get wants(): boolean {
    const { size } = this.#inFlight;
    return this.#state === 'ready' && (size === 0 || (size === 1 && this.#early));
  }

  /** Starts the process and waits until it is warm. Throws `DETECTOR_FAILED`, leaving nothing behind. */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new BitlaneError('INTERNAL', 'a generation starts once');
    this.#state = 'starting';
    const { startTimeoutMs, script, args, graceMs } = this.#options;
    const child = spawnOwned(process.execPath, [script, ...args], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'],
    });
    this.#child = child;
    child.on('message', (message) => this.#receive(message));
    child.on('error', (error) => this.#fail(`the detector process could not be started: ${error.message}`));
    child.on('exit', (code, signal) =>
      this.#fail(`the detector process ended (${signal === null ? `exit code ${code}` : signal})`),
    );
    // A process that dies with frames in its pipe breaks the pipe; its exit says so already.
    child.stdio[4]?.on('error', () => undefined);
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settleStart = (failure) => (failure === undefined ? resolve() : reject(failure));
        timer = setTimeout(
          () => this.#fail(`the detector process was not ready after ${startTimeoutMs} ms`),
          startTimeoutMs,
        );
      });
    } catch (error) {
      await stopChild(child, graceMs);
      throw error;
    } finally {
      clearTimeout(timer);
      this.#settleStart = undefined;
    }
  }

  /** Gives the process a frame that it wants. Returns false, and takes nothing, when it wants none. */
  offer(frame: Frame): boolean {
    const channel = this.#child?.stdio[4] as Writable | null | undefined;
    if (!this.wants || channel === null || channel === undefined || this.#inFlight.has(frame.seq))
      return false;
    const header = encodeHeader(frame);
    const { data: _data, ...rest } = frame;
    const { frameTimeoutMs } = this.#options;
    const deadline = setTimeout(
      () => this.#fail(`frame ${frame.seq} was not done after ${frameTimeoutMs} ms`),
      frameTimeoutMs,
    );
    this.#inFlight.set(frame.seq, { frame: rest, deadline });
    this.#awaitNext();
    // Together, so that the process wakes up once.
    channel.cork();
    channel.write(header);
    channel.write(frame.data);
    channel.uncork();
    return true;
  }

  /** Ends the process within the grace time; frames in flight are dropped silently. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#state !== 'ended') this.#state = 'stopping';
    this.#clearFrames();
    this.removeAll();
    this.#settleStart?.(
      new BitlaneError('DETECTOR_FAILED', 'the detector process was stopped while it started'),
    );
    if (this.#child !== undefined) await stopChild(this.#child, this.#options.graceMs);
    this.#state = 'ended';
  }

  #receive(raw: unknown): void {
    if (this.#state !== 'starting' && this.#state !== 'ready') return;
    const parsed = detectorMessageSchema.safeParse(raw);
    if (!parsed.success) {
      this.#fail('the detector process sent a message that breaks the protocol');
      return;
    }
    this.#handle(parsed.data);
  }

  #handle(message: DetectorMessage): void {
    switch (message.type) {
      case 'ready':
        if (this.#state !== 'starting') return;
        this.#state = 'ready';
        this.#settleStart?.();
        this.emit('want', undefined);
        break;
      case 'result': {
        const frame = this.#takeInFlight(message.seq);
        if (frame === undefined) return;
        const { detections, nonFinite, timings } = message;
        this.emit('result', {
          generation: this.number,
          artifactId: this.artifactId,
          frame,
          detections: toDetections(detections),
          nonFinite,
          timings,
          totalMs: performance.now() - frame.receivedAtMs,
        });
        this.#pace.add(timings.preprocessMs, timings.inferenceMs + timings.postprocessMs);
        this.#awaitNext();
        break;
      }
      case 'dropped':
        if (this.#takeInFlight(message.seq) === undefined) return;
        this.emit('dropped', { seq: message.seq, reason: message.reason });
        this.#awaitNext();
        break;
      case 'failed':
        this.#fail(message.message);
        break;
    }
  }

  /** The process begins with a frame, or has none: from here on counts when the next one is wanted. */
  #awaitNext(): void {
    clearTimeout(this.#earlyTimer);
    this.#early = false;
    if (this.#state !== 'ready') return;
    if (this.#inFlight.size === 0) this.emit('want', undefined);
    else if (this.#inFlight.size === 1) {
      this.#earlyTimer = setTimeout(() => {
        this.#early = true;
        this.emit('want', undefined);
      }, this.#pace.waitMs());
    }
  }

  #takeInFlight(seq: number): Omit<Frame, 'data'> | undefined {
    const entry = this.#inFlight.get(seq);
    if (entry === undefined) {
      this.#fail(`the detector process answered frame ${seq}, which it does not hold`);
      return undefined;
    }
    clearTimeout(entry.deadline);
    this.#inFlight.delete(seq);
    return entry.frame;
  }

  #clearFrames(): number {
    clearTimeout(this.#earlyTimer);
    const count = this.#inFlight.size;
    for (const { deadline } of this.#inFlight.values()) clearTimeout(deadline);
    this.#inFlight.clear();
    return count;
  }

  #fail(reason: string): void {
    if (this.#state === 'stopping' || this.#state === 'ended') return;
    this.#state = 'ended';
    const framesLost = this.#clearFrames();
    this.#options.log.warn(reason, { generation: this.number, artifact: this.artifactId.slice(0, 12) });
    if (this.#child !== undefined && !hasExited(this.#child)) this.#child.kill('SIGKILL');
    if (this.#settleStart === undefined)
      this.emit('failed', { code: 'DETECTOR_FAILED', message: reason, framesLost });
    else this.#settleStart(new BitlaneError('DETECTOR_FAILED', reason));
  }
}
