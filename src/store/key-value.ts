// Small JSON values under a name: remote configuration, snapshots of counters.
import type { z } from 'zod';
import { BitlaneError } from '../errors.js';
import { type Sqlite, storeError } from './database.js';

const MAX_VALUE_BYTES = 1_048_576;

export class KeyValue {
  readonly #db: Sqlite;

  constructor(db: Sqlite) {
    this.#db = db;
  }

  /** The value, or `undefined` when there is none or it no longer fits `schema`. */
  get<T>(key: string, schema: z.ZodType<T>): T | undefined {
    try {
      const row = this.#db
        .prepare<[string], { value: string }>('SELECT value FROM key_value WHERE key = ?')
        .get(key);
      if (row === undefined) return undefined;
      const parsed = schema.safeParse(JSON.parse(row.value));
      return parsed.success ? parsed.data : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw storeError(`reading "${key}" from the store`, error);
    }
  }

  /** @throws BitlaneError STORE_FAILED when it cannot be written; the old value stays */
  set(key: string, value: unknown): void {
    const text = JSON.stringify(value);
    if (text === undefined || Buffer.byteLength(text) > MAX_VALUE_BYTES) {
      throw new BitlaneError(
        'STORE_FAILED',
        `the value of "${key}" cannot be stored: JSON of at most 1 MiB can`,
      );
    }
    try {
      this.#db
        .prepare(
          'INSERT INTO key_value (key, value, updated_ms) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms',
        )
        .run(key, text, Date.now());
    } catch (error) {
      throw storeError(`writing "${key}" to the store`, error);
    }
  }

  delete(key: string): void {
    try {
      this.#db.prepare('DELETE FROM key_value WHERE key = ?').run(key);
    } catch (error) {
      throw storeError(`deleting "${key}" from the store`, error);
    }
  }

  /** Runs `work` as one step: all of its writes happen, or none. */
  atomically<T>(work: () => T): T {
    try {
      return this.#db.transaction(work)();
    } catch (error) {
      throw storeError('writing to the store', error);
    }
  }
}
