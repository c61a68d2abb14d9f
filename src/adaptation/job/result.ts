// What came of a job, as the adapter leaves it behind for whoever asked.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { artifactIdSchema } from '../../registry/index.js';
import { writeFileAtomic } from '../../system/index.js';
import { evidenceSchema, measurementsSchema } from '../documents.js';
import { candidateSchema } from '../portfolio.js';

const pair = z.tuple([z.string(), z.string()]);

const made = z.strictObject({
  id: artifactIdSchema,
  /** Artifact folder. */
  folder: z.string(),
  modelBytes: z.int().positive(),
  averageBits: z.number(),
  /** Median of one run beside others of the adapter, milliseconds: less than a frame takes. */
  runMs: z.number(),
  /** That of the FP32 model beside it, in turns; absent in results from before there was this. */
  parentRunMs: z.number().optional(),
  /** Share of the weights by bits. */
  bits: z.record(z.string(), z.number()),
  /** Components that compute in int8. */
  int8: z.int().nonnegative(),
  measured: measurementsSchema,
});
export type MadeArtifact = z.output<typeof made>;

const rung = made.extend({ evidence: evidenceSchema });

export const resultSchema = z.discriminatedUnion('outcome', [
  z.strictObject({
    outcome: z.enum(['accepted', 'rejected']),
    job: z.string(),
    /** One plain sentence. */
    reason: z.string(),
    candidate: made,
    evidence: evidenceSchema,
    rungs: z.array(rung),
    critical: z.strictObject({
      pairs: z.array(pair),
      objects: z.int().nonnegative(),
      labelled: z.boolean(),
      pictures: z.int().nonnegative(),
    }),
    /** The components that tell the critical classes apart most, by what 4 bits do to them. */
    significant: z.array(z.strictObject({ component: z.string(), divergence: z.number() })),
    /** By which the candidate was allocated, and what all that were tried did as whole models. */
    objective: z.string().optional(),
    candidates: z.array(candidateSchema).optional(),
    damage: z.number(),
    gap: z.number(),
    /** Milliseconds by step. */
    times: z.record(z.string(), z.number()),
  }),
  /** It cannot be done with these pictures, this model, this budget. */
  z.strictObject({ outcome: z.literal('failed'), job: z.string(), code: z.string(), reason: z.string() }),
]);
export type JobResult = z.output<typeof resultSchema>;

const RESULT_FILE = 'result.json';

export const writeResult = (folder: string, result: JobResult): void =>
  writeFileAtomic(join(folder, RESULT_FILE), `${JSON.stringify(result)}\n`);

/** The result of a job that came to an end; `undefined` before. */
export const readResult = (folder: string): JobResult | undefined => {
  try {
    const parsed = resultSchema.safeParse(JSON.parse(readFileSync(join(folder, RESULT_FILE), 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
};
