// Keeps a driver running: stall deadline, restarts with back-off, counting. The same for every kind of source.
import type { CameraConfig } from '../config/index.js';
import { messageOf } from '../errors.js';
import { Backoff, Emitter, type Log } from '../system/index.js';
import type { Picture } from '../vision/index.js';
import type { Driver, Run, Sink } from './driver.js';
import type { CameraCounters, CameraEvents, CameraState, FrameSize, FrameSource } from './source.js';

/** A run that delivered for this long was a good one: the next failure waits the shortest time again. */
const GOOD_STRETCH_MS = 10_000;
/** A source slower than its stall time is not stalled before it is this many frames late. */
const FRAMES_LATE = 2;

type Timing = Pick<CameraConfig, 'kind' | 'stallTimeoutMs' | 'restartInitialMs' | 'restartMaxMs'>;

export class SupervisedSource extends Emitter<CameraEvents> implements FrameSource {
  readonly kind: CameraConfig['kind'];
  readonly #driver: Driver;
  readonly #log: Log;
  readonly #backoff: Backoff;
  readonly #deadlineMs: number;
  readonly #counters = { received: 0, bad: 0, restarts: 0, stalls: 0, skipped: 0 };
  #state: CameraState = 'stopped';
  #size: FrameSize | undefined;
  /** Every run has a turn; what a run says when its turn is over is ignored. */
  #turn = 0;
  #run: Run | undefined;
  /** Settled when nothing of earlier runs is left. */
  #ending: Promise<void> = Promise.resolve();
  #begun = false;
  #halted = false;
  #firstFrameAtMs: number | undefined;
  #lastFrameAtMs = 0;
  #stall: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #demanded = true;
  #waiter: ((wanted: boolean) => void) | undefined;

  constructor(driver: Driver, config: Timing, log: Log) {
    super();
    this.kind = config.kind;
    this.#driver = driver;
    this.#size = driver.size;
    this.#log = log;
    this.#deadlineMs = Math.max(config.stallTimeoutMs, FRAMES_LATE * (driver.frameMs ?? 0));
    this.#backoff = new Backoff({
      initialMs: config.restartInitialMs,
      maxMs: Math.max(config.restartInitialMs, config.restartMaxMs),
      // Time between failures says nothing here: a camera that never delivers fails slowly. A good stretch resets it.
      resetAfterMs: Number.POSITIVE_INFINITY,
    });
  }

  get state(): CameraState {
    return this.#state;
  }

  get counters(): CameraCounters {
    return { ...this.#counters };
  }

  get size(): FrameSize | undefined {
    return this.#size;
  }

  start(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#halted = false;
    this.#begin();
  }

  ready(): void {
    this.#demanded = true;
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    this.#arm();
    waiter(true);
  }

  async restart(): Promise<void> {
    if (this.#halted) return;
    const before = this.#begun || this.#turn > 0;
    this.#begun = true;
    const closed = this.#close();
    this.#backoff.reset();
    if (before) this.#counters.restarts += 1;
    this.#begin();
    await closed;
  }

  async stop(): Promise<void> {
    this.#begun = false;
    this.#halted = true;
    const closed = this.#close();
    this.#setState('stopped');
    await closed;
  }

  #begin(): void {
    const turn = (this.#turn += 1);
    this.#setState('starting');
    void this.#ending.then(() => {
      if (turn !== this.#turn) return;
      this.#firstFrameAtMs = undefined;
      this.#run = this.#driver.start(this.#sinkOf(turn));
      this.#arm();
    });
  }

  /** Ends the turn and what belongs to it. */
  #close(): Promise<void> {
    this.#turn += 1;
    clearTimeout(this.#stall);
    clearTimeout(this.#restart);
    this.#stall = undefined;
    const [run, waiter] = [this.#run, this.#waiter];
    this.#run = undefined;
    this.#waiter = undefined;
    waiter?.(false);
    if (run !== undefined) {
      const ended = run.stop().catch((error: unknown) => {
        this.#log.warn(`the camera could not be stopped cleanly: ${messageOf(error)}`);
      });
      this.#ending = Promise.all([this.#ending, ended]).then(() => undefined);
    }
    return this.#ending;
  }

  #sinkOf(turn: number): Sink {
    const current = (): boolean => turn === this.#turn;
    return {
      frame: (picture, receivedAtMs) => {
        if (current()) this.#take(picture, receivedAtMs ?? performance.now());
      },
      bad: (reason) => {
        if (!current()) return;
        this.#counters.bad += 1;
        this.emit('bad', { reason });
      },
      skipped: (count) => {
        if (!current()) return;
        this.#counters.received += count;
        this.#counters.skipped += count;
      },
      wanted: () => (current() ? this.#wanted() : Promise.resolve(false)),
      ended: () => {
        if (current()) this.#end();
      },
      failed: (message) => {
        if (current()) this.#fail(message);
      },
    };
  }

  #take(picture: Picture, receivedAtMs: number): void {
    const now = performance.now();
    const turn = this.#turn;
    this.#stall?.refresh();
    this.#firstFrameAtMs ??= now;
    this.#lastFrameAtMs = now;
    this.#size = { width: picture.width, height: picture.height };
    // Taken here and not when it was offered: a frame that goes down with its run leaves the demand for the next one.
    this.#demanded = false;
    const seq = this.#counters.received;
    this.#counters.received += 1;
    this.#setState('running');
    if (turn !== this.#turn) return;
    this.emit('frame', { ...picture, seq, receivedAtMs, wallMs: Date.now() - (now - receivedAtMs) });
  }

  #wanted(): Promise<boolean> {
    if (this.#demanded) return Promise.resolve(true);
    // A consumer that takes its time is no stall of the camera.
    clearTimeout(this.#stall);
    this.#stall = undefined;
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  #arm(): void {
    clearTimeout(this.#stall);
    const turn = this.#turn;
    this.#stall = setTimeout(() => {
      const { received } = this.#counters;
      // After a blocked event loop the timer is run before the bytes that waited are read: those get their chance first.
      setImmediate(() => {
        if (turn !== this.#turn) return;
        if (received !== this.#counters.received) this.#arm();
        else if (this.#waiter === undefined) this.#stalled();
      });
    }, this.#deadlineMs);
  }

  #stalled(): void {
    this.#counters.stalls += 1;
    const seconds = Number((this.#deadlineMs / 1000).toFixed(3));
    this.#fail(`the camera delivered no complete frame for ${seconds} s`);
  }

  #fail(message: string): void {
    const good =
      this.#firstFrameAtMs !== undefined && this.#lastFrameAtMs - this.#firstFrameAtMs >= GOOD_STRETCH_MS;
    if (good) this.#backoff.reset();
    const restartInMs = this.#backoff.next();
    void this.#close();
    const turn = this.#turn;
    this.#restart = setTimeout(() => {
      if (turn !== this.#turn) return;
      this.#counters.restarts += 1;
      this.#begin();
    }, restartInMs);
    this.#setState('waiting');
    if (turn === this.#turn) this.emit('problem', { message, restartInMs });
  }

  #end(): void {
    this.#begun = false;
    void this.#close();
    const turn = this.#turn;
    this.#setState('stopped');
    if (turn === this.#turn) this.emit('ended', undefined);
  }

  #setState(state: CameraState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }
}
