// Rows of observed confusions: what was predicted, what it presumably was, and who says so.
import { inStore, type Sqlite } from './database.js';

export interface ObservationRow {
  /** UTC, milliseconds since the epoch. */
  readonly seenMs: number;
  readonly source: string;
  /** '' is the background, here and in `presumed`. */
  readonly predicted: string;
  readonly presumed: string;
  readonly weight: number;
  readonly model: string;
  readonly about: string;
}

/** Observations of one kind at about one time. */
export interface ObservationSum extends Omit<ObservationRow, 'about'> {
  /** How many there are; `weight` is their sum. */
  readonly looks: number;
}

/** Rows that are summed at once: a few milliseconds. */
const CHUNK = 10_000;

const statements = (db: Sqlite) => ({
  insert: db.prepare<[number, string, string, string, number, string, string]>(
    'INSERT INTO observations (seen_ms, source, predicted, presumed, weight, model, about) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ),
  since: db.prepare<[number], ObservationRow>(
    `SELECT seen_ms AS seenMs, source, predicted, presumed, weight, model, about
     FROM observations WHERE seen_ms >= ? ORDER BY number`,
  ),
  range: db.prepare<[], { first: number | null; last: number | null }>(
    'SELECT MIN(number) AS first, MAX(number) AS last FROM observations',
  ),
  sums: db.prepare<[number, number, number, number], ObservationSum>(
    `SELECT MAX(seen_ms) AS seenMs, source, predicted, presumed, SUM(weight) AS weight, model, COUNT(*) AS looks
     FROM observations WHERE number BETWEEN ? AND ? AND seen_ms >= ?
     GROUP BY source, predicted, presumed, model, seen_ms / ?`,
  ),
  forget: db.prepare<[string]>('DELETE FROM observations WHERE about = ?'),
  prune: db.prepare<[number]>('DELETE FROM observations WHERE seen_ms < ?'),
  trim: db.prepare<[number]>(
    'DELETE FROM observations WHERE number <= (SELECT MAX(number) FROM observations) - ?',
  ),
});

export class ObservationRows {
  readonly #db: Sqlite;
  readonly #sql: ReturnType<typeof statements>;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#sql = statements(db);
  }

  /**
   * Adds rows in one transaction.
   * @param instead of what is known about these things so far
   */
  add(rows: readonly ObservationRow[], instead: readonly string[] = []): void {
    if (rows.length === 0 && instead.length === 0) return;
    inStore('storing observations', () =>
      this.#db.transaction(() => {
        for (const about of instead) this.#sql.forget.run(about);
        for (const { seenMs, source, predicted, presumed, weight, model, about } of rows)
          this.#sql.insert.run(seenMs, source, predicted, presumed, weight, model, about);
      })(),
    );
  }

  /** Oldest first. */
  since(seenMs: number): ObservationRow[] {
    return inStore('reading the observations', () => this.#sql.since.all(seenMs));
  }

  /**
   * Sums of the observations since `seenMs`, a chunk at a time: between chunks the caller may let others work.
   * @param bucketMs what lies nearer together than this is one sum
   */
  *sums(seenMs: number, bucketMs: number): Generator<readonly ObservationSum[]> {
    const { first, last } = inStore('reading the observations', () => this.#sql.range.get()) ?? {};
    if (typeof first !== 'number' || typeof last !== 'number') return;
    for (let from = first; from <= last; from += CHUNK) {
      yield inStore('reading the observations', () =>
        this.#sql.sums.all(from, from + CHUNK - 1, seenMs, bucketMs),
      );
    }
  }

  /** Removes what is older than `beforeMs`, and of the rest all but the latest `most` (or a few less). */
  prune(beforeMs: number, most: number): void {
    inStore('removing observations', () =>
      this.#db.transaction(() => {
        this.#sql.prune.run(beforeMs);
        this.#sql.trim.run(most);
      })(),
    );
  }
}
