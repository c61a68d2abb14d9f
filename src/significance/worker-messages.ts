// What passes between the process that measures significance and those that evaluate components for it.
import { z } from 'zod';
import { detectorSpecSchema } from '../registry/index.js';

/** Bit-widths and kinds as they are written: `w4`, `a2`. */
export const variantNameSchema = z.string().regex(/^[wa][248]$/);

export const workerSetupSchema = z.strictObject({
  type: z.literal('setup'),
  model: z.string().min(1),
  detector: detectorSpecSchema,
  space: z.strictObject({ classes: z.array(z.string()), fromModel: z.array(z.int()) }),
  /** Whether heads are computed around rows only. */
  windows: z.boolean(),
  /** Where rounded layers are, and results go. */
  folder: z.string().min(1),
  bits: z.array(z.union([z.literal(2), z.literal(4), z.literal(8)])),
});
export type WorkerSetup = z.infer<typeof workerSetupSchema>;

export const workerJobSchema = z.strictObject({
  type: z.literal('job'),
  chunk: z.string().regex(/^[0-9a-f]{64}$/),
  pictures: z.array(z.strictObject({ path: z.string(), rows: z.array(z.int().nonnegative()) })).min(1),
  /** Variants of each component, by its index in the model. */
  todo: z.array(z.strictObject({ index: z.int().nonnegative(), variants: z.array(variantNameSchema) })),
});
export type WorkerJob = z.infer<typeof workerJobSchema>;

export const workerRequestSchema = z.discriminatedUnion('type', [workerSetupSchema, workerJobSchema]);

export const workerReplySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready') }),
  /** One component more. */
  z.strictObject({ type: z.literal('component') }),
  z.strictObject({ type: z.literal('done') }),
  z.strictObject({ type: z.literal('failed'), code: z.string(), message: z.string() }),
]);
export type WorkerReply = z.infer<typeof workerReplySchema>;
