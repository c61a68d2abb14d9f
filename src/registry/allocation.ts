// The form of an allocation: what the file of one and an artifact's manifest both hold.
import { z } from 'zod';

const bitWidthSchema = z.union(
  [z.literal(2), z.literal(4), z.literal(8), z.literal(32)],
  'must be 2, 4, 8 or 32',
);

export const componentAllocationSchema = z.strictObject({
  bits: z
    .union(
      [bitWidthSchema, z.array(bitWidthSchema).min(1).max(65_536)],
      'must be 2, 4, 8 or 32, or a list of those',
    )
    .describe('bits of a stored weight: one number, or one for each output channel'),
  execution: z.enum(['int8', 'fp32']).describe('what the kernel computes in'),
});

/** A bit-width and an execution precision for every component, by its name. */
export const allocationSchema = z.strictObject({
  format: z.literal('bitlane-allocation'),
  version: z.literal(1),
  components: z.record(z.string().min(1).max(1024), componentAllocationSchema),
  foldSlices: z
    .boolean()
    .optional()
    .describe('whether slices in front of a layer are folded into it: faster where that layer runs in fp32'),
});
