// A run's whole state in one file: what a killed run takes up again from, bit for bit.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../../errors.js';
import { writeFileAtomic } from '../../system/index.js';
import type { TrainingState } from './state.js';

/**
 * The file: `BLTRAIN1`, the header's length (u32), the header (JSON), every array in the header's order (32-bit floats, little-endian),
 * the SHA-256 of all that.
 */
const MAGIC = Buffer.from('BLTRAIN1', 'latin1');
const HASH = 32;

const countSchema = z.int().nonnegative();

const headerSchema = z.strictObject({
  /** What run it is of; another run does not take it up. */
  run: z.string().max(256),
  step: countSchema,
  slots: z
    .array(
      z.strictObject({
        name: z.string(),
        size: countSchema,
        second: z.boolean(),
        average: z.boolean(),
      }),
    )
    .max(100_000),
  statistics: z.array(z.strictObject({ name: z.string(), size: countSchema })).max(100_000),
  /** What the run's owner keeps beside: random numbers' state, best result so far. */
  notes: z.json(),
});

type Header = z.infer<typeof headerSchema>;
export type Notes = Header['notes'];

const arraysOf = (state: TrainingState): Float32Array[] => [
  ...state.slots.flatMap(({ value, first, second, average }) => [value, first, second, average]),
  ...state.statistics.map(({ value }) => value),
];

const headerOf = (state: TrainingState, run: string, notes: Notes): Header => ({
  run,
  step: state.step,
  slots: state.slots.map(({ name, value, second, average }) => ({
    name,
    size: value.length,
    second: second.length > 0,
    average: average.length > 0,
  })),
  statistics: state.statistics.map(({ name, value }) => ({ name, size: value.length })),
  notes,
});

const bytesOf = (array: Float32Array): Buffer =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength);

const checkOrder = (): void => {
  if (endianness() !== 'LE') throw new BitlaneError('UNSUPPORTED', 'checkpoints need a little-endian CPU');
};

/**
 * Writes the state to `path` as one step: a kill leaves the checkpoint before it or this one.
 *
 * @param run what run it is of ({@link readCheckpoint} refuses it for another)
 */
export const writeCheckpoint = (path: string, state: TrainingState, run: string, notes: Notes = null): void => {
  checkOrder();
  const header = Buffer.from(JSON.stringify(headerOf(state, run, notes)), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const parts = [MAGIC, length, header, ...arraysOf(state).map(bytesOf)];
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  writeFileAtomic(path, Buffer.concat([...parts, hash.digest()]));
};

const bad = (path: string, why: string, cause?: unknown): BitlaneError =>
  new BitlaneError('BAD_MODEL', `${path} is no checkpoint that can be taken up: ${why}`, { cause });

const readBytes = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    throw bad(path, messageOf(error), error);
  }
};

/** The header and the arrays' bytes of an unaltered file. */
const parse = (path: string): { readonly header: Header; readonly body: Buffer } => {
  const bytes = readBytes(path);
  const start = MAGIC.length + 4;
  if (bytes.length < start + HASH || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw bad(path, 'it does not begin like one');
  }
  const end = bytes.length - HASH;
  const hash = createHash('sha256').update(bytes.subarray(0, end)).digest();
  if (!hash.equals(bytes.subarray(end))) throw bad(path, 'it is truncated or altered');
  const after = start + bytes.readUInt32LE(MAGIC.length);
  if (after > end) throw bad(path, 'its header is longer than the file');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8', start, after));
  } catch (error) {
    throw bad(path, 'its header is not JSON', error);
  }
  const result = headerSchema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw bad(path, `its header breaks the rule ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  return { header: result.data, body: bytes.subarray(after, end) };
};

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Reads a checkpoint into `state`, which is the start of the same run (`startState`).
 *
 * @returns what the run's owner had kept beside
 * @throws BitlaneError `BAD_MODEL` naming the file: it is missing, truncated, altered, or of another run; `state` is then as it was
 */
export const readCheckpoint = (path: string, state: TrainingState, run: string): Notes => {
  checkOrder();
  const { header, body } = parse(path);
  const wanted = headerOf(state, run, null);
  if (header.run !== run) throw bad(path, 'it is of a run with other settings');
  if (!same(header.slots, wanted.slots) || !same(header.statistics, wanted.statistics)) {
    throw bad(path, 'its parameters are not those of this model');
  }
  const arrays = arraysOf(state);
  if (arrays.reduce((sum, { byteLength }) => sum + byteLength, 0) !== body.length) {
    throw bad(path, 'it does not hold as many numbers as it says');
  }
  let at = 0;
  for (const array of arrays) {
    bytesOf(array).set(body.subarray(at, at + array.byteLength));
    at += array.byteLength;
  }
  state.step = header.step;
  return header.notes;
};
