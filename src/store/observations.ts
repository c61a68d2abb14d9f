// Rows of observed confusions: what was predicted, what it presumably was, and who says so.
import { type Sqlite, storeError } from './database.js';

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

const statements = (db: Sqlite) => ({
  insert: db.prepare<[number, string, string, string, number, string, string]>(
    'INSERT INTO observations (seen_ms, source, predicted, presumed, weight, model, about) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ),
  since: db.prepare<[number], ObservationRow>(
    `SELECT seen_ms AS seenMs, source, predicted, presumed, weight, model, about
     FROM observations WHERE seen_ms >= ? ORDER BY number`,
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

  #do<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storeError(what, error);
    }
  }

  /**
   * Adds rows in one transaction.
   * @param instead of what is known about these things so far
   */
  add(rows: readonly ObservationRow[], instead: readonly string[] = []): void {
    if (rows.length === 0 && instead.length === 0) return;
    this.#do('storing observations', () =>
      this.#db.transaction(() => {
        for (const about of instead) this.#sql.forget.run(about);
        for (const { seenMs, source, predicted, presumed, weight, model, about } of rows)
          this.#sql.insert.run(seenMs, source, predicted, presumed, weight, model, about);
      })(),
    );
  }

  /** Oldest first. */
  since(seenMs: number): ObservationRow[] {
    return this.#do('reading the observations', () => this.#sql.since.all(seenMs));
  }

  /** Removes what is older than `beforeMs`, and of the rest all but the latest `most` (or a few less). */
  prune(beforeMs: number, most: number): void {
    this.#do('removing observations', () =>
      this.#db.transaction(() => {
        this.#sql.prune.run(beforeMs);
        this.#sql.trim.run(most);
      })(),
    );
  }
}
