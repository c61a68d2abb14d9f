// What the adapter says to its owner while it works. What it came to lies in a file.
import { z } from 'zod';

export const adapterMessageSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('progress'),
    step: z.string().max(64),
    done: z.number().nonnegative(),
    all: z.number().nonnegative(),
  }),
  /** It measures times from here on, or does not any more. */
  z.strictObject({ type: z.literal('timing'), isTiming: z.boolean() }),
  /** The result is there. */
  z.strictObject({ type: z.literal('done') }),
  z.strictObject({ type: z.literal('failed'), code: z.string().max(64), message: z.string().max(2_048) }),
]);
export type AdapterMessage = z.infer<typeof adapterMessageSchema>;
