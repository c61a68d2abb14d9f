// Counts in intervals of one length: opened by time, closed by time, never opened again.
import type { CountRow, SeriesSnapshot } from './snapshot.js';

/** A closed interval, or one that is still open. */
export interface CountInterval {
  /** Length. */
  readonly seconds: number;
  /** UTC, aligned to the length. */
  readonly startMs: number;
  readonly endMs: number;
  /** 0, and one more each time the clock was set back by more than an hour: then a `startMs` may come again. */
  readonly era: number;
  /**
   * How long the road was watched during it. Less than the length when the daemon started, stopped or was blind in it; more when the
   * clock was set back during it.
   */
  readonly observedMs: number;
  readonly total: number;
  /** Sorted by line, direction, class; combinations without a vehicle are left out. */
  readonly counts: readonly CountRow[];
}

/** What is counted: a crossing, or anything like it. */
export interface Countable {
  readonly line: string;
  readonly direction: string;
  readonly className: string;
  /** UTC. */
  readonly wallMs: number;
}

/**
 * An interval stays open for this long after its end. Crossings come late: the frame had to be detected, and the class is
 * settled up to 3 s after the crossing.
 */
export const CLOSE_GRACE_MS = 5_000;
/** A clock set back by more than this was wrong before: counting goes on in the corrected time. */
const NEW_ERA_MS = 3_600_000;
/** Time between two calls counts as lived only up to this; more is a clock set forward, or a process that stood still. */
const LONGEST_STEP_MS = 10_000;

interface Bucket {
  observedMs: number;
  readonly rows: Map<string, CountRow>;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export class IntervalSeries {
  readonly #seconds: number;
  readonly #lengthMs: number;
  readonly #open = new Map<number, Bucket>();
  /** Every interval that begins earlier is closed. */
  #closedUntilMs: number | undefined;
  #era = 0;
  #nowMs: number | undefined;

  constructor(seconds: number) {
    this.#seconds = seconds;
    this.#lengthMs = seconds * 1000;
  }

  /** Counts one vehicle: in the interval of its time, or if that is closed in the current one. */
  add({ line, direction, className, wallMs }: Countable): void {
    const now = this.#nowMs ?? wallMs;
    const closedUntil = (this.#closedUntilMs ??= this.#floor(now));
    // A time from before the clock was set back would open an interval that is not reached for long.
    const atMs = Math.min(wallMs, now + LONGEST_STEP_MS);
    const { rows } = this.#bucket(atMs, now, closedUntil);
    const key = JSON.stringify([line, direction, className]);
    rows.set(key, { line, direction, className, count: (rows.get(key)?.count ?? 0) + 1 });
  }

  /** Time has passed: returns the intervals that closed, oldest first. */
  advance(wallMs: number, observing: boolean): CountInterval[] {
    const closed: CountInterval[] = [];
    let closedUntil = (this.#closedUntilMs ??= this.#floor(wallMs));
    if (wallMs < closedUntil - NEW_ERA_MS) {
      closed.push(...this.close());
      this.#era++;
      this.#nowMs = undefined;
      closedUntil = this.#floor(wallMs);
    }
    const previous = this.#nowMs ?? wallMs;
    this.#nowMs = wallMs;
    const lived = wallMs - previous <= LONGEST_STEP_MS;
    // Each interval touched since the last call is opened, so that one without a vehicle is reported too.
    for (let from = lived ? Math.min(previous, wallMs) : wallMs; ;) {
      const until = Math.min(this.#floor(from) + this.#lengthMs, wallMs);
      const bucket = this.#bucket(from, wallMs, closedUntil);
      if (observing && previous < wallMs) bucket.observedMs += until - from;
      if (until >= wallMs) break;
      from = until;
    }
    this.#closedUntilMs = Math.max(closedUntil, this.#floor(wallMs - CLOSE_GRACE_MS));
    closed.push(...this.#take((startMs) => startMs + this.#lengthMs <= (this.#closedUntilMs ?? 0)));
    return closed;
  }

  /** Closes what is open, whatever the time. */
  close(): CountInterval[] {
    return this.#take(() => true);
  }

  /** What is open now, oldest first. */
  open(): CountInterval[] {
    return [...this.#open]
      .sort(([a], [b]) => a - b)
      .map(([startMs, { observedMs, rows }]) => {
        const counts = [...rows.values()].sort(
          (a, b) =>
            compare(a.line, b.line) || compare(a.direction, b.direction) || compare(a.className, b.className),
        );
        return {
          seconds: this.#seconds,
          startMs,
          endMs: startMs + this.#lengthMs,
          era: this.#era,
          observedMs,
          total: counts.reduce((sum, { count }) => sum + count, 0),
          counts,
        };
      });
  }

  snapshot(): SeriesSnapshot {
    return {
      seconds: this.#seconds,
      era: this.#era,
      closedUntilMs: this.#closedUntilMs ?? null,
      open: this.open().map(({ startMs, observedMs, counts }) => ({
        startMs,
        observedMs,
        counts: [...counts],
      })),
    };
  }

  /** Takes up a snapshot in place of what it has. The time until the next `advance` counts as not observed. */
  restore({ era, closedUntilMs, open }: SeriesSnapshot): void {
    this.#era = era;
    this.#closedUntilMs = closedUntilMs ?? undefined;
    this.#nowMs = undefined;
    this.#open.clear();
    for (const { startMs, observedMs, counts } of open) {
      const rows = new Map<string, CountRow>();
      for (const row of counts) {
        const key = JSON.stringify([row.line, row.direction, row.className]);
        rows.set(key, { ...row, count: row.count + (rows.get(key)?.count ?? 0) });
      }
      this.#open.set(startMs, { observedMs, rows });
    }
  }

  #take(isOver: (startMs: number) => boolean): CountInterval[] {
    const over = this.open().filter(({ startMs }) => isOver(startMs));
    for (const { startMs } of over) this.#open.delete(startMs);
    return over;
  }

  #floor(atMs: number): number {
    return Math.floor(atMs / this.#lengthMs) * this.#lengthMs;
  }

  /** The bucket of a time; for a time that is closed the current one, which lies ahead while a clock that was set back catches up. */
  #bucket(atMs: number, nowMs: number, closedUntilMs: number): Bucket {
    const own = this.#floor(atMs);
    const startMs = own >= closedUntilMs ? own : Math.max(this.#floor(nowMs), closedUntilMs);
    let bucket = this.#open.get(startMs);
    if (bucket === undefined) this.#open.set(startMs, (bucket = { observedMs: 0, rows: new Map() }));
    return bucket;
  }
}
