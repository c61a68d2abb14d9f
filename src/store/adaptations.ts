// Rows of adaptations: one each, from its start to what became of it. What a body means is the business of its owner.
import { inStore, type Sqlite } from './database.js';

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
    inStore('storing an adaptation', () => this.#sql.put.run(id, startedMs, body));
  }

  get(id: string): AdaptationRow | undefined {
    return inStore('reading an adaptation', () => this.#sql.get.get(id));
  }

  /** Newest first. */
  list(most: number): AdaptationRow[] {
    return inStore('reading the adaptations', () => this.#sql.list.all(most));
  }

  /** Removes all but the newest. @returns the ids of those that went */
  trim(most: number): string[] {
    return inStore('removing adaptations', () => this.#sql.trim.all(most).map(({ id }) => id));
  }
}
