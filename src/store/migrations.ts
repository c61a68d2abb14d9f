// The schema, step by step. A step that was released is never changed; the next one is added below it.
import { renameSync, rmSync } from 'node:fs';
import { BitlaneError } from '../errors.js';
import type { Sqlite } from './database.js';

/** Step n brings a database of version n to version n + 1. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE key_value (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE boots (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    stopped_ms INTEGER
  ) STRICT;

  -- AUTOINCREMENT: a number is never given twice, not even after the newest row was deleted.
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    rank INTEGER NOT NULL,
    topic TEXT NOT NULL,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    boot_id TEXT NOT NULL
  ) STRICT;
  CREATE INDEX outbox_by_rank ON outbox (rank, seq);
  `,
  `
  -- The picture of an example is a file of its own, named by the id.
  CREATE TABLE examples (
    id TEXT PRIMARY KEY,
    taken_ms INTEGER NOT NULL,
    pair TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body TEXT NOT NULL,
    label TEXT
  ) STRICT;
  CREATE INDEX examples_by_pair ON examples (pair, taken_ms);
  CREATE INDEX examples_by_time ON examples (taken_ms);

  -- How many candidates each pair had, for reservoir sampling.
  CREATE TABLE example_pairs (
    pair TEXT PRIMARY KEY,
    seen REAL NOT NULL,
    seen_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- '' stands for the background in predicted and presumed.
  CREATE TABLE observations (
    number INTEGER PRIMARY KEY,
    seen_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    predicted TEXT NOT NULL,
    presumed TEXT NOT NULL,
    weight REAL NOT NULL,
    model TEXT NOT NULL,
    about TEXT NOT NULL
  ) STRICT;
  CREATE INDEX observations_by_time ON observations (seen_ms);
  CREATE INDEX observations_by_about ON observations (about);
  `,
  `
  CREATE TABLE adaptations (
    id TEXT PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX adaptations_by_time ON adaptations (started_ms);
  `,
];

/** The version that this program writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Where the file of an older schema is kept: the program of that time cannot read the new one. */
const copyOf = (path: string, version: number): string => `${path}.schema-${version}`;

/** A copy of the database as it is, beside it, instead of any before. Without room for one the upgrade goes on: it is a way back, no more. */
const keepCopy = (db: Sqlite, path: string, version: number): void => {
  if (path === ':memory:') return;
  const incoming = `${path}.schema-new`;
  try {
    for (let older = 1; older <= version; older += 1) rmSync(copyOf(path, older), { force: true });
    rmSync(incoming, { force: true });
    db.prepare('VACUUM INTO ?').run(incoming);
    renameSync(incoming, copyOf(path, version));
  } catch {
    rmSync(incoming, { force: true });
  }
};

/**
 * Brings the database to `SCHEMA_VERSION`, all steps in one transaction. What an older program wrote is kept beside it as
 * `<path>.schema-<version>`: the way back to that program.
 *
 * @throws BitlaneError STORE_FAILED when a newer program wrote it
 */
export const migrate = (db: Sqlite, path: string, migrations: readonly string[] = MIGRATIONS): void => {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > migrations.length) {
    throw new BitlaneError(
      'STORE_FAILED',
      `${path} was written by a newer bitlane (schema ${version}, this one knows ${migrations.length}): install that version again, ` +
        'or move the file away to start with an empty store',
    );
  }
  if (version === migrations.length) return;
  if (version > 0) keepCopy(db, path, version);
  // Another process may open the same file for the first time: whoever gets the write lock second finds the work done.
  db.transaction(() => {
    for (const step of migrations.slice(Number(db.pragma('user_version', { simple: true })))) db.exec(step);
    db.pragma(`user_version = ${migrations.length}`);
  }).immediate();
};
