// The record of the adaptation at hand, and those before it: written down with every change.
import { messageOf } from '../../errors.js';
import type { AdaptationRows } from '../../store/index.js';
import type { Log } from '../../system/index.js';
import { keepReport } from './files.js';
import { AdaptationHistory, type AdaptationRecord } from './record.js';

export class Journal {
  readonly #history: AdaptationHistory;
  readonly #folder: string;
  readonly #log: Log;
  #record: AdaptationRecord | undefined;

  /** @param folder the loop's, where pages lie */
  constructor(rows: AdaptationRows, folder: string, log: Log) {
    this.#history = new AdaptationHistory(rows);
    this.#folder = folder;
    this.#log = log;
  }

  /** Of the adaptation that was begun last. */
  get record(): AdaptationRecord | undefined {
    return this.#record;
  }

  /** Newest first. */
  list(most: number): AdaptationRecord[] {
    return this.#history.list(most);
  }

  get(id: string): AdaptationRecord | undefined {
    return this.#history.get(id);
  }

  /** Begins with another adaptation. */
  begin(record: AdaptationRecord): void {
    this.#record = record;
    this.#write(record);
  }

  /** Notes what is known now; nothing where nothing was begun. */
  keep(change: Partial<AdaptationRecord>): void {
    if (this.#record === undefined) return;
    this.#record = { ...this.#record, ...change };
    this.#write(this.#record);
  }

  #write(record: AdaptationRecord): void {
    try {
      for (const id of this.#history.put(record)) keepReport(this.#folder, undefined, id);
    } catch (error) {
      this.#log.warn(`the history could not be written: ${messageOf(error)}`);
    }
  }
}
