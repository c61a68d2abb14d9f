// What every message carries, and the small types that the payloads share.
import { z } from 'zod';

/** Version of the payloads: raised when a consumer would have to change. */
export const MESSAGE_SCHEMA = 1;

export const timestamp = z.iso.datetime().describe('UTC, ISO 8601');
export const bootId = z.uuid().describe('names one start of the daemon');
export const modelId = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('artifact: SHA-256 of its model, lower-case hexadecimal');
export const count = z.int().min(0);
export const nonNegative = z.number().min(0);
export const probability = z.number().min(0).max(1);
export const className = z.string().min(1).max(64);
/** [x1, y1, x2, y2] as shares of the frame. */
export const box = z
  .tuple([z.number(), z.number(), z.number(), z.number()])
  .describe('[x1, y1, x2, y2] as shares of width and height, 0..1 from the top left');

/** Carried by every retained state and by `telemetry`. */
export const stamp = {
  schema: z.literal(MESSAGE_SCHEMA).describe('version of this payload'),
  ts: timestamp.describe('when the message was made: UTC, ISO 8601'),
  boot_id: bootId,
};

/** Carried by every message that goes through the outbox. */
export const envelope = {
  ...stamp,
  seq: z
    .int()
    .min(1)
    .describe(
      'rises with every outbox message of this device, over restarts too; (boot_id, seq) names a message, so a consumer that keeps the ' +
        'pairs it has seen removes duplicates',
    ),
  replayed: z
    .boolean()
    .describe(
      'true when the message was written before the present connection to the broker was made: it is late, and may have arrived before',
    ),
};
