// What the twin remembers over a restart.
import { z } from 'zod';
import { canonical, type JsonObject } from '../config/index.js';
import { messageOf } from '../errors.js';
import type { KeyValue } from '../store/index.js';
import type { Log } from '../system/index.js';

const KEY = 'twin';

/** A remote change set. */
export interface ChangeSet {
  readonly version: number;
  readonly changes: JsonObject;
}

/** Whether two change sets have the same version and change the same. */
export const isSame = (a: ChangeSet, b: ChangeSet): boolean =>
  a.version === b.version && canonical(a.changes) === canonical(b.changes);

/** The local file, nothing laid over it. */
export const LOCAL_ONLY: ChangeSet = { version: 0, changes: {} };

export interface TwinState {
  /** The one to start with. */
  readonly wanted: ChangeSet;
  /** The last one that the daemon was seen to run well with. */
  readonly confirmed: ChangeSet;
  /** Starts with `wanted` that neither were confirmed nor ended cleanly. */
  readonly attempts: number;
  /** Taken back because starts with it did not last; it is not taken up again. */
  readonly failed: (ChangeSet & { readonly reason: string }) | null;
}

// The changes were checked when they came, and are checked against the local file again: here only their shape counts.
const changes = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);
const changeSet = z.strictObject({ version: z.int().min(0), changes });
const twinState = z.strictObject({
  wanted: changeSet,
  confirmed: changeSet,
  attempts: z.int().min(0),
  failed: changeSet.extend({ reason: z.string() }).nullable(),
});

/** What was stored; the local file alone where nothing was, or it cannot be read. */
export const readTwinState = (store: KeyValue, log: Log): TwinState => {
  const nothing: TwinState = { wanted: LOCAL_ONLY, confirmed: LOCAL_ONLY, attempts: 0, failed: null };
  try {
    return store.get(KEY, twinState) ?? nothing;
  } catch (error) {
    log.error(`the remote configuration cannot be read, the local file is taken alone: ${messageOf(error)}`);
    return nothing;
  }
};

/** A change set that is being taken up, and how often that was begun. */
export interface TakeUp {
  readonly set: ChangeSet;
  readonly begun: number;
}

// By itself, so that a release before it still reads the rest.
const TAKE_UP_KEY = 'twin-take-up';
const takeUp = z.strictObject({ set: changeSet, begun: z.int().min(0) }).nullable();

/** One that nobody lived to end; `null` where there is none. */
export const readTakeUp = (store: KeyValue): TakeUp | null => {
  try {
    return store.get(TAKE_UP_KEY, takeUp) ?? null;
  } catch {
    return null;
  }
};

/** @throws BitlaneError STORE_FAILED when it cannot be written */
export const writeTakeUp = (store: KeyValue, begun: TakeUp | null): void => store.set(TAKE_UP_KEY, begun);

/** @throws BitlaneError STORE_FAILED when it cannot be written */
export const writeTwinState = (store: KeyValue, state: TwinState): void => store.set(KEY, state);
