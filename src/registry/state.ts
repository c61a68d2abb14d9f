// `registry.json`: which artifact is active, previous, factory. Written twice, so that one unreadable copy loses nothing.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../errors.js';
import { replaceFile } from '../system/index.js';
import { artifactIdSchema } from './manifest.js';

const STATE_FILES = ['registry.json', 'registry.backup.json'] as const;

const pointer = artifactIdSchema.nullable().default(null);

const stateSchema = z.object({
  schema: z.literal(1),
  active: pointer,
  previous: pointer,
  factory: pointer,
  /** Failed starts of the active artifact since its last good one. */
  failedStarts: z.int().min(0).default(0),
  /** Starts of the active artifact that were begun and whose outcome nobody lived to record. */
  unfinishedStarts: z.int().min(0).default(0),
});
export type RegistryState = z.infer<typeof stateSchema>;

export const EMPTY_STATE: RegistryState = {
  schema: 1,
  active: null,
  previous: null,
  factory: null,
  failedStarts: 0,
  unfinishedStarts: 0,
};

export interface ReadState {
  /** `undefined` when no copy can be read. */
  readonly state: RegistryState | undefined;
  /** What was wrong with copies that are there but cannot be used, for people. */
  readonly problems: readonly string[];
  /** Whether every copy is there and usable. */
  readonly complete: boolean;
}

/** Reads the first copy that is usable. */
export const readState = (folder: string): ReadState => {
  const problems: string[] = [];
  let state: RegistryState | undefined;
  let complete = true;
  for (const name of STATE_FILES) {
    let text: string;
    try {
      text = readFileSync(join(folder, name), 'utf8');
    } catch (error) {
      complete = false;
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        problems.push(`${name} cannot be read: ${messageOf(error)}`);
      }
      continue;
    }
    try {
      const parsed = stateSchema.parse(JSON.parse(text));
      state ??= parsed;
    } catch {
      complete = false;
      problems.push(`${name} is truncated or altered`);
    }
  }
  return { state, problems, complete };
};

/**
 * Writes both copies, the one that is read first first: from its rename on the new state holds, and the other copy is at most one
 * step behind. Rejects with what the file system says; the old state then stands.
 */
export const writeState = async (folder: string, state: RegistryState): Promise<void> => {
  const text = `${JSON.stringify(state, null, 2)}\n`;
  const [first, second] = STATE_FILES;
  await replaceFile(join(folder, first), text);
  try {
    await replaceFile(join(folder, second), text);
  } catch {
    // The state is written; a copy that lags behind is made good at the next write or start.
  }
};
