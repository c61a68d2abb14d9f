// The examples on disk: rows in the store, pictures beside it. A row is there only while its whole picture is.
import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExamplesConfig } from '../config/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import type { PairRow, Store } from '../store/index.js';
import type { Log } from '../system/index.js';
import { afterLabel } from './observed.js';
import type { Newcomer, Stub } from './reservoir.js';
import { fromRow, ID_PATTERN, newId, type NewExample, toRow } from './rows.js';
import { Stock, type StockRules } from './stock.js';
import type { Example, OperatorLabel } from './types.js';

export type LibraryRules = StockRules & Pick<ExamplesConfig, 'reserveMb'>;

export interface LibraryCounters {
  stored: number;
  /** By the reservoir of their pair, or its share of the hour. */
  passedOver: number;
  /** Removed for newer ones, for their age, or to keep within the bytes. */
  removed: number;
  /** Because the disk has less free than the reserve. */
  refusedByReserve: number;
  /** Because the disk took no more. */
  failed: number;
  /** Bytes of pictures that were written. */
  bytesWritten: number;
}

export interface ListOptions {
  readonly pair?: string;
  readonly labelled?: boolean;
  /** Older than the example with this id. */
  readonly before?: string;
  /** 100 when left out. */
  readonly limit?: number;
}

export interface PurgeOptions {
  readonly ids?: readonly string[];
  readonly pair?: string;
  /** Taken before, UTC milliseconds. */
  readonly beforeMs?: number;
  /** Labelled ones too; they stay otherwise, unless `ids` names them. */
  readonly labelled?: boolean;
}

export interface LibraryOptions {
  readonly stateDir: string;
  readonly store: Pick<Store, 'examples' | 'observations'>;
  readonly rules: LibraryRules;
  readonly log: Log;
  /** UTC, milliseconds; the clock of the machine when left out. */
  readonly now?: () => number;
  /** Whether that clock is trusted with removing what is too old; it is when left out. */
  readonly isSteady?: () => boolean;
  /** 0..1; `Math.random` when left out. */
  readonly random?: () => number;
}

const MB = 1e6;

/** Where the pictures of a state folder lie. */
export const examplesFolder = (stateDir: string): string => join(stateDir, 'examples');

