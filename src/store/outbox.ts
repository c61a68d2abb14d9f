// The outbox: messages that must reach the broker, kept in order until it acknowledged them.
import type { Log } from '../system/index.js';
import { isBusy, isCorrupt, isDiskFailure, type Sqlite, storeError } from './database.js';

/** What is dropped first when the outbox is at its cap: telemetry, then events, counts last. */
export type OutboxKind = 'telemetry' | 'event' | 'counts';

const RANKS: Readonly<Record<OutboxKind, number>> = { telemetry: 0, event: 1, counts: 2 };
/** Messages held in memory while the disk takes none. */
const MAX_UNSAVED = 2_000;
const WARN_EVERY_MS = 60_000;

export interface OutboxRow {
  readonly seq: number;
  readonly topic: string;
  /** JSON text, without the envelope. */
  readonly body: string;
  readonly retain: boolean;
  /** UTC, milliseconds since the epoch. */
  readonly createdMs: number;
  readonly expiresMs: number | null;
  readonly bootId: string;
}

export interface OutboxOptions {
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly log: Log;
}

export interface AppendOptions {
  readonly kind: OutboxKind;
  readonly bootId: string;
  readonly retain?: boolean;
  /** Not sent any more after this time. */
  readonly expirySeconds?: number;
}

export interface OutboxCounters {
  /** Waiting, those in memory included. */
  readonly rows: number;
  readonly bytes: number;
  /** Dropped at the cap, since the store was opened. */
  readonly evicted: Readonly<Record<OutboxKind, number>>;
  /** In memory only, because the disk is full or failing. */
  readonly unsaved: number;
  /** Writes that the disk refused. */
  readonly failures: number;
}

interface Entry extends OutboxRow {
  readonly rank: number;
  readonly bytes: number;
}

interface RawRow extends Omit<OutboxRow, 'retain'> {
  readonly retain: number;
}

