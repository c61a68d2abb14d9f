// What a detector process says to the supervisor. Frames go the other way, over the frame channel (wire.ts).
import { z } from 'zod';
import type { ErrorCode } from '../errors.js';

const milliseconds = z.number().nonnegative();

/** Numbers of one detection: x1, y1, x2, y2 in pixels of the frame, class index, score. */
export const ROW = 6;
const MAX_ROWS = 1000;

/** Rows, one after the other. Checked by hand: this stands on the way of every frame, and a schema for each number takes longer. */
const isRows = (value: unknown): value is number[] => {
  if (!Array.isArray(value) || value.length % ROW !== 0 || value.length > MAX_ROWS * ROW) return false;
  const numbers: readonly unknown[] = value;
  return numbers.every((number, index) => {
    if (typeof number !== 'number' || !Number.isFinite(number)) return false;
    const column = index % ROW;
    if (column === 4) return Number.isInteger(number) && number >= 0;
    return column < 4 || (number >= 0 && number <= 1);
  });
};

/** Where the time of one frame went, in the detector process. */
const timings = z.strictObject({
  preprocessMs: milliseconds,
  inferenceMs: milliseconds,
  postprocessMs: milliseconds,
});
export type Timings = z.infer<typeof timings>;

const seq = z.int().nonnegative();

export const detectorMessageSchema = z.discriminatedUnion('type', [
  /** The model is loaded and has run on a grey picture: frames may come. */
  z.strictObject({ type: z.literal('ready'), warmUpMs: milliseconds }),
  z.strictObject({
    type: z.literal('result'),
    seq,
    detections: z.custom<number[]>(isRows),
    /** Outputs that were not finite numbers; they never become detections. */
    nonFinite: z.int().nonnegative(),
    timings,
  }),
  /** A frame that could not be decoded. The process goes on. */
  z.strictObject({ type: z.literal('dropped'), seq, reason: z.string().max(512) }),
  /** The process cannot serve and will end. */
  z.strictObject({ type: z.literal('failed'), message: z.string().max(2048) }),
]);
export type DetectorMessage = z.infer<typeof detectorMessageSchema>;

/** Why a generation ended, when nobody asked it to. */
export interface GenerationFailure {
  readonly code: ErrorCode;
  readonly message: string;
}
