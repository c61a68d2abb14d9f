// A run on disk: everything that a killed run needs to go on as if nothing had happened.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../../errors.js';
import { writeFileAtomic } from '../../system/index.js';
import type { TrainingState } from '../step/state.js';
import { type History, historySchema } from './history.js';

/** What is kept of a run. */
export interface Checkpoint {
  readonly state: TrainingState;
  readonly history: History;
  /** The weights that validated best so far, by name. */
  readonly best: ReadonlyMap<string, Float32Array> | undefined;
}

const MAGIC = 'bitlane training 1\n';
const HASH_BYTES = 32;

const headerSchema = z.strictObject({
  run: z.string(),
  step: z.int().nonnegative(),
  history: historySchema,
  /** Names and lengths of the arrays behind the header, in their order. */
  arrays: z.array(z.tuple([z.string(), z.int().nonnegative()])),
});

/** The arrays of a state, by a name of their own. */
const arraysOf = ({ slots, statistics }: TrainingState): [string, Float32Array][] => [
  ...slots.flatMap(({ name, value, first, second, average }): [string, Float32Array][] => [
    [`value ${name}`, value],
    [`first ${name}`, first],
    [`second ${name}`, second],
    [`average ${name}`, average],
  ]),
  ...statistics.flatMap(({ name, value, average }): [string, Float32Array][] => [
    [`statistic ${name}`, value],
    [`statistic average ${name}`, average],
  ]),
];

const bytesOf = (values: Float32Array): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/**
 * Writes a checkpoint: a reader sees the one before or this one, whenever the power goes.
 *
 * @param run says which run it belongs to
 */
export const writeCheckpoint = (file: string, run: string, { state, history, best }: Checkpoint): void => {
  const arrays = [
    ...arraysOf(state),
    ...[...(best ?? [])].map(([name, values]): [string, Float32Array] => [`best ${name}`, values]),
  ];
  const header = Buffer.from(
    JSON.stringify({
      run,
      step: state.step,
      history,
      arrays: arrays.map(([name, values]) => [name, values.length]),
    }),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length);
  const body = Buffer.concat([size, header, ...arrays.map(([, values]) => bytesOf(values))]);
  const hash = createHash('sha256').update(body).digest();
  writeFileAtomic(file, Buffer.concat([Buffer.from(MAGIC), hash, body]));
};

const damaged = (file: string, why: string): BitlaneError =>
  new BitlaneError(
    'BAD_USAGE',
    `${file} is no checkpoint that can be read (${why}): remove it to begin anew`,
  );

/**
 * Reads a checkpoint into a state that was just started.
 *
 * @param start the run's state before its first step: filled in place
 * @returns `undefined` where there is none
 * @throws BitlaneError `BAD_USAGE` where the file is damaged or of another run
 */
export const readCheckpoint = (file: string, run: string, start: TrainingState): Checkpoint | undefined => {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(file, messageOf(error));
  }
  const at = MAGIC.length + HASH_BYTES;
  const body = bytes.subarray(at);
  const hash = createHash('sha256').update(body).digest();
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC || !hash.equals(bytes.subarray(MAGIC.length, at))) {
    throw damaged(file, 'it is truncated or altered');
  }
  const end = 4 + body.readUInt32LE(0);
  const header = headerSchema.parse(JSON.parse(body.toString('utf8', 4, end)));
  if (header.run !== run) {
    throw new BitlaneError(
      'BAD_USAGE',
      `${file} is the checkpoint of another run (other data, model or options): remove it, or name another folder`,
    );
  }
  const arrays = new Map<string, Float32Array>();
  let offset = end;
  for (const [name, length] of header.arrays) {
    // Copied: what lies in the file need not be aligned.
    arrays.set(name, new Float32Array(new Uint8Array(body.subarray(offset, offset + 4 * length)).buffer));
    offset += 4 * length;
  }
  for (const [name, values] of arraysOf(start)) {
    const held = arrays.get(name);
    if (held?.length !== values.length) throw damaged(file, `it holds no ${name} of ${values.length} values`);
    values.set(held);
  }
  start.step = header.step;
  const best = [...arrays].flatMap(([name, values]): [string, Float32Array][] =>
    name.startsWith('best ') ? [[name.slice('best '.length), values]] : [],
  );
  return { state: start, history: header.history, best: best.length === 0 ? undefined : new Map(best) };
};
