// What the steps of an adaptation come to, as JSON: schemas that give the very same values back.
import { z } from 'zod';
import type { FrontPoint } from '../allocation/index.js';
import { ConfusionMatrix } from '../evaluation/index.js';
import { allocationSchema } from '../quantization/index.js';
import { artifactIdSchema } from '../registry/index.js';

/** JSON has no NaN: it is written as null. */
export const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

export const interval = z.strictObject({ value: figure, low: figure, high: figure });

const optional = z.number().optional();

/** What an artifact takes, as far as it is known. */
export const measurementsSchema = z.strictObject({
  modelBytes: optional,
  latencyMs: optional,
  memoryMb: optional,
  averageBits: optional,
});

export const allocatedSchema = z.strictObject({
  allocation: allocationSchema,
  damage: z.number(),
  bound: z.number(),
  gap: z.number(),
  usage: measurementsSchema,
  /** Of the real artifact. */
  measured: measurementsSchema,
  rounds: z.int().positive(),
});
export type Allocated = z.output<typeof allocatedSchema>;

const point = { modelBytes: z.number(), latencyMs: optional };

export const frontSchema = z.array(
  z
    .strictObject({
      ...point,
      averageBits: z.number(),
      damage: z.number(),
      gap: z.number(),
      limits: z.strictObject(point),
    })
    .transform(({ limits, ...rest }): FrontPoint => {
      const known = { modelBytes: limits.modelBytes, latencyMs: limits.latencyMs };
      return { ...rest, latencyMs: rest.latencyMs, limits: known };
    }),
);

const width = z.union([z.literal(2), z.literal(4), z.literal(8), z.literal(32)]);
export const interactionsSchema = z.array(
  z.strictObject({
    components: z.tuple([z.string(), z.string()]),
    bits: z.tuple([width, width]),
    damage: z.number(),
  }),
);

/** An artifact that was made, in a folder of its own. */
export const madeSchema = z.strictObject({
  id: artifactIdSchema,
  bytes: z.int().positive(),
  bytesRatio: z.number(),
  averageBits: z.number(),
  latency: z.strictObject({
    ms: z.number(),
    parentMs: z.number(),
    ratio: interval,
    rounds: z.int(),
    threads: z.int(),
  }),
});
export type Made = z.output<typeof madeSchema>;

const confusion = z
  .object({ classes: z.array(z.string()), counts: z.array(z.array(z.number())) })
  .transform(({ classes, counts }) => new ConfusionMatrix(classes, counts));

const judged = z.strictObject({
  map50: figure,
  map5095: figure,
  criticalAccuracy: figure,
  criticalObjects: z.int().nonnegative(),
  confusion,
});

export const comparisonSchema = z.strictObject({
  data: z.string(),
  split: z.string(),
  pictures: z.int().nonnegative(),
  before: judged,
  after: judged,
  map50Change: interval,
  map5095Change: interval,
  criticalChange: interval,
});

const shares = { before: figure, after: figure, change: interval };

export const agreementSchema = z.strictObject({
  frames: z.int().nonnegative(),
  /** Objects that the teacher is sure of. */
  objects: z.int().nonnegative(),
  ...shares,
  naming: z.strictObject(shares).optional(),
});

/** What a candidate was judged by. */
export const evidenceSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('labels'),
    comparison: comparisonSchema,
    /** Where labels are too few to tell. */
    agreement: agreementSchema.optional(),
  }),
  z.strictObject({ kind: z.literal('teacher'), agreement: agreementSchema }),
]);
export type Evidence = z.output<typeof evidenceSchema>;
