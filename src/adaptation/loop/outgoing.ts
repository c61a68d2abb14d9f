// Folders that are not needed any more: out of the way at once; their bytes go while the loop goes on.
import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.js';
import type { Log } from '../../system/index.js';

const PREFIX = 'outgoing-';

export class Outgoing {
  readonly #home: string;
  readonly #log: Log;
  #removing: Promise<void> = Promise.resolve();

  /** @param home a folder on the same file system as everything that is removed */
  constructor(home: string, log: Log) {
    this.#home = home;
    this.#log = log;
  }

  /** Takes up what a run before did not get done. */
  sweep(): void {
    for (const name of readdirSync(this.#home))
      if (name.startsWith(PREFIX)) this.remove(join(this.#home, name));
  }

  remove(folder: string): void {
    const outgoing = join(this.#home, `${PREFIX}${randomBytes(4).toString('hex')}`);
    try {
      renameSync(folder, outgoing);
    } catch (error) {
      this.#log.warn(`${folder} cannot be removed: ${messageOf(error)}`);
      return;
    }
    this.#removing = this.#removing
      .then(() => rm(outgoing, { recursive: true, force: true }))
      .catch((error: unknown) => this.#log.warn(`${outgoing} cannot be removed: ${messageOf(error)}`));
  }

  /** Resolves when all is gone. */
  idle(): Promise<void> {
    return this.#removing;
  }
}
