// Numbers on disk with what they are: one JSON line, then float32 values. Written as one step; a torn or strange file is no file.
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../system/index.js';

const LINE_FEED = 10;

const envelope = z.strictObject({
  format: z.literal('bitlane-numbers'),
  floats: z.int(),
  header: z.unknown(),
});

/** Writes `floats`, one array behind the other, under `header`. Makes the folder. */
export const writeRecord = (path: string, header: unknown, floats: readonly Float32Array[]): void => {
  mkdirSync(dirname(path), { recursive: true });
  const count = floats.reduce((sum, { length }) => sum + length, 0);
  const line = Buffer.from(`${JSON.stringify({ format: 'bitlane-numbers', floats: count, header })}\n`);
  const bytes = floats.map((data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  writeFileAtomic(path, Buffer.concat([line, ...bytes]));
};

/** What {@link writeRecord} wrote; undefined where there is no such file, or it is not whole, or it does not follow `schema`. */
export const readRecord = <T extends z.ZodType>(
  path: string,
  schema: T,
): { readonly header: z.infer<T>; readonly floats: Float32Array } | undefined => {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  const end = bytes.indexOf(LINE_FEED);
  if (end < 0) return undefined;
  try {
    const outer = envelope.parse(JSON.parse(bytes.toString('utf8', 0, end)));
    const rest = new Uint8Array(bytes.subarray(end + 1));
    if (rest.byteLength !== 4 * outer.floats) return undefined;
    return { header: schema.parse(outer.header), floats: new Float32Array(rest.buffer) };
  } catch {
    return undefined;
  }
};