/** One process writes at a time: the daemon, or a command where none runs. Others may read. */
export class ExampleLibrary {
  readonly folder: string;
  readonly counters: LibraryCounters = {
    stored: 0,
    passedOver: 0,
    removed: 0,
    refusedByReserve: 0,
    failed: 0,
    bytesWritten: 0,
  };
  readonly #store: LibraryOptions['store'];
  readonly #log: Log;
  readonly #now: () => number;
  readonly #isSteady: () => boolean;
  readonly #stock: Stock;
  #rules: LibraryRules;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ stateDir, store, rules, log, now, isSteady, random }: LibraryOptions) {
    this.folder = examplesFolder(stateDir);
    this.#store = store;
    this.#rules = rules;
    this.#log = log;
    this.#now = now ?? Date.now;
    this.#isSteady = isSteady ?? (() => true);
    this.#stock = new Stock(store.examples.stubs(), store.examples.pairs(), random ?? Math.random);
  }

  /** Whether things may be removed for their age. */
  get trustsClock(): boolean {
    return this.#isSteady();
  }

  get size(): { readonly examples: number; readonly bytes: number } {
    return this.#stock.size;
  }

  /**
   * What the start of the writing process does: pictures without a row go (a kill came between the two), and rows whose picture is
   * not whole (a power cut took it).
   */
  sweep(): Promise<void> {
    return this.#inTurn(async () => {
      await mkdir(this.folder, { recursive: true, mode: 0o750 });
      const sizes = new Map<string, number>();
      for (const name of await readdir(this.folder)) {
        const id = name.replace(/\.jpg$/, '');
        const path = join(this.folder, name);
        if (!this.#stock.has(id) || id === name) await rm(path, { recursive: true, force: true });
        else sizes.set(id, (await stat(path)).size);
      }
      await this.#remove(this.#stock.all.filter(({ id, bytes }) => sizes.get(id) !== bytes));
      await this.#prune();
    });
  }

  /** Takes up other limits; what is beyond them goes. */
  configure(rules: LibraryRules): Promise<void> {
    this.#rules = rules;
    return this.prune();
  }

  /** Removes what is too old or too much. */
  prune(): Promise<void> {
    return this.#inTurn(() => this.#prune());
  }

  /**
   * Stores what the reservoirs and the limits let in. Once this resolves, what it returns survives a SIGKILL. Never rejects for a disk
   * that is full: nothing is stored then, and it is counted.
   */
  add(items: readonly NewExample[]): Promise<Example[]> {
    return this.#inTurn(async () => {
      try {
        return await this.#add(items);
      } catch (error) {
        this.counters.failed += items.length;
        this.#log.warn(`${items.length} examples could not be stored: ${messageOf(error)}`);
        return [];
      }
    });
  }

  /** Newest first. */
  list({ limit = 100, ...filter }: ListOptions = {}): Example[] {
    return this.#store.examples.list({ ...filter, limit }).flatMap((row) => fromRow(row) ?? []);
  }

  /** All, newest first, a page at a time. */
  *all(filter: Omit<ListOptions, 'before' | 'limit'> = {}): Generator<Example> {
    const limit = 200;
    for (let before: string | undefined; ;) {
      const rows = this.#store.examples.list({
        ...filter,
        limit,
        ...(before === undefined ? {} : { before }),
      });
      for (const row of rows) {
        const example = fromRow(row);
        if (example !== undefined) yield example;
      }
      if (rows.length < limit) return;
      before = rows.at(-1)?.id;
    }
  }

  /** @throws BitlaneError `BAD_COMMAND` when there is none */
  get(id: string): Example {
    const row = this.#store.examples.get(id);
    const example = row === undefined ? undefined : fromRow(row);
    if (example === undefined) {
      throw new BitlaneError('BAD_COMMAND', `there is no example ${id}: "bitlane examples list" shows them`);
    }
    return example;
  }

  picturePath(id: string): string {
    // Ids come from outside, too.
    if (!ID_PATTERN.test(id)) throw new BitlaneError('BAD_COMMAND', `${id} is no id of an example`);
    return join(this.folder, `${id}.jpg`);
  }

  /** @throws BitlaneError `BAD_COMMAND` when there is none, or it was removed just now */
  async picture(id: string): Promise<Uint8Array> {
    this.get(id);
    try {
      return await readFile(this.picturePath(id));
    } catch (error) {
      throw new BitlaneError('BAD_COMMAND', `the picture of example ${id} is gone`, { cause: error });
    }
  }

  /**
   * Notes what an operator says; the operator's word about a vehicle takes the place of what was presumed of it.
   * @param said `null` takes an earlier label back
   * @throws BitlaneError `BAD_COMMAND`
   */
  label(id: string, said: Omit<OperatorLabel, 'wallMs'> | null): Example {
    const before = this.get(id);
    const label = said === null ? null : { ...said, wallMs: this.#now() };
    this.#store.examples.setLabel(id, label === null ? null : JSON.stringify(label));
    this.#stock.setLabelled(id, label !== null);
    const after = { ...before, label };
    const { rows, instead } = afterLabel(after, this.#now());
    this.#store.observations.add(rows, [instead]);
    return after;
  }

  /** Removes examples for good; what was observed stays. */
  purge({
    ids,
    pair,
    beforeMs,
    labelled = false,
  }: PurgeOptions): Promise<{ examples: number; bytes: number }> {
    return this.#inTurn(async () => {
      const named = ids === undefined ? undefined : new Set(ids);
      const gone = this.#stock.all.filter(
        (stub) =>
          (named === undefined ? labelled || !stub.labelled : named.has(stub.id)) &&
          (pair === undefined || stub.pair === pair) &&
          (beforeMs === undefined || stub.takenMs < beforeMs),
      );
      await this.#remove(gone);
      return { examples: gone.length, bytes: gone.reduce((sum, { bytes }) => sum + bytes, 0) };
    });
  }

  /** Resolves when what was asked for so far is done. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #add(items: readonly NewExample[]): Promise<Example[]> {
    if (items.length === 0) return [];
    const nowMs = this.#now();
    await this.#removeExpired(nowMs);
    if (!(await this.#hasRoom(items))) {
      this.counters.refusedByReserve += items.length;
      return [];
    }
    const admitted: NewExample[] = [];
    const coming: Newcomer[] = [];
    for (const item of items) {
      const newcomer = { pair: item.pair, bytes: item.jpeg.length };
      const gone = this.#stock.admit(newcomer, coming, this.#rules, nowMs);
      if (gone === undefined) continue;
      await this.#remove(gone);
      coming.push(newcomer);
      admitted.push(item);
    }
    this.counters.passedOver += items.length - admitted.length;
    // What was only counted is written with the next that is stored.
    if (admitted.length === 0) return [];
    const pairs = new Set(items.map(({ pair }) => pair));
    return this.#write(
      admitted,
      [...pairs].flatMap((pair) => this.#stock.flow(pair) ?? []),
    );
  }

  async #hasRoom(items: readonly NewExample[]): Promise<boolean> {
    const coming = items.reduce((sum, { jpeg }) => sum + jpeg.length, 0);
    await mkdir(this.folder, { recursive: true, mode: 0o750 });
    const { bavail, bsize } = await statfs(this.folder);
    return bavail * bsize - coming >= this.#rules.reserveMb * MB;
  }

  /** Pictures first, then all rows in one transaction: a kill in between leaves pictures that the next start sweeps away. */
  async #write(items: readonly NewExample[], flows: readonly PairRow[]): Promise<Example[]> {
    const rows = items.map((item) => ({ item, row: toRow(newId(item.takenMs), item) }));
    try {
      for (const { item, row } of rows) {
        await writeFile(join(this.folder, `${row.id}.jpg`), item.jpeg, { flag: 'wx', mode: 0o640 });
        this.counters.bytesWritten += row.bytes;
      }
      this.#store.examples.add(
        rows.map(({ row }) => row),
        flows,
      );
    } catch (error) {
      for (const { row } of rows) await rm(join(this.folder, `${row.id}.jpg`), { force: true });
      throw error;
    }
    this.counters.stored += rows.length;
    for (const { row } of rows) {
      const { id, takenMs, pair, bytes } = row;
      this.#stock.keep({ id, takenMs, pair, bytes, labelled: false });
    }
    return rows.flatMap(({ row }) => fromRow({ ...row, label: null }) ?? []);
  }

  /** Rows first: a kill in between leaves pictures without a row, never a row without its picture. */
  async #remove(gone: readonly Stub[]): Promise<void> {
    if (gone.length === 0) return;
    this.#store.examples.remove(gone.map(({ id }) => id));
    for (const { id } of gone) {
      if (!this.#stock.drop(id)) continue;
      this.counters.removed += 1;
      await rm(join(this.folder, `${id}.jpg`), { force: true });
    }
  }

  async #removeExpired(nowMs: number): Promise<void> {
    if (this.trustsClock) await this.#remove(this.#stock.expired(this.#rules, nowMs));
  }

  async #prune(): Promise<void> {
    await this.#removeExpired(this.#now());
    await this.#remove(this.#stock.excess(this.#rules));
  }
}
