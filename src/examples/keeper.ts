// Hard examples of a running daemon: frames and tracks in; pictures taken off the frame path, stored together every now and then.
import type { ExamplesConfig } from '../config/index.js';
import { messageOf } from '../errors.js';
import type { Store } from '../store/index.js';
import { Emitter, type Log } from '../system/index.js';
import { type Box, type Frame, type MaskPolygon, regionOf } from '../vision/index.js';
import type { ExampleLibrary } from './library.js';
import { type Candidate, type EndedTrack, Miner, pairOf, type SeenFrame } from './miner.js';
import { toObservationRow } from './observed.js';
import { PictureTaker } from './pictures.js';
import type { NewExample } from './rows.js';
import { hearTeacher, type Look, type TeacherWord } from './teacher.js';
import type { Example, ExampleTrack, Observation, Presumption, SeenObject } from './types.js';

export interface KeeperEvents {
  /** An example is on the disk. */
  stored: Example;
}

export interface KeeperRules {
  readonly examples: ExamplesConfig;
  /** Observations older than this are removed. */
  readonly windowMs: number;
}

export interface KeeperOptions {
  readonly library: ExampleLibrary;
  readonly store: Pick<Store, 'observations'>;
  readonly rules: KeeperRules;
  /** What is blacked out in pictures of this frame. */
  readonly masks: (frame: Frame) => readonly MaskPolygon[];
  readonly log: Log;
  /** Makes names of this run unique over restarts. */
  readonly run: string;
}

export interface KeeperCounters {
  /** Candidates that were found. */
  readonly found: number;
  /** Pictures that were not taken, because too many were asked for at once. */
  readonly dropped: number;
  /** Observations written. */
  readonly observed: number;
}

/** Pictures a second, in the long run and at once: decoding costs the device something. */
const PICTURES_PER_SECOND = 2;
const BURST = 4;
/** Pictures of tracks that run, and of those that wait to be stored. */
const MAX_PENDING_BYTES = 16_000_000;
const MAX_QUEUED = 64;
const MAX_UNWRITTEN = 10_000;
const MAX_OBSERVATIONS = 100_000;
const WARN_EVERY_MS = 60_000;
/** Observations are many and small: written with every flush they would cost a flash card twenty times as much as the pictures. */
export const OBSERVE_EVERY_MS = 600_000;
const PRUNE_EVERY_MS = 3_600_000;

interface Taken {
  readonly jpeg: Uint8Array;
  readonly region: Box;
  readonly frame: { readonly width: number; readonly height: number };
}

interface Pending {
  readonly picture: Promise<Taken | undefined>;
  bytes: number;
}

const shift = (object: SeenObject, { x1, y1 }: Box): SeenObject => ({
  ...object,
  x1: object.x1 - x1,
  y1: object.y1 - y1,
  x2: object.x2 - x1,
  y2: object.y2 - y1,
});

const overlaps = (a: Box, b: Box): boolean => a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;

/** Starts nothing until {@link ExampleKeeper.start}; holds up no frame: what it cannot do at once it leaves, and counts. */
export class ExampleKeeper extends Emitter<KeeperEvents> {
  readonly library: ExampleLibrary;
  readonly #store: KeeperOptions['store'];
  readonly #masks: KeeperOptions['masks'];
  readonly #log: Log;
  readonly #run: string;
  readonly #pictures: PictureTaker;
  readonly #miner: Miner;
  readonly #pending = new Map<Candidate, Pending>();
  #rules: KeeperRules;
  #pendingBytes = 0;
  #queue: NewExample[] = [];
  #unwritten: Observation[] = [];
  #allowance = BURST;
  #allowanceMs = 0;
  #found = 0;
  #dropped = 0;
  #observed = 0;
  #timer: NodeJS.Timeout | undefined;
  #prunedMs = Number.NEGATIVE_INFINITY;
  #observedMs = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;
  readonly #coming = new Set<Promise<void>>();
  #flushing: Promise<void> = Promise.resolve();

  constructor({ library, store, rules, masks, log, run }: KeeperOptions) {
    super();
    this.library = library;
    this.#store = store;
    this.#rules = rules;
    this.#masks = masks;
    this.#log = log;
    this.#run = run;
    this.#pictures = new PictureTaker(log);
    this.#miner = new Miner(rules.examples, (track) => `${run}-${track}`);
  }

