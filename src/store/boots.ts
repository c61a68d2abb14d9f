// Every start of the daemon, and whether it ended cleanly.
import { randomUUID } from 'node:crypto';
import type { Log } from '../system/index.js';
import { isCorrupt, isDiskFailure, type Sqlite, storeError } from './database.js';

/** Starts that are remembered. */
const KEPT = 100;

export interface Boot {
  /** Counts the starts of this store, from 1. */
  readonly number: number;
  /** UUID: `boot_id` of every message. */
  readonly id: string;
  /** Version of bitlane. */
  readonly version: string;
  /** UTC, milliseconds since the epoch. */
  readonly startedMs: number;
  /** `null` when it never stopped cleanly (or runs still). */
  readonly stoppedMs: number | null;
}

export class Boots {
  readonly #db: Sqlite;
  readonly #log: Log;

  constructor(db: Sqlite, log: Log) {
    this.#db = db;
    this.#log = log;
  }

  /** Records a start and returns it; on a full disk it is only returned, with the number 0. */
  begin(version: string): Boot {
    const id = randomUUID();
    const startedMs = Date.now();
    try {
      const number = this.#db.transaction(() => {
        const added = this.#db
          .prepare('INSERT INTO boots (id, version, started_ms) VALUES (?, ?, ?)')
          .run(id, version, startedMs).lastInsertRowid;
        this.#db.prepare('DELETE FROM boots WHERE number <= ?').run(Number(added) - KEPT);
        return Number(added);
      })();
      return { number, id, version, startedMs, stoppedMs: null };
    } catch (error) {
      const failure = storeError('recording the start', error);
      if (!isDiskFailure(error) && !isCorrupt(error)) throw failure;
      this.#log.error(failure.message);
      return { number: 0, id, version, startedMs, stoppedMs: null };
    }
  }

  /** Records a clean stop. */
  end(id: string): void {
    try {
      this.#db.prepare('UPDATE boots SET stopped_ms = ? WHERE id = ?').run(Date.now(), id);
    } catch (error) {
      throw storeError('recording the stop', error);
    }
  }

  /** Newest first. */
  list(limit = KEPT): Boot[] {
    try {
      return this.#db
        .prepare<[number], Boot>(
          'SELECT number, id, version, started_ms AS startedMs, stopped_ms AS stoppedMs FROM boots ORDER BY number DESC LIMIT ?',
        )
        .all(limit);
    } catch (error) {
      throw storeError('reading the starts', error);
    }
  }
}
