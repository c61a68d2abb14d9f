// What a detector process says of itself to the supervisor. Frames (wire.ts) and what was seen in them (result-wire.ts) have pipes of
// their own.
import { z } from 'zod';
import type { ErrorCode } from '../errors.js';

const milliseconds = z.number().nonnegative();

const seq = z.int().nonnegative();

export const detectorMessageSchema = z.discriminatedUnion('type', [
  /** The model is loaded and has run on a grey picture: frames may come. */
  z.strictObject({ type: z.literal('ready'), warmUpMs: milliseconds }),
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
