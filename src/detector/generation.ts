// One detector process serving one artifact: its start, its frames, its deadlines, its end.
import { BitlaneError, messageOf } from '../errors.js';
import { Emitter, hasExited, type Log, stopChild } from '../system/index.js';
import type { Detection, Frame } from '../vision/index.js';
import { type DetectorChild, spawnDetector } from './detector-child.js';
import { type DetectorMessage, detectorMessageSchema, type GenerationFailure } from './messages.js';
import { Pace } from './pace.js';
import { FrameShelf } from './frame-shelf.js';
import { bringForward, leaveBehind } from './priority.js';
import { type Seen, SeenReader, type Timings, toDetections } from './result-wire.js';
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
  /** It works only while nobody else wants the processor. */
  readonly last?: boolean;
  readonly log: Log;
}

/** What was seen in one frame, and by whom. */
export interface FrameResult {
  readonly generation: number;
  readonly artifactId: string;
  readonly frame: Frame;
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
  readonly frame: Frame;
  readonly deadline: NodeJS.Timeout;
}

/** Owns the process. Emits `failed` at most once; after `stop` it emits nothing. */
export class Generation extends Emitter<GenerationEvents> {
  readonly #options: GenerationOptions;
  readonly #inFlight = new Map<number, InFlight>();
  #process: DetectorChild | undefined;
  #shelf: FrameShelf | undefined;
  /** Frames given to the model's own thread. */
  #directs = 0;
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
    return this.#process?.child.pid;
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

  /**
   * Starts the process and waits until it is warm; `behind`: with what the processor has left over, until then. Throws `DETECTOR_FAILED`, leaving nothing behind. */
  async start({ behind = false }: { readonly behind?: boolean } = {}): Promise<void> {
    if (this.#state !== 'new') throw new BitlaneError('INTERNAL', 'a generation starts once');
    this.#state = 'starting';
    const { startTimeoutMs, graceMs } = this.#options;
    this.#process = this.#spawn(this.#options.last === true ? 'last' : behind ? 'behind' : 'normal');
    const { child, answers } = this.#process;
    const reader = new SeenReader((seen) => this.#see(seen));
    answers.on('data', (chunk: Buffer) => this.#read(reader, chunk));
    child.on('message', (message) => this.#receive(message));
    child.on('error', (error) => this.#fail(`the detector process could not be started: ${error.message}`));
    child.on('exit', (code, signal) => {
      const end = (): void =>
        this.#fail(`the detector process ended (${signal === null ? `exit code ${code}` : signal})`);
      // What it answered before it ended may still lie in the pipe.
      if (answers.closed) end();
      else answers.once('close', end);
    });
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

  #spawn(turn: Parameters<typeof spawnDetector>[3]): DetectorChild {
    const { script, args } = this.#options;
    this.#shelf = FrameShelf.open();
    try {
      return spawnDetector(script, args, this.#shelf?.fd, turn);
    } catch (error) {
      this.#state = 'ended';
      this.#clearFrames();
      throw error;
    }
  }

  /** Gives the process a frame that it wants. Returns false, and takes nothing, when it wants none. */
  offer(frame: Frame): boolean {
    if (!this.wants || this.#process === undefined || this.#inFlight.has(frame.seq)) return false;
    const { direct, early } = this.#process;
    const isIdle = this.#inFlight.size === 0;
    const channel = isIdle ? direct : early;
    // What is refused is refused before anything is put down.
    encodeHeader(frame);
    const place = this.#shelf?.put(frame.seq, frame.data);
    const header = encodeHeader(frame, place, isIdle ? 0 : this.#directs);
    if (isIdle) this.#directs += 1;
    const { frameTimeoutMs } = this.#options;
    const deadline = setTimeout(
      () => this.#fail(`frame ${frame.seq} was not done after ${frameTimeoutMs} ms`),
      frameTimeoutMs,
    );
    this.#inFlight.set(frame.seq, { frame, deadline });
    this.#awaitNext();
    // Together, so that the process wakes up once.
    channel.cork();
    channel.write(header);
    if (place === undefined) channel.write(frame.data);
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
    const child = this.#process?.child;
    if (child !== undefined) {
      if (child.pid !== undefined && !hasExited(child)) leaveBehind(child.pid);
      await stopChild(child, this.#options.graceMs);
    }
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
        // The canary is held against the serving generation: both get the same share.
        if (this.pid !== undefined && this.#options.last !== true) bringForward(this.pid);
        this.#settleStart?.();
        this.emit('want', undefined);
        break;
      case 'dropped':
        if (this.#takeInFlight(message.seq) === undefined) return;
        this.emit('dropped', { seq: message.seq, reason: message.reason });
        this.#awaitNext();
        break;
      case 'failed':
        // Its last answers went another way, and are read within this turn of the event loop.
        setImmediate(() => this.#fail(message.message));
        break;
    }
  }

  #read(reader: SeenReader, chunk: Uint8Array): void {
    try {
      reader.push(chunk);
    } catch (error) {
      this.#fail(messageOf(error));
    }
  }

  #see({ seq, rows, nonFinite, timings }: Seen): void {
    if (this.#state !== 'ready') return;
    const frame = this.#takeInFlight(seq);
    if (frame === undefined) return;
    this.emit('result', {
      generation: this.number,
      artifactId: this.artifactId,
      frame,
      detections: toDetections(rows),
      nonFinite,
      timings,
      totalMs: performance.now() - frame.receivedAtMs,
    });
    this.#pace.add(timings.preprocessMs, timings.inferenceMs + timings.postprocessMs);
    this.#awaitNext();
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

  #takeInFlight(seq: number): Frame | undefined {
    const entry = this.#inFlight.get(seq);
    if (entry === undefined) {
      this.#fail(`the detector process answered frame ${seq}, which it does not hold`);
      return undefined;
    }
    clearTimeout(entry.deadline);
    this.#inFlight.delete(seq);
    this.#shelf?.free(seq);
    return entry.frame;
  }

  #clearFrames(): number {
    clearTimeout(this.#earlyTimer);
    const count = this.#inFlight.size;
    for (const { deadline } of this.#inFlight.values()) clearTimeout(deadline);
    this.#inFlight.clear();
    // Whoever clears is done with the process: its own handle keeps what it still reads.
    this.#shelf?.close();
    this.#shelf = undefined;
    return count;
  }

  #fail(reason: string): void {
    if (this.#state === 'stopping' || this.#state === 'ended') return;
    this.#state = 'ended';
    const framesLost = this.#clearFrames();
    this.#options.log.warn(reason, { generation: this.number, artifact: this.artifactId.slice(0, 12) });
    if (this.#process?.child !== undefined && !hasExited(this.#process?.child))
      this.#process?.child.kill('SIGKILL');
    if (this.#settleStart === undefined)
      this.emit('failed', { code: 'DETECTOR_FAILED', message: reason, framesLost });
    else this.#settleStart(new BitlaneError('DETECTOR_FAILED', reason));
  }
}
