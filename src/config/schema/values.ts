// Values that several sections of the configuration are made of, and rules about pairs of them.
import { z } from 'zod';

/** Whole milliseconds. */
export const ms = (low: number, high: number) => z.int().min(low).max(high);

/** A share of the frame's width or height. */
const share = z.number().min(0).max(1);

export const point = z
  .tuple([share, share])
  .describe('[x, y] as shares of width and height, 0..1 from the top left');

export const slug = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'must be 1 to 64 letters, digits, "-" or "_", starting with a letter or digit',
  );

/** A name for people and for messages; blanks alone are none. */
export const label = z
  .string()
  .min(1)
  .max(64)
  .refine((value) => value.trim() !== '', 'must not be blank');

export const filePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((value) => !value.includes('\0'), 'must not contain a NUL character');

/** For a list of named things. */
export const uniqueNames = <T extends { name: string }>(items: readonly T[]): boolean =>
  new Set(items.map((item) => item.name)).size === items.length;

/** Refines a section: what `low` names must not be above what `high` names. */
export const ordered = <Low extends string, High extends string>(low: Low, high: High) =>
  [
    (section: Readonly<Record<Low | High, number>>): boolean => section[low] <= section[high],
    { path: [low], message: `must not be above ${high}` },
  ] as [(section: Readonly<Record<Low | High, number>>) => boolean, { path: string[]; message: string }];
