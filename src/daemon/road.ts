// The road as the daemon knows it: detections become tracks, crossings, counts and messages; counts survive a kill.
import { z } from 'zod';
import type { Config } from '../config/index.js';
import type { FrameResult } from '../detector/index.js';
import { messageOf } from '../errors.js';
import type { KeyValue } from '../store/index.js';
import type { Log } from '../system/index.js';
import type { FrameBody, OutboxBody, OutboxTopic } from '../telemetry/index.js';
import {
  CountAggregator,
  type CountInterval,
  type CountRow,
  type FinishedTrack,
  Tracker,
  type TrackerResult,
  type TrackerStats,
  type TrackView,
} from '../tracking/index.js';
import { countsMessage, ENTERED, frameMessage, trackMessage } from './messages.js';

/** What the road needs of telemetry. */
export interface Outlet {
  enqueue<T extends OutboxTopic>(topic: T, body: OutboxBody<T>): number | undefined;
  publishFrame(body: FrameBody): boolean;
}

/** Looks at what the road sees. */
export interface RoadWatcher {
  /** A detected frame, and its confirmed tracks. */
  seen(result: FrameResult, classes: readonly string[], tracks: readonly TrackView[]): void;
  finished(tracks: readonly FinishedTrack[]): void;
}

export interface RoadOptions {
  readonly config: Config;
  readonly store: KeyValue;
  /** The highest number that the outbox has given. */
  readonly lastSeq: () => number;
  readonly outlet: Outlet;
  readonly log: Log;
  readonly watcher?: RoadWatcher;
}

const COUNTS_KEY = 'counts';
const TICK_MS = 1_000;
/** Frames that are detected less often than this leave a gap in what was observed. */
const WATCHED_MS = 5_000;

type CountsTopic = `counts/${number}`;
type CountsMessage = readonly [topic: CountsTopic, body: OutboxBody<CountsTopic>];

const savedCounts = z.strictObject({
  lines: z.unknown(),
  zones: z.unknown(),
  /** Messages of closed intervals that were about to enter the outbox when its last number was `after`. */
  pending: z.array(z.tuple([z.templateLiteral(['counts/', z.number()]), z.unknown()])).max(10_000),
  after: z.int().min(0),
});

export class Road {
  readonly #store: KeyValue;
  readonly #lastSeq: () => number;
  readonly #outlet: Outlet;
  readonly #log: Log;
  readonly #watcher: RoadWatcher | undefined;
  readonly #tracker: Tracker;
  readonly #lines: CountAggregator;
  /** Entries into zones, counted as crossings of a line with the zone's name. */
  readonly #zones: CountAggregator;
  #config: Config;
  #timer: NodeJS.Timeout | undefined;
  readonly #totals = new Map<string, CountRow>();
  #dirty = false;
  #model: string | undefined;
  #lastResultMs = Number.NEGATIVE_INFINITY;

  constructor(options: RoadOptions) {
    this.#store = options.store;
    this.#lastSeq = options.lastSeq;
    this.#outlet = options.outlet;
    this.#log = options.log;
    this.#watcher = options.watcher;
    this.#config = options.config;
    const { tracking, lines, zones, counting } = options.config;
    this.#tracker = new Tracker({ tracking, lines, zones });
    this.#lines = new CountAggregator({ ...counting, emptyIntervals: true });
    this.#zones = new CountAggregator({ ...counting, emptyIntervals: true });
  }

