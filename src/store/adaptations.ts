// Rows of adaptations: one each, from its start to what became of it. What a body means is the business of its owner.
import { type Sqlite, storeError } from './database.js';

export interface AdaptationRow {
  readonly id: string;
  /** UTC, milliseconds since the epoch. */
  readonly startedMs: number;
  /** JSON text. */
  readonly body: string;
}

const statements = (db: Sqlite) => ({
  put: db.prepare<[string, number, string]>(
    'INSERT INTO adaptations (id, started_ms, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body',
  ),
  get: db.prepare<[string], AdaptationRow>(
    'SELECT id, started_ms AS startedMs, body FROM adaptations WHERE id = ?',
  ),
  list: db.prepare<[number], AdaptationRow>(
    'SELECT id, started_ms AS startedMs, body FROM adaptations ORDER BY started_ms DESC, id DESC LIMIT ?',
  ),
  trim: db.prepare<[number], { id: string }>(
    `DELETE FROM adaptations WHERE id NOT IN (SELECT id FROM adaptations ORDER BY started_ms DESC, id DESC LIMIT ?) RETURNING id`,
  ),
});

export class AdaptationRows {
  readonly #sql: ReturnType<typeof statements>;

  constructor(db: Sqlite) {
    this.#sql = statements(db);
  }

  /** Adds a row, or gives the one of this id another body. */
  put({ id, startedMs, body }: AdaptationRow): void {
    try {
      this.#sql.put.run(id, startedMs, body);
    } catch (error) {
      throw storeError('storing an adaptation', error);
    }
  }

  get(id: string): AdaptationRow | undefined {
    try {
      return this.#sql.get.get(id);
    } catch (error) {
      throw storeError('reading an adaptation', error);
    }
  }

  /** Newest first. */
  list(most: number): AdaptationRow[] {
    try {
      return this.#sql.list.all(most);
    } catch (error) {
      throw storeError('reading the adaptations', error);
    }
  }

  /** Removes all but the newest. @returns the ids of those that went */
  trim(most: number): string[] {
    try {
      return this.#sql.trim.all(most).map(({ id }) => id);
    } catch (error) {
      throw storeError('removing adaptations', error);
    }
  }
}
