// What a detector process is told on its command line.
import { z } from 'zod';
import { artifactIdSchema } from '../registry/index.js';

/** The second argument, as JSON; the first is the artifact's folder. */
export const processOptionsSchema = z.strictObject({
  /** The artifact that the folder must hold. */
  artifactId: artifactIdSchema,
  threads: z.int().min(1).max(64),
  spinning: z.boolean(),
  scoreThreshold: z.number().min(0).max(1),
  iouThreshold: z.number().min(0).max(1),
  maxDetections: z.int().min(1).max(1000),
  /** Class names to keep. */
  classes: z.array(z.string()).max(1000).optional(),
});
export type ProcessOptions = z.infer<typeof processOptionsSchema>;
