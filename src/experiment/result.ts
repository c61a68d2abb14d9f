// What an experiment comes to, as one document: every row with its figures, and what is compared.
import { z } from 'zod';
import { allocationSchema } from '../quantization/index.js';
import { judgedSchema } from './judge.js';
import { FAMILIES } from './rows/row.js';

/** One run, one thread, by that of FP32 in turns. */
export const latencyRatioSchema = z.strictObject({ value: z.number(), low: z.number(), high: z.number() });

const measuredRow = z.strictObject({
  status: z.literal('measured'),
  ...judgedSchema.shape,
  modelBytes: z.int().positive(),
  averageBits: z.number(),
  latencyRatio: latencyRatioSchema,
  /** Peak of a detector process that serves it. */
  memoryMb: z.number().nullable(),
  /** What the search for bits took, in runs of the FP32 model on one picture; null where bits were given. */
  searchPasses: z.number().nullable(),
  /** Pictures that training saw, forwards and backwards. */
  trainedPictures: z.int().nonnegative(),
  seconds: z.number().nonnegative(),
  allocation: allocationSchema.nullable(),
});

/** A row that this model does not allow, with the reason. */
const missingRow = z.strictObject({ status: z.literal('impossible'), reason: z.string() });

export const rowResultSchema = z.discriminatedUnion('status', [measuredRow, missingRow]);
export type RowResult = z.output<typeof rowResultSchema>;
export type MeasuredRow = z.output<typeof measuredRow>;

export const resultSchema = z.strictObject({
  format: z.literal('bitlane-experiment'),
  version: z.literal(1),
  model: z.strictObject({ id: z.string(), name: z.string(), modelBytes: z.int() }),
  data: z.strictObject({
    tuning: z.strictObject({ name: z.string(), pictures: z.int() }),
    /** With `places`, intervals are over resampled places. */
    validation: z.strictObject({ name: z.string(), pictures: z.int(), places: z.int().optional() }),
  }),
  pairs: z.array(z.tuple([z.string(), z.string()])),
  execution: z.enum(['fp32', 'int8']),
  scale: z.record(z.string(), z.unknown()),
  device: z.string(),
  budget: z.strictObject({ modelBytes: z.number() }),
  rows: z.array(
    z.strictObject({
      id: z.string(),
      family: z.enum(FAMILIES),
      label: z.string(),
      /** By seed. */
      runs: z.array(z.strictObject({ seed: z.int(), result: rowResultSchema })),
    }),
  ),
});
export type ExperimentResult = z.output<typeof resultSchema>;
