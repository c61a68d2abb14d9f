// Rows of hard examples, and how many candidates each pair of classes had. What a row means is the business of its owner.
import { inStore, type Sqlite } from './database.js';

export interface ExampleRow {
  readonly id: string;
  /** UTC, milliseconds since the epoch. */
  readonly takenMs: number;
  readonly pair: string;
  /** Of its picture. */
  readonly bytes: number;
  /** JSON text. */
  readonly body: string;
  /** JSON text of what an operator said. */
  readonly label: string | null;
}

/** Candidates of one pair, decayed to the time of the last one. */
export interface PairRow {
  readonly pair: string;
  readonly seen: number;
  readonly seenMs: number;
}

/** What retention needs to know of a row. */
export type ExampleStub = Pick<ExampleRow, 'id' | 'takenMs' | 'pair' | 'bytes'> & {
  readonly labelled: boolean;
};

export interface ExampleFilter {
  readonly pair?: string;
  readonly labelled?: boolean;
  /** Older than this example. */
  readonly before?: string;
  readonly limit: number;
}

const COLUMNS = 'id, taken_ms AS takenMs, pair, bytes, body, label';

const statements = (db: Sqlite) => ({
  insert: db.prepare<[string, number, string, number, string]>(
    'INSERT INTO examples (id, taken_ms, pair, bytes, body) VALUES (?, ?, ?, ?, ?)',
  ),
  get: db.prepare<[string], ExampleRow>(`SELECT ${COLUMNS} FROM examples WHERE id = ?`),
  label: db.prepare<[string | null, string]>('UPDATE examples SET label = ? WHERE id = ?'),
  remove: db.prepare<[string]>('DELETE FROM examples WHERE id = ?'),
  stubs: db.prepare<[], Omit<ExampleStub, 'labelled'> & { labelled: number }>(
    'SELECT id, taken_ms AS takenMs, pair, bytes, label IS NOT NULL AS labelled FROM examples ORDER BY taken_ms, id',
  ),
  list: db.prepare<
    [string | null, string | null, number | null, number | null, string, string, number],
    ExampleRow
  >(
    `SELECT ${COLUMNS} FROM examples
     WHERE (? IS NULL OR pair = ?) AND (? IS NULL OR (label IS NOT NULL) = ?)
       AND (? = '' OR (taken_ms, id) < (SELECT taken_ms, id FROM examples WHERE id = ?))
     ORDER BY taken_ms DESC, id DESC LIMIT ?`,
  ),
  pairs: db.prepare<[], PairRow>('SELECT pair, seen, seen_ms AS seenMs FROM example_pairs'),
  setPair: db.prepare<[string, number, number]>(
    'INSERT INTO example_pairs (pair, seen, seen_ms) VALUES (?, ?, ?) ON CONFLICT (pair) DO UPDATE SET seen = excluded.seen, seen_ms = excluded.seen_ms',
  ),
});

export class ExampleRows {
  readonly #db: Sqlite;
  readonly #sql: ReturnType<typeof statements>;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#sql = statements(db);
  }

  /** Adds rows and sets pairs in one transaction: once this returns they survive a SIGKILL. */
  add(rows: readonly Omit<ExampleRow, 'label'>[], pairs: readonly PairRow[]): void {
    inStore('storing examples', () =>
      this.#db.transaction(() => {
        for (const { id, takenMs, pair, bytes, body } of rows)
          this.#sql.insert.run(id, takenMs, pair, bytes, body);
        for (const { pair, seen, seenMs } of pairs) this.#sql.setPair.run(pair, seen, seenMs);
      })(),
    );
  }

  get(id: string): ExampleRow | undefined {
    return inStore('reading an example', () => this.#sql.get.get(id));
  }

  /** Newest first. */
  list({ pair, labelled, before, limit }: ExampleFilter): ExampleRow[] {
    const isLabelled = labelled === undefined ? null : Number(labelled);
    return inStore('reading the examples', () =>
      this.#sql.list.all(
        pair ?? null,
        pair ?? null,
        isLabelled,
        isLabelled,
        before ?? '',
        before ?? '',
        limit,
      ),
    );
  }

  /** All, oldest first. */
  stubs(): ExampleStub[] {
    return inStore('reading the examples', () =>
      this.#sql.stubs.all().map((row) => ({ ...row, labelled: row.labelled === 1 })),
    );
  }

  /** @param label JSON text; `null` takes it away */
  setLabel(id: string, label: string | null): void {
    inStore('storing a label', () => this.#sql.label.run(label, id));
  }

  remove(ids: readonly string[]): void {
    if (ids.length === 0) return;
    inStore('removing examples', () =>
      this.#db.transaction(() => {
        for (const id of ids) this.#sql.remove.run(id);
      })(),
    );
  }

  pairs(): PairRow[] {
    return inStore('reading the pairs of examples', () => this.#sql.pairs.all());
  }
}
