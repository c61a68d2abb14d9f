// Opening the store: checks, migrations, and what happens to a file that is damaged or a disk that takes nothing.
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type Log, silentLog } from '../system/index.js';
import { AdaptationRows } from './adaptations.js';
import { Boots } from './boots.js';
import { isCorrupt, isDiskFailure, openDatabase, readDatabase, type Sqlite, storeError } from './database.js';
import { ExampleRows } from './examples.js';
import { KeyValue } from './key-value.js';
import { migrate, SCHEMA_VERSION } from './migrations.js';
import { ObservationRows } from './observations.js';
import { Outbox } from './outbox.js';

/** Larger files are not read through at every start. */
const MAX_CHECKED_BYTES = 134_217_728;
/** Damaged files that are kept for inspection. */
const MAX_KEPT_DAMAGED = 3;

export interface StoreOptions {
  readonly log?: Log;
  readonly outboxMaxRows?: number;
  readonly outboxMaxBytes?: number;
}

export interface Store {
  readonly path: string;
  readonly outbox: Outbox;
  readonly keyValue: KeyValue;
  readonly boots: Boots;
  readonly adaptations: AdaptationRows;
  readonly examples: ExampleRows;
  readonly observations: ObservationRows;
  /** Where a damaged file was moved when the store was opened. */
  readonly damaged: string | undefined;
  /** False when the disk took nothing at all and the store lives in memory until the next start. */
  readonly persistent: boolean;
  close(): void;
}

const isDiskError = (error: unknown): boolean => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return isDiskFailure(error) || code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS' || code === 'EIO';
};

const verify = (db: Sqlite, path: string): void => {
  if (statSync(path).size > MAX_CHECKED_BYTES) return;
  const verdict = db.pragma('quick_check(1)', { simple: true });
  if (verdict !== 'ok') throw new DamagedError(String(verdict));
};

class DamagedError extends Error {}

const openFile = (path: string): Sqlite => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  // Created here, so that the journal files beside it get the same mode.
  closeSync(openSync(path, 'a', 0o640));
  const db = openDatabase(path);
  try {
    verify(db, path);
    migrate(db, path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
};

const damagedFiles = (path: string): string[] => {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.damaged-`));
  return [...new Set(names.map((name) => name.replace(/-(wal|shm)$/, '')))].sort();
};

/**
 * Renames the file and its journals, the journals first: a process killed in between must not leave a journal that SQLite would
 * play into the fresh file. The oldest of earlier ones go.
 */
const moveAside = (path: string): string => {
  const aside = `${path}.damaged-${new Date().toISOString().replace(/[:.]/g, '')}`;
  for (const suffix of ['-wal', '-shm', '']) {
    try {
      renameSync(`${path}${suffix}`, `${aside}${suffix}`);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  for (const name of damagedFiles(path).slice(0, -MAX_KEPT_DAMAGED)) {
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(join(dirname(path), `${name}${suffix}`), { force: true });
    }
  }
  return aside;
};

/** A store that lost its file goes on above every number that was given before: the clock is ahead of any count. */
const numberFromClock = (db: Sqlite): void => {
  db.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)").run(Date.now() * 1_000);
};

const openFresh = (path: string): Sqlite => {
  const db = path === ':memory:' ? openDatabase(path) : openFile(path);
  if (path === ':memory:') migrate(db, path);
  numberFromClock(db);
  return db;
};

/**
 * Opens (or creates) the store at `path`. A damaged file is moved aside and a fresh one started; a disk that takes nothing gets
 * a store in memory: both loudly, because the daemon must go on counting.
 *
 * @throws BitlaneError STORE_FAILED when a newer bitlane wrote the file, or the folder may not be written
 */
export const openStore = (path: string, options: StoreOptions = {}): Store => {
  const log = options.log ?? silentLog;
  let damaged: string | undefined;
  let persistent = true;
  const open = (): Sqlite => {
    // Opened as a file, this name would leave an empty one behind.
    if (path === ':memory:') {
      persistent = false;
      return openFresh(path);
    }
    try {
      return openFile(path);
    } catch (error) {
      if (!isCorrupt(error) && !(error instanceof DamagedError)) throw error;
      damaged = moveAside(path);
      log.error(`the store ${path} was damaged: it was moved to ${damaged} and an empty one was started`);
      return openFresh(path);
    }
  };
  const openOrRemember = (): Sqlite => {
    try {
      return open();
    } catch (error) {
      if (error instanceof BitlaneError || !isDiskError(error))
        throw storeError(`opening the store ${path}`, error);
      persistent = false;
      log.error(
        `${storeError(`opening the store ${path}`, error).message}; the store lives in memory until the next start`,
      );
      return openFresh(':memory:');
    }
  };
  const db = openOrRemember();
  return {
    path,
    outbox: new Outbox(db, {
      maxRows: options.outboxMaxRows ?? 100_000,
      maxBytes: options.outboxMaxBytes ?? 67_108_864,
      log: log.child('outbox'),
    }),
    keyValue: new KeyValue(db),
    boots: new Boots(db, log),
    adaptations: new AdaptationRows(db),
    examples: new ExampleRows(db),
    observations: new ObservationRows(db),
    damaged,
    persistent,
    close: () => {
      if (db.open) db.close();
    },
  };
};

/**
 * Rows of the store at `path` for another process than the one that owns it: nothing is written, repaired or moved.
 *
 * @throws BitlaneError STORE_FAILED when there is none, or it is another version's
 */
export const readStore = (
  path: string,
): Pick<Store, 'examples' | 'observations' | 'adaptations' | 'close'> => {
  try {
    const db = readDatabase(path);
    const version = Number(db.pragma('user_version', { simple: true }));
    if (version !== SCHEMA_VERSION) {
      db.close();
      throw new BitlaneError(
        'STORE_FAILED',
        `${path} was written by another version of bitlane (schema ${version}, this one knows ${SCHEMA_VERSION}): start the daemon once`,
      );
    }
    return {
      examples: new ExampleRows(db),
      observations: new ObservationRows(db),
      adaptations: new AdaptationRows(db),
      close: () => void db.close(),
    };
  } catch (error) {
    throw storeError(`reading the store ${path}`, error);
  }
};
