// What passes between the process that times models and the one that asks it.
import { z } from 'zod';

export const timingRequestSchema = z.strictObject({
  /** Model files; all are fed the same picture. */
  models: z.array(z.string().min(1)).min(1).max(8),
  /** As floats; a model that takes bytes says itself in which shape. */
  input: z.strictObject({ name: z.string(), dims: z.array(z.int().positive()).max(8) }),
  /** Runs of each model. */
  rounds: z.int().positive(),
  /** No further round starts after so long. */
  limitMs: z.number().positive(),
  threads: z.int().positive(),
});
export type TimingRequest = z.infer<typeof timingRequestSchema>;

export const timingReplySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('timed'), times: z.array(z.array(z.number().nonnegative()).min(1)) }),
  z.strictObject({ type: z.literal('failed'), message: z.string() }),
]);
export type TimingReply = z.infer<typeof timingReplySchema>;
