// What a run reports: its losses, and what validation said.
import { z } from 'zod';

const stepSchema = z.strictObject({
  /** Steps done. */
  step: z.int().positive(),
  loss: z.number(),
  parts: z.record(z.string(), z.number()),
  learningRate: z.number(),
  gradientNorm: z.number(),
});

const validationSchema = z.strictObject({
  step: z.int().nonnegative(),
  /** mAP50 on the validation split, 0..1. */
  map50: z.number(),
  map5095: z.number(),
});

export const historySchema = z.strictObject({
  steps: z.array(stepSchema),
  validations: z.array(validationSchema),
});

/** A run step by step. */
export type History = z.infer<typeof historySchema>;
export type ValidationPoint = z.infer<typeof validationSchema>;
