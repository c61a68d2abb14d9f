// What the loop keeps in a checkpoint beside the state: its history, and the weights that validated best.
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError } from '../../errors.js';
import { readCheckpoint, writeCheckpoint } from '../step/checkpoint.js';
import type { TrainingState } from '../step/state.js';
import { type History, historySchema } from './history.js';

export interface Checkpoint {
  readonly state: TrainingState;
  readonly history: History;
  /** The weights that validated best so far, by name. */
  readonly best: ReadonlyMap<string, Float32Array> | undefined;
}

const notesSchema = z.strictObject({
  history: historySchema,
  /** 32-bit floats, base64. */
  best: z.array(z.tuple([z.string(), z.base64()])).nullable(),
});

const packed = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

const unpacked = (text: string): Float32Array =>
  new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);

/**
 * Writes a checkpoint as one step.
 *
 * @param run says which run it belongs to
 */
export const saveRun = (file: string, run: string, { state, history, best }: Checkpoint): void => {
  const notes: z.infer<typeof notesSchema> = {
    history,
    best: best === undefined ? null : [...best].map(([name, values]) => [name, packed(values)]),
  };
  writeCheckpoint(file, state, run, notes);
};

/**
 * Reads a checkpoint into the state of a run that was just started.
 *
 * @returns `undefined` where there is none
 * @throws BitlaneError `BAD_MODEL` where the file is damaged or of another run
 */
export const loadRun = (file: string, run: string, start: TrainingState): Checkpoint | undefined => {
  if (!existsSync(file)) return undefined;
  const notes = notesSchema.safeParse(readCheckpoint(file, start, run));
  if (!notes.success) throw new BitlaneError('BAD_MODEL', `${file} does not hold a run's history: remove it`);
  const { history, best } = notes.data;
  return {
    state: start,
    history,
    best: best === null ? undefined : new Map(best.map(([name, text]) => [name, unpacked(text)])),
  };
};
