// How an example lies in its row of the store.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { ExampleRow } from '../store/index.js';
import { type Example, REASONS } from './types.js';

const name = z.string().min(1).max(64);
const scored = { className: name, score: z.number() };
const box = { x1: z.number(), y1: z.number(), x2: z.number(), y2: z.number() };
const object = z.object({ ...box, ...scored, rival: z.object(scored).optional() });
const size = { width: z.int(), height: z.int() };

const bodySchema = z.object({
  reason: z.enum(REASONS),
  model: z.string(),
  object,
  others: z.array(object),
  picture: z.object({ ...size, frame: z.object(size), left: z.int(), top: z.int() }),
  track: z
    .object({
      key: z.string(),
      frames: z.int(),
      votes: z.array(z.object({ className: name, frames: z.int() })),
      history: z.array(z.object({ wallMs: z.number(), ...scored })),
    })
    .nullable(),
  presumed: z
    .object({
      className: name.nullable(),
      source: z.enum(['track', 'teacher']),
      confidence: z.number(),
    })
    .nullable(),
});

const labelSchema = z.object({
  className: name.nullable(),
  box: z.object(box).optional(),
  wallMs: z.number(),
});

export type NewExample = Omit<Example, 'id' | 'label'> & { readonly jpeg: Uint8Array };

/** `20260504-081457-4f1c2a`: when it was taken (UTC), and six digits that tell it from others of that second. */
export const ID_PATTERN = /^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$/;

export const newId = (takenMs: number): string => {
  const [day = '', time = ''] = new Date(takenMs).toISOString().split('T');
  return `${day.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}-${randomBytes(3).toString('hex')}`;
};

/** A thousandth of a pixel and of a score is enough: rows are written to flash. */
const short = (_key: string, value: unknown): unknown =>
  typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;

export const toRow = (id: string, item: NewExample): Omit<ExampleRow, 'label'> => {
  // Frames are stamped more finely than that.
  const takenMs = Math.round(item.takenMs);
  const { pair, jpeg, picture, reason, model, object, others, track, presumed } = item;
  const { bytes: _bytes, ...place } = picture;
  const body = { reason, model, object, others, picture: place, track, presumed };
  return { id, takenMs, pair, bytes: jpeg.length, body: JSON.stringify(body, short) };
};

const parse = <T>(schema: z.ZodType<T>, text: string): T | undefined => {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

/** `undefined` for a row that this program did not write. */
export const fromRow = ({ id, takenMs, pair, bytes, body, label }: ExampleRow): Example | undefined => {
  const read = parse(bodySchema, body);
  if (read === undefined) return undefined;
  const said = label === null ? null : (parse(labelSchema, label) ?? null);
  return {
    id,
    takenMs,
    pair,
    ...read,
    object: withoutUndefined(read.object),
    others: read.others.map(withoutUndefined),
    picture: { ...read.picture, bytes },
    label: said === null ? null : withoutBox(said),
  };
};

type Parsed = z.infer<typeof object>;

const withoutUndefined = ({ rival, ...rest }: Parsed): Example['object'] => ({
  ...rest,
  ...(rival === undefined ? {} : { rival }),
});

const withoutBox = ({ box, ...rest }: z.infer<typeof labelSchema>): NonNullable<Example['label']> => ({
  ...rest,
  ...(box === undefined ? {} : { box }),
});
