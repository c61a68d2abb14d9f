// The connection: pragmas, and failures of SQLite as plain errors.
import Database from 'better-sqlite3';
import { BitlaneError, messageOf } from '../errors.js';

/** Waiting for another process blocks the event loop, so not for long. */
const BUSY_TIMEOUT_MS = 200;

export type Sqlite = Database.Database;

/** SQLite's own code (`SQLITE_FULL`, ...) of anything thrown, if it has one. */
export const sqliteCode = (error: unknown): string | undefined =>
  error instanceof Database.SqliteError ? error.code : undefined;

/** True when the file is not, or no longer, a database. */
export const isCorrupt = (error: unknown): boolean => {
  const code = sqliteCode(error);
  return code !== undefined && (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB');
};

/** True when the disk is full, read-only or failing: the data in the file is as it was. */
export const isDiskFailure = (error: unknown): boolean => {
  const code = sqliteCode(error);
  return (
    code !== undefined &&
    (code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_READONLY'))
  );
};

/** True when another process holds the file. */
export const isBusy = (error: unknown): boolean => sqliteCode(error)?.startsWith('SQLITE_BUSY') === true;

/** Any failure of SQLite as a {@link BitlaneError}: one sentence that says what could not be done, and why. */
export const storeError = (what: string, error: unknown): BitlaneError => {
  if (error instanceof BitlaneError) return error;
  const code = sqliteCode(error);
  const why =
    code === 'SQLITE_FULL'
      ? 'the disk is full'
      : code?.startsWith('SQLITE_IOERR') === true
        ? 'the disk does not answer as it should'
        : code?.startsWith('SQLITE_READONLY') === true
          ? 'the file is read-only'
          : isCorrupt(error)
            ? 'the file is damaged'
            : isBusy(error)
              ? 'another process holds the file'
              : messageOf(error);
  return new BitlaneError('STORE_FAILED', `${what} failed: ${why}`, { cause: error });
};

/**
 * Works on the database.
 *
 * @param what is done, for the sentence where it fails
 * @throws BitlaneError `STORE_FAILED`
 */
export const inStore = <T>(what: string, work: () => T): T => {
  try {
    return work();
  } catch (error) {
    throw storeError(what, error);
  }
};

/**
 * Opens the file with the pragmas of this product.
 *
 * `synchronous = NORMAL`: in WAL mode a commit then writes without waiting for the medium, so it costs microseconds and the
 * event loop of the supervisor goes on; only a checkpoint (every thousand pages) waits. A SIGKILL of the process loses nothing,
 * because the kernel holds what was written. A power cut may lose the last commits and leaves the file consistent, says SQLite's
 * documentation; here only SIGKILL was tested.
 */
export const openDatabase = (path: string): Sqlite => {
  const db = new Database(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    db.pragma('trusted_schema = OFF');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
};

/** Opens the file that another process owns, for reading. */
export const readDatabase = (path: string): Sqlite => {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  db.pragma('trusted_schema = OFF');
  return db;
};
