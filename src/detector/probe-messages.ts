// What goes to a probe process and what comes back: everything that is known of a model, and whether it can be served.
import { z } from 'zod';
import { detectorSpecSchema, headSpecSchema } from '../registry/index.js';

const three = z.tuple([z.number(), z.number(), z.number()]);
const name = z.string().min(1).max(256);

/** What a user said of a bare model; the rest is inferred. */
export const modelHintsSchema = z.strictObject({
  head: z.enum(headSpecSchema.options.map((option) => option.shape.type.value)),
  /** Class names in the model's order. */
  names: z.array(z.string().min(1).max(64)).min(1).max(1000),
  width: z.int().optional(),
  height: z.int().optional(),
  colourOrder: z.enum(['rgb', 'bgr']).optional(),
  mean: three.optional(),
  scale: three.optional(),
  letterbox: z.enum(['top-left', 'centre', 'stretch']).optional(),
  pad: z.int().min(0).max(255).optional(),
  strides: z.array(z.int().min(1).max(256)).min(1).max(8).optional(),
  /** Outputs to read, in the head's order; found by their shapes when left out. */
  outputs: z.array(name).max(16).optional(),
  /** yolox: whether the graph gives offsets or finished boxes. */
  boxes: z.enum(['raw', 'decoded']).optional(),
  /** gfl: where a point lies in its cell. */
  cellOffset: z.union([z.literal(0), z.literal(0.5)]).optional(),
});
export type ModelHints = z.infer<typeof modelHintsSchema>;

export const probeRequestSchema = z.strictObject({
  model: z.string(),
  /** Hints for a bare model, or the description that one must fit. */
  about: z.union([
    z.strictObject({ hints: modelHintsSchema }),
    z.strictObject({ detector: detectorSpecSchema }),
  ]),
});
export type ProbeRequest = z.infer<typeof probeRequestSchema>;

export const probeReplySchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('served'),
    /** SHA-256 of the bytes that were tried. */
    id: z.string(),
    detector: detectorSpecSchema,
    /** Time of a run on a grey picture, after one to warm up. */
    inferenceMs: z.number().nonnegative(),
  }),
  z.strictObject({
    type: z.literal('refused'),
    code: z.enum(['BAD_MODEL', 'UNSUPPORTED', 'INTERNAL']),
    message: z.string().max(2048),
  }),
]);
export type ProbeReply = z.infer<typeof probeReplySchema>;