  /** Crossings since the start, by line, direction and class. */
  get totals(): CountRow[] {
    return [...this.#totals.values()];
  }

  get stats(): TrackerStats {
    return this.#tracker.stats;
  }

  /** Takes up the counts of the run before, and begins to watch the clock. */
  start(): void {
    const saved = this.#store.get(COUNTS_KEY, savedCounts);
    if (saved !== undefined) {
      try {
        // Nothing but these messages can have been numbered between the two writes of a save.
        const sent = Math.max(0, this.#lastSeq() - saved.after);
        this.#enqueue(saved.pending.slice(sent) as readonly CountsMessage[]);
        this.#save(this.#messages(this.#lines.restore(saved.lines), this.#zones.restore(saved.zones)));
      } catch (error) {
        this.#log.warn(`counts of the run before are left: ${messageOf(error)}`);
      }
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** One detected frame. */
  see(result: FrameResult, classes: readonly string[]): void {
    this.#model = result.artifactId;
    this.#lastResultMs = performance.now();
    const seen = this.#tracker.update({ frame: result.frame, detections: result.detections, classes });
    this.#watcher?.seen(result, classes, seen.tracks);
    this.#take(seen);
    if (this.#config.telemetry.frames) this.#outlet.publishFrame(frameMessage(result, classes, seen.tracks));
  }

  configure(config: Config): void {
    this.#config = config;
    const { tracking, lines, zones, counting } = config;
    this.#tracker.reconfigure({ tracking, lines, zones });
    const all = { ...counting, emptyIntervals: true };
    this.#save(this.#messages(this.#lines.reconfigure(all), this.#zones.reconfigure(all)));
  }

  /** Finishes all tracks: another camera or another size of picture takes over. */
  finishTracks(): void {
    this.#take(this.#tracker.finish());
  }

  /** Finishes all tracks and sends what is counted so far, in intervals that are not complete. */
  closeCounts(): void {
    this.finishTracks();
    const none = { ...this.#config.counting, intervals: [] };
    this.#save(this.#messages(this.#lines.reconfigure(none), this.#zones.reconfigure(none)));
  }

  /** Finishes tracks and puts the open counts away. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.finishTracks();
    const now = Date.now();
    const watched = this.#watched();
    this.#save(this.#messages(this.#lines.advance(now, watched), this.#zones.advance(now, watched)));
  }

  #watched(): boolean {
    return performance.now() - this.#lastResultMs < WATCHED_MS;
  }

  #tick(): void {
    try {
      this.#take(this.#tracker.advance(performance.now()));
      const now = Date.now();
      const watched = this.#watched();
      const closed = this.#messages(this.#lines.advance(now, watched), this.#zones.advance(now, watched));
      if (this.#dirty || closed.length > 0) this.#save(closed);
    } catch (error) {
      this.#log.error(`counting met a problem: ${messageOf(error)}`);
    }
  }

  #take({ crossings, finished }: TrackerResult): void {
    for (const crossing of crossings) {
      this.#lines.add(crossing);
      const { line, direction, className } = crossing;
      const key = JSON.stringify([line, direction, className]);
      const before = this.#totals.get(key)?.count ?? 0;
      this.#totals.set(key, { line, direction, className, count: before + 1 });
    }
    if (crossings.length > 0) this.#dirty = true;
    for (const track of finished) this.#finish(track);
    if (finished.length > 0) this.#watcher?.finished(finished);
  }

  #finish(track: FinishedTrack): void {
    for (const { zone, enteredMs } of track.zones) {
      this.#zones.add({ line: zone, direction: ENTERED, className: track.className, wallMs: enteredMs });
      this.#dirty = true;
    }
    const { tracks, trackPath } = this.#config.telemetry;
    if (tracks)
      this.#outlet.enqueue('event/track', trackMessage(track, { path: trackPath, model: this.#model }));
  }

  /**
   * Puts the counts and the messages of closed intervals away, then the messages into the outbox, then notes that they are there.
   * A kill in between neither loses nor repeats an interval: the outbox's numbers tell which of them it has taken.
   */
  #save(messages: readonly CountsMessage[]): void {
    try {
      this.#put(messages);
      this.#dirty = false;
    } catch (error) {
      // A full disk stops storing, not counting: what closed goes out all the same.
      this.#log.warn(`counts could not be put away: ${messageOf(error)}`);
      this.#enqueue(messages);
      return;
    }
    if (messages.length === 0) return;
    this.#enqueue(messages);
    try {
      this.#put([]);
    } catch {
      this.#dirty = true;
    }
  }

  #put(pending: readonly CountsMessage[]): void {
    this.#store.set(COUNTS_KEY, {
      lines: this.#lines.snapshot(),
      zones: this.#zones.snapshot(),
      pending,
      after: this.#lastSeq(),
    });
  }

  #enqueue(messages: readonly CountsMessage[]): void {
    for (const [topic, body] of messages) this.#outlet.enqueue(topic, body);
  }

  #messages(lines: readonly CountInterval[], zones: readonly CountInterval[]): CountsMessage[] {
    const isSame = (a: CountInterval, b: CountInterval): boolean =>
      a.seconds === b.seconds && a.startMs === b.startMs && a.era === b.era;
    // Lines and zones open intervals on their own: one may hold what the other never opened.
    const onlyZones = zones.filter((zone) => !lines.some((line) => isSame(line, zone)));
    const intervals = [
      ...lines.map((line) => ({ line, zone: zones.find((zone) => isSame(line, zone)) })),
      ...onlyZones.map((zone) => ({ line: { ...zone, total: 0, counts: [] }, zone })),
    ];
    const { emptyIntervals } = this.#config.counting;
    return intervals
      .filter(({ line, zone }) => emptyIntervals || line.total > 0 || (zone?.total ?? 0) > 0)
      .sort((a, b) => a.line.startMs - b.line.startMs)
      .map(({ line, zone }): CountsMessage => [`counts/${line.seconds}`, countsMessage(line, zone)]);
  }
}