const statements = (db: Sqlite) => ({
  peek: db.prepare<[number, number], RawRow>(
    `SELECT seq, topic, body, retain, created_ms AS createdMs, expires_ms AS expiresMs, boot_id AS bootId
     FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?`,
  ),
  insert: db.prepare(
    `INSERT INTO outbox (seq, rank, topic, body, bytes, retain, created_ms, expires_ms, boot_id)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  delete: db.prepare<[number], { bytes: number }>('DELETE FROM outbox WHERE seq = ? RETURNING bytes'),
  evict: db.prepare<[], { rank: number; bytes: number }>(
    'DELETE FROM outbox WHERE seq = (SELECT seq FROM outbox ORDER BY rank, seq LIMIT 1) RETURNING rank, bytes',
  ),
});

const isSurvivable = (error: unknown): boolean => isDiskFailure(error) || isBusy(error) || isCorrupt(error);

/**
 * Rows leave in the order of `seq`, which rises over restarts and is never given twice. When the disk takes no more, new rows
 * wait in memory (bounded, same order of eviction) and are written as soon as it does again: a full disk does not stop counting.
 */
export class Outbox {
  readonly #db: Sqlite;
  readonly #sql: ReturnType<typeof statements>;
  readonly #log: Log;
  readonly #maxRows: number;
  readonly #maxBytes: number;
  readonly #evicted: Record<OutboxKind, number> = { telemetry: 0, event: 0, counts: 0 };
  /** Newer than everything in the file, in order. */
  #unsaved: Entry[] = [];
  /** Acknowledged, but the disk did not let us delete them yet. */
  readonly #undeleted = new Set<number>();
  #rows: number;
  #bytes: number;
  #lastSeq: number;
  #failures = 0;
  #warnedEviction = Number.NEGATIVE_INFINITY;
  #warnedFailure = Number.NEGATIVE_INFINITY;

  constructor(db: Sqlite, options: OutboxOptions) {
    this.#db = db;
    this.#sql = statements(db);
    this.#log = options.log;
    this.#maxRows = options.maxRows;
    this.#maxBytes = options.maxBytes;
    const totals = db
      .prepare<[], { rows: number; bytes: number }>(
        'SELECT COUNT(*) AS rows, COALESCE(SUM(bytes), 0) AS bytes FROM outbox',
      )
      .get();
    this.#rows = totals?.rows ?? 0;
    this.#bytes = totals?.bytes ?? 0;
    this.#lastSeq =
      db.prepare<[], { seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").get()?.seq ??
      0;
  }

  /** The highest number given so far; 0 before the first. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  get counters(): OutboxCounters {
    return {
      rows: Math.max(0, this.#rows - this.#undeleted.size) + this.#unsaved.length,
      bytes: this.#bytes + this.#unsaved.reduce((sum, row) => sum + row.bytes, 0),
      evicted: { ...this.#evicted },
      unsaved: this.#unsaved.length,
      failures: this.#failures,
    };
  }

  /**
   * Adds a message and returns its number. Once this returns the message survives a SIGKILL, unless it counts as
   * `unsaved`; the number of an unsaved message that a SIGKILL took may be given again, under another `boot_id`.
   *
   * @param body JSON text
   */
  append(topic: string, body: string, options: AppendOptions): number {
    const createdMs = Date.now();
    const entry: Entry = {
      seq: this.#lastSeq + 1,
      rank: RANKS[options.kind],
      topic,
      body,
      bytes: Buffer.byteLength(topic) + Buffer.byteLength(body),
      retain: options.retain ?? false,
      createdMs,
      expiresMs: options.expirySeconds === undefined ? null : createdMs + options.expirySeconds * 1_000,
      bootId: options.bootId,
    };
    this.#lastSeq = entry.seq;
    // One that fits on no terms would push out everything else before it went itself.
    if (entry.bytes > this.#maxBytes) this.#countEvicted([entry.rank]);
    else {
      this.#unsaved.push(entry);
      this.#save();
    }
    return entry.seq;
  }

  /** The oldest rows with a number above `after`, in order. */
  peek(after: number, limit: number): OutboxRow[] {
    const rows: OutboxRow[] = [];
    try {
      // Rows that could not be deleted are skipped, so one page may not be enough.
      for (let from = after, more = true; more && rows.length < limit;) {
        const asked = limit - rows.length;
        const page = this.#sql.peek.all(from, asked);
        for (const row of page) {
          from = row.seq;
          if (!this.#undeleted.has(row.seq)) rows.push({ ...row, retain: row.retain === 1 });
        }
        more = page.length === asked;
      }
    } catch (error) {
      // A damaged file is replaced at the next start; until then what is in memory still goes out.
      if (!isCorrupt(error)) throw storeError('reading the outbox', error);
      this.#failed(error);
    }
    for (const row of this.#unsaved) {
      if (rows.length >= limit) break;
      if (row.seq > after) rows.push(row);
    }
    return rows;
  }

  /** Forgets messages that the broker has acknowledged (or refused for good). */
  ack(seqs: readonly number[]): void {
    const acknowledged = new Set(seqs);
    this.#unsaved = this.#unsaved.filter((row) => !acknowledged.delete(row.seq));
    for (const seq of acknowledged) this.#undeleted.add(seq);
    this.#save();
  }

  /** Writes and deletes what is due, in one transaction; what the disk refuses stays due. */
  #save(): void {
    const before = { rows: this.#rows, bytes: this.#bytes };
    const evicted: number[] = [];
    try {
      this.#db.transaction(() => {
        for (const seq of this.#undeleted) this.#delete(seq);
        for (const entry of this.#unsaved) this.#insert(entry);
        while (this.#rows > this.#maxRows || this.#bytes > this.#maxBytes) {
          const rank = this.#evictOne();
          if (rank === undefined) break;
          evicted.push(rank);
        }
      })();
      this.#undeleted.clear();
      this.#unsaved = [];
    } catch (error) {
      this.#rows = before.rows;
      this.#bytes = before.bytes;
      if (!isSurvivable(error)) throw storeError('writing the outbox', error);
      this.#failed(error);
      evicted.length = 0;
      let bytes = this.#unsaved.reduce((sum, row) => sum + row.bytes, 0);
      while (this.#unsaved.length > MAX_UNSAVED || bytes > this.#maxBytes) {
        const row = this.#evictUnsaved();
        if (row === undefined) break;
        bytes -= row.bytes;
        evicted.push(row.rank);
      }
    }
    if (evicted.length > 0) this.#countEvicted(evicted);
  }

  #insert(entry: Entry): void {
    this.#sql.insert.run(
      entry.seq,
      entry.rank,
      entry.topic,
      entry.body,
      entry.bytes,
      entry.retain ? 1 : 0,
      entry.createdMs,
      entry.expiresMs,
      entry.bootId,
    );
    this.#rows += 1;
    this.#bytes += entry.bytes;
  }

  #delete(seq: number): void {
    const row = this.#sql.delete.get(seq);
    if (row === undefined) return;
    this.#rows -= 1;
    this.#bytes -= row.bytes;
  }

  #evictOne(): number | undefined {
    const row = this.#sql.evict.get();
    if (row === undefined) return undefined;
    this.#rows -= 1;
    this.#bytes -= row.bytes;
    return row.rank;
  }

  #evictUnsaved(): Entry | undefined {
    let victim = 0;
    for (const [index, row] of this.#unsaved.entries()) {
      if (row.rank < (this.#unsaved[victim]?.rank ?? 0)) victim = index;
    }
    return this.#unsaved.splice(victim, 1)[0];
  }

  #countEvicted(ranks: readonly number[]): void {
    for (const kind of Object.keys(RANKS) as OutboxKind[]) {
      this.#evicted[kind] += ranks.filter((rank) => rank === RANKS[kind]).length;
    }
    const now = performance.now();
    if (now - this.#warnedEviction < WARN_EVERY_MS) return;
    this.#warnedEviction = now;
    this.#log.warn('the outbox is at its cap: the oldest of the least important messages are dropped', {
      ...this.#evicted,
    });
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    const now = performance.now();
    if (now - this.#warnedFailure < WARN_EVERY_MS) return;
    this.#warnedFailure = now;
    this.#log.error(`${storeError('writing the outbox', error).message}; new messages wait in memory`, {
      unsaved: this.#unsaved.length,
    });
  }
}
