// What a detector process says to the supervisor. Frames go the other way, over the frame channel (wire.ts).
import { z } from 'zod';
import type { ErrorCode } from '../errors.js';

const milliseconds = z.number().nonnegative();
/** No model that serves a camera takes longer. */
export const MAX_WANT_DELAY_MS = 60_000;

/** x1, y1, x2, y2 in pixels of the frame, class index, score. */
const detectionRow = z.tuple([
  z.number(),
  z.number(),
  z.number(),
  z.number(),
  z.int().nonnegative(),
  z.number().min(0).max(1),
]);

/** Where the time of one frame went, in the detector process. */
const timings = z.strictObject({
  preprocessMs: milliseconds,
  inferenceMs: milliseconds,
  postprocessMs: milliseconds,
});
export type Timings = z.infer<typeof timings>;

const seq = z.int().nonnegative();

export const detectorMessageSchema = z.discriminatedUnion('type', [
  /** The model is loaded and has run on a grey picture. */
  z.strictObject({ type: z.literal('ready'), warmUpMs: milliseconds }),
  /** One more frame can be taken, `afterMs` from now: the supervisor answers with the newest it has then. */
  z.strictObject({ type: z.literal('want'), afterMs: milliseconds.max(MAX_WANT_DELAY_MS) }),
  z.strictObject({
    type: z.literal('result'),
    seq,
    detections: z.array(detectionRow).max(1000),
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