  get counters(): KeeperCounters {
    const { dropped, failed } = this.#pictures.counters;
    return { found: this.#found, dropped: this.#dropped + dropped + failed, observed: this.#observed };
  }

  /** Clears up after a kill, and begins to store. */
  start(): void {
    this.library.sweep().catch((error: unknown) => this.#warn(error));
    this.#schedule();
  }

  /** Stores what is at hand. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await Promise.all(this.#coming);
    await this.flush();
    await this.#pictures.stop();
    this.removeAll();
  }

  async configure(rules: KeeperRules): Promise<void> {
    this.#rules = rules;
    this.#miner.configure(rules.examples);
    if (this.#timer !== undefined) this.#schedule();
    await this.library.configure(rules.examples);
  }

  /** One detected frame with its tracks. */
  see(frame: Frame, seen: Look & Pick<SeenFrame, 'tracks'>): void {
    const { wallMs, width, height } = frame;
    const wishes = this.#miner.see({ ...seen, wallMs, width, height });
    if (wishes.length === 0) return;
    this.#found += wishes.length;
    for (const { instead } of wishes) if (instead !== null) this.#forget(instead);
    if (!this.#rules.examples.enabled) return;
    this.#take(
      frame,
      wishes.map(({ candidate }) => candidate),
    );
  }

  /** Tracks that are over. */
  end(tracks: readonly EndedTrack[]): void {
    for (const track of tracks) {
      const harvest = this.#miner.end(track);
      if (harvest === undefined) continue;
      for (const candidate of harvest.left) this.#forget(candidate);
      this.#observe(harvest.observations);
      for (const candidate of harvest.candidates) {
        this.#enqueue(candidate, harvest.presumed, harvest.track);
      }
    }
  }

  /** What the teacher says of a frame that the serving model has seen. */
  hear(frame: Frame, serving: Look, teacher: Look): TeacherWord {
    const name = `${this.#run}-f${frame.seq}`;
    const word = hearTeacher(serving, teacher, { takenMs: frame.wallMs, frame: name });
    this.#observe(word.observations);
    this.#found += word.candidates.length;
    if (this.#rules.examples.enabled && this.#rules.examples.reasons.includes('teacher')) {
      this.#take(
        frame,
        word.candidates.map(({ candidate }) => candidate),
      );
      for (const { candidate, presumed } of word.candidates) this.#enqueue(candidate, presumed, null);
    }
    return word;
  }

  /** Writes what waits: pictures, rows and observations. */
  flush(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#flushExamples();
      this.#flushObservations();
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#flushing = this.#flushing.then(work).catch((error: unknown) => this.#warn(error));
    return this.#flushing;
  }

  /** A disk that is full says so with every flush. */
  #warn(error: unknown): void {
    const now = performance.now();
    if (now - this.#warnedMs < WARN_EVERY_MS) return;
    this.#warnedMs = now;
    this.#log.warn(`hard examples met a problem: ${messageOf(error)}`);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      void this.#inTurn(() => this.#tick()).finally(() => {
        if (this.#timer !== undefined) this.#schedule();
      });
    }, this.#rules.examples.flushSeconds * 1000);
  }

  /** Takes one picture of each candidate, all from one decoded frame. */
  #take(frame: Frame, candidates: readonly Candidate[]): void {
    const { wholeFrames, context, quality } = this.#rules.examples;
    const wanted = candidates.filter(() => this.#mayTake(frame.receivedAtMs));
    this.#dropped += candidates.length - wanted.length;
    if (wanted.length === 0) return;
    const { width, height } = frame;
    const regions = wanted.map(({ object: { x1, y1, x2, y2 } }): Box => {
      const [dx, dy] = [context * (x2 - x1), context * (y2 - y1)];
      const box = wholeFrames
        ? { x1: 0, y1: 0, x2: width, y2: height }
        : { x1: x1 - dx, y1: y1 - dy, x2: x2 + dx, y2: y2 + dy };
      return regionOf(box, frame);
    });
    const pictures = this.#pictures.take(frame, this.#masks(frame), regions, quality);
    for (const [index, candidate] of wanted.entries()) {
      const region = regions[index];
      if (region === undefined) continue;
      const picture = pictures.then((jpegs) => {
        const jpeg = jpegs?.[index];
        const pending = this.#pending.get(candidate);
        if (jpeg === undefined) {
          this.#pending.delete(candidate);
          return undefined;
        }
        if (pending !== undefined) {
          pending.bytes = jpeg.length;
          this.#pendingBytes += jpeg.length;
        }
        return { jpeg, region, frame: { width, height } };
      });
      this.#pending.set(candidate, { picture, bytes: 0 });
    }
  }

  #mayTake(nowMs: number): boolean {
    const passed = Math.max(0, nowMs - this.#allowanceMs) / 1000;
    this.#allowance = Math.min(BURST, this.#allowance + PICTURES_PER_SECOND * passed);
    this.#allowanceMs = Math.max(nowMs, this.#allowanceMs);
    if (this.#allowance < 1 || this.#pendingBytes > MAX_PENDING_BYTES) return false;
    this.#allowance -= 1;
    return true;
  }

  #forget(candidate: Candidate): void {
    this.#pendingBytes -= this.#pending.get(candidate)?.bytes ?? 0;
    this.#pending.delete(candidate);
  }

  #enqueue(candidate: Candidate, presumed: Presumption | null, track: ExampleTrack | null): void {
    const coming = this.#enqueueTaken(candidate, presumed, track).finally(() => this.#coming.delete(coming));
    this.#coming.add(coming);
  }

  async #enqueueTaken(
    candidate: Candidate,
    presumed: Presumption | null,
    track: ExampleTrack | null,
  ): Promise<void> {
    const taken = await this.#pending.get(candidate)?.picture;
    this.#forget(candidate);
    if (taken === undefined) return;
    if (this.#queue.length >= MAX_QUEUED) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push(exampleOf(candidate, taken, presumed, track));
    if (this.#queue.length >= MAX_QUEUED / 2) void this.#inTurn(() => this.#flushExamples());
  }

  #observe(observations: readonly Observation[]): void {
    const room = MAX_UNWRITTEN - this.#unwritten.length;
    this.#unwritten.push(...observations.slice(0, Math.max(0, room)));
  }

  async #flushExamples(): Promise<void> {
    const queue = this.#queue;
    this.#queue = [];
    const stored = await this.library.add(queue);
    for (const example of stored) this.emit('stored', example);
  }

  /** A full disk takes none; they wait, up to a limit. */
  #flushObservations(): void {
    this.#observedMs = performance.now();
    if (this.#unwritten.length === 0) return;
    this.#store.observations.add(this.#unwritten.map(toObservationRow));
    this.#observed += this.#unwritten.length;
    this.#unwritten = [];
  }

  async #tick(): Promise<void> {
    await this.#flushExamples();
    const now = performance.now();
    if (now - this.#observedMs >= OBSERVE_EVERY_MS) this.#flushObservations();
    if (now - this.#prunedMs < PRUNE_EVERY_MS) return;
    this.#prunedMs = now;
    const beforeMs = this.library.trustsClock ? Date.now() - this.#rules.windowMs : 0;
    this.#store.observations.prune(beforeMs, MAX_OBSERVATIONS);
    await this.library.prune();
  }
}

const exampleOf = (
  { takenMs, reason, model, object, others, rivalName }: Candidate,
  { jpeg, region, frame }: Taken,
  presumed: Presumption | null,
  track: ExampleTrack | null,
): NewExample => {
  const other =
    presumed?.className !== undefined && presumed.className !== object.className
      ? presumed.className
      : rivalName;
  return {
    takenMs,
    reason,
    pair: pairOf(object.className, other ?? object.className),
    model,
    object: shift(object, region),
    others: others.filter((seen) => overlaps(seen, region)).map((seen) => shift(seen, region)),
    picture: {
      width: region.x2 - region.x1,
      height: region.y2 - region.y1,
      bytes: jpeg.length,
      frame,
      left: region.x1,
      top: region.y1,
    },
    track,
    presumed,
    jpeg,
  };
};
