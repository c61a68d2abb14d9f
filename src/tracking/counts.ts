// Counts of crossings by interval, line, direction and class, for several interval lengths at once.
import type { CountingConfig } from '../config/index.js';
import { BitlaneError } from '../errors.js';
import { type Countable, type CountInterval, IntervalSeries } from './series.js';
import { type CountSnapshot, countSnapshotSchema } from './snapshot.js';

/**
 * Counts each crossing exactly once for each interval length. The wall clock may be set at any time:
 * - a closed interval stays closed; a late crossing goes to the current one;
 * - set forward, the intervals that were skipped are not reported: nobody watched them;
 * - set back up to an hour, counting goes on in the interval that was open until the clock has caught up;
 * - set back further, the open intervals close at once and a new `era` begins in the corrected time.
 *
 * For counts that survive a kill, put away `snapshot()` in the same transaction as the intervals that `advance` returned.
 */
export class CountAggregator {
  #config: CountingConfig;
  #series = new Map<number, IntervalSeries>();

  constructor(config: CountingConfig) {
    this.#config = config;
    this.#series = new Map(config.intervals.map((seconds) => [seconds, new IntervalSeries(seconds)]));
  }

  /** Counts one crossing. @throws BitlaneError INTERNAL when its time is no number */
  add(crossing: Countable): void {
    if (!Number.isFinite(crossing.wallMs)) {
      throw new BitlaneError('INTERNAL', 'A crossing must have a finite time.');
    }
    for (const series of this.#series.values()) series.add(crossing);
  }

  /**
   * Time has passed; call it about once a second, frames or not.
   * @param wallMs UTC
   * @param observing whether the road was watched since the last call (frames came and were detected)
   * @returns the intervals that closed, 5 s after their end; those without a vehicle only with `emptyIntervals`
   * @throws BitlaneError INTERNAL when the time is no number
   */
  advance(wallMs: number, observing = true): CountInterval[] {
    if (!Number.isFinite(wallMs)) throw new BitlaneError('INTERNAL', 'The time must be a finite number.');
    return this.#wanted([...this.#series.values()].flatMap((series) => series.advance(wallMs, observing)));
  }

  /** The intervals that are open now: for a page or a status, not to be added up. */
  current(): CountInterval[] {
    return [...this.#series.values()].flatMap((series) => series.open());
  }

  /** Takes over other interval lengths; returns what was open in the lengths that are gone. */
  reconfigure(config: CountingConfig): CountInterval[] {
    const old = this.#series;
    this.#config = config;
    this.#series = new Map(
      config.intervals.map((seconds) => [seconds, old.get(seconds) ?? new IntervalSeries(seconds)]),
    );
    return this.#wanted(
      [...old].flatMap(([seconds, series]) => (this.#series.has(seconds) ? [] : series.close())),
    );
  }

  /** The whole state as plain JSON. */
  snapshot(): CountSnapshot {
    return { schema: 1, series: [...this.#series.values()].map((series) => series.snapshot()) };
  }

  /**
   * Goes on from a snapshot; call it before anything is counted. Returns what was open in lengths that are no longer configured.
   * @throws BitlaneError STORE_FAILED when it is no snapshot; nothing has changed then
   */
  restore(snapshot: unknown): CountInterval[] {
    const parsed = countSnapshotSchema.safeParse(snapshot);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const place = issue?.path.join('.') ?? '';
      throw new BitlaneError(
        'STORE_FAILED',
        `The stored counts cannot be read${place === '' ? '' : ` at ${place}`}: ${issue?.message ?? 'unknown'}.`,
      );
    }
    const orphans: CountInterval[] = [];
    for (const state of parsed.data.series) {
      const series = this.#series.get(state.seconds) ?? new IntervalSeries(state.seconds);
      series.restore(state);
      if (!this.#series.has(state.seconds)) orphans.push(...series.close());
    }
    return this.#wanted(orphans);
  }

  #wanted(intervals: CountInterval[]): CountInterval[] {
    return this.#config.emptyIntervals ? intervals : intervals.filter(({ total }) => total > 0);
  }
}
