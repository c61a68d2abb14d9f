// Sends the outbox in order: a row leaves the store only after the broker acknowledged it and every row before it.
import { messageOf } from '../errors.js';
import type { Outbox, OutboxRow } from '../store/index.js';
import type { Log } from '../system/index.js';
import type { Link, Outcome } from './link.js';
import { Suspicion } from './suspicion.js';
import { MESSAGE_SCHEMA } from './topics/index.js';

/** Rows read ahead of the broker. */
const READ_AHEAD = 40;
const RETRY_MS = 1_000;

export interface PumpCounters {
  sent: number;
  resent: number;
  refused: number;
  expired: number;
}

interface UnderWay {
  readonly seq: number;
  done: boolean;
}

/**
 * MQTT keeps the order of one connection. Across connections it is kept here: nothing of the old connection is sent again by
 * anybody else, and the new one begins with the first row that was not acknowledged. A consumer may so see a row twice, but
 * never one before its predecessor was there.
 */
export class OutboxPump {
  readonly counters: PumpCounters = { sent: 0, resent: 0, refused: 0, expired: 0 };
  readonly #outbox: Outbox;
  readonly #prefix: string;
  readonly #log: Log;
  readonly #suspicion = new Suspicion();
  #link: Link | undefined;
  /** The highest row that was there when the connection came about. */
  #lastOld = 0;
  /** The highest row that was taken up on this connection. */
  #cursor = 0;
  /** The highest row that was ever sent by this process. */
  #highest = 0;
  /** A row was acknowledged on this connection. */
  #hasProgressed = false;
  #ahead: OutboxRow[] = [];
  #underWay: UnderWay[] = [];
  #acknowledged: number[] = [];
  #flush: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(outbox: Outbox, prefix: string, log: Log) {
    this.#outbox = outbox;
    this.#prefix = prefix;
    this.#log = log;
  }

  /** Begins with the first row that is not acknowledged. */
  attach(link: Link): void {
    this.detach();
    this.#link = link;
    this.#hasProgressed = false;
    this.#lastOld = this.#outbox.lastSeq;
  }

  /**
   * What was under way is lost for this connection and stays in the outbox.
   *
   * @param cause `closed`: the broker ended a connection that stood; `away`: it was not reached, or fell silent
   */
  detach(cause: 'closed' | 'away' | 'ours' = 'ours'): void {
    if (cause === 'away') this.#suspicion.clear();
    if (cause === 'closed' && !this.#hasProgressed) this.#suspect();
    this.#forget();
    this.#link = undefined;
    this.#cursor = 0;
    this.#ahead = [];
    this.#underWay = [];
    clearTimeout(this.#retry);
  }

  #suspect(): void {
    const seq = this.#suspicion.lost(this.#underWay.map((entry) => entry.seq));
    if (seq === undefined) return;
    this.counters.refused += 1;
    this.#log.error(`message ${seq} was dropped: the broker closes the connection whenever it is sent`);
    this.#acknowledged.push(seq);
  }

  get isIdle(): boolean {
    return this.#underWay.length === 0 && this.#acknowledged.length === 0 && this.#outbox.counters.rows === 0;
  }

  /**
   * Sends one row.
   *
   * @param isQuiet nothing else is under way on this link
   * @returns whether there was one
   */
  sendOne(link: Link, settled: () => void, isQuiet: boolean): boolean {
    if (this.#link !== link) return false;
    if (this.#suspicion.isCareful && (!isQuiet || this.#underWay.length > 0)) return false;
    const row = this.#next(settled);
    if (row === undefined) return false;
    this.#cursor = row.seq;
    const entry: UnderWay = { seq: row.seq, done: false };
    this.#underWay.push(entry);
    const payload = this.#payload(row);
    if (payload === undefined) {
      this.#settle(entry);
      return true;
    }
    if (row.seq <= this.#highest) this.counters.resent += 1;
    this.#highest = Math.max(this.#highest, row.seq);
    const message = {
      topic: `${this.#prefix}${row.topic}`,
      payload,
      retain: row.retain,
      ...(row.expiresMs === null
        ? {}
        : { expirySeconds: Math.max(1, Math.ceil((row.expiresMs - Date.now()) / 1_000)) }),
    };
    link.publish(message, (outcome) => {
      if (this.#link !== link) return;
      // A broker in trouble would have the whole backlog refused: it stays in order, and is tried again.
      if (outcome.kind === 'refused' && outcome.isPassing) {
        link.abandon(outcome.reason);
        return;
      }
      this.#answered(row, entry, outcome);
      settled();
    });
    return true;
  }

  #next(settled: () => void): OutboxRow | undefined {
    if (this.#ahead.length === 0) {
      try {
        this.#ahead = this.#outbox.peek(this.#cursor, READ_AHEAD);
      } catch (error) {
        this.#log.error(messageOf(error));
        clearTimeout(this.#retry);
        this.#retry = setTimeout(settled, RETRY_MS);
      }
    }
    return this.#ahead.shift();
  }

  /** The message of a row, or `undefined` when it is not to be sent. */
  #payload(row: OutboxRow): string | undefined {
    if (row.expiresMs !== null && row.expiresMs <= Date.now()) {
      this.counters.expired += 1;
      return undefined;
    }
    try {
      const body: unknown = JSON.parse(row.body);
      if (typeof body !== 'object') throw new SyntaxError('no object');
      return JSON.stringify({
        schema: MESSAGE_SCHEMA,
        ts: new Date(row.createdMs).toISOString(),
        boot_id: row.bootId,
        seq: row.seq,
        // By number, not by time: the clock of a device without a battery jumps.
        replayed: row.seq <= this.#lastOld,
        ...body,
      });
    } catch {
      this.counters.refused += 1;
      this.#log.error(`message ${row.seq} for ${row.topic} is damaged and was dropped`);
      return undefined;
    }
  }

  #answered(row: OutboxRow, entry: UnderWay, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'acknowledged':
        this.counters.sent += 1;
        break;
      case 'refused':
        this.counters.refused += 1;
        this.#log.error(`message ${row.seq} for ${row.topic} was refused and dropped: ${outcome.reason}`);
        break;
      case 'lost':
        return;
    }
    this.#settle(entry);
  }

  /** Rows leave from the front only: one that is done waits for those before it. */
  #settle(entry: UnderWay): void {
    entry.done = true;
    this.#hasProgressed = true;
    this.#suspicion.clear();
    for (let first = this.#underWay[0]; first?.done === true; first = this.#underWay[0]) {
      this.#underWay.shift();
      this.#acknowledged.push(first.seq);
    }
    // One transaction for all that came with one read of the socket.
    if (this.#acknowledged.length > 0) this.#flush ??= setImmediate(() => this.#forget());
  }

  #forget(): void {
    if (this.#flush !== undefined) clearImmediate(this.#flush);
    this.#flush = undefined;
    const seqs = this.#acknowledged;
    this.#acknowledged = [];
    if (seqs.length === 0) return;
    try {
      this.#outbox.ack(seqs);
    } catch (error) {
      this.#log.error(`${messageOf(error)}; the messages may be sent twice`);
    }
  }
}
