// What the adapter is asked to do: one file that says everything, checked at the door.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { OBJECTIVES } from '../../allocation/index.js';
import { BitlaneError, messageOf } from '../../errors.js';
import { writeFileAtomic } from '../../system/index.js';

const path = z.string().min(1).max(4096);
const className = z.string().min(1).max(64);

const pair = z.tuple([className, className]);

const pictures = z.strictObject({
  /** A data set; see `openDataSet`. */
  path,
  split: z.enum(['train', 'val', 'test']),
  /** Most pictures that are taken, evenly spread. */
  most: z.int().min(1).max(100_000),
  /** Whether its labels are looked at. */
  labelled: z.boolean().default(true),
});

export const budgetSchema = z.strictObject({
  modelBytes: z.number().positive().optional(),
  /** p95 of a frame in the detector process. */
  latencyMs: z.number().positive().optional(),
  /** Peak of the detector process. */
  memoryMb: z.number().positive().optional(),
  averageBits: z.number().min(2).max(32).optional(),
});

/** A budget without the limits that are not set: equal budgets are then equal texts. */
export const definedBudget = (
  budget: Readonly<z.input<typeof budgetSchema>>,
): z.output<typeof budgetSchema> =>
  Object.fromEntries(
    (['modelBytes', 'latencyMs', 'memoryMb', 'averageBits'] as const).flatMap((name) =>
      budget[name] === undefined ? [] : [[name, budget[name]]],
    ),
  );

export const TRIGGERS = ['command', 'schedule', 'drift', 'budget', 'heat', 'miss'] as const;
/** Why an adaptation was begun; `miss`: the one before was over its budget on the device. */
export type Trigger = (typeof TRIGGERS)[number];

export const jobSchema = z
  .strictObject({
    format: z.literal('bitlane-adaptation'),
    version: z.literal(1),
    id: z.string().regex(/^[a-z0-9-]{1,64}$/),
    createdAt: z.iso.datetime(),
    trigger: z.enum(TRIGGERS),
    /** Artifact folder of the FP32 model. */
    parent: path,
    /** Artifact folder of the model that serves: what a candidate must not be worse than. */
    baseline: path,
    /** What is looked at; one of `tuning` and `examples`. */
    tuning: pictures.optional(),
    /** The hard examples of a device: a part of them is tuned on, another one judged by. */
    examples: z.strictObject({ stateDir: path, most: z.int().min(1).max(100_000) }).optional(),
    /** Labelled pictures that nothing is tuned on; without them the FP32 model's word on `frames` counts. */
    validation: pictures.optional(),
    frames: z.strictObject({ path, most: z.int().min(1).max(100_000) }).optional(),
    /** Critical pairs; what the tuning pictures show where they are left out. */
    pairs: z.array(pair).min(1).max(1_000).optional(),
    /** Always among them, where the model knows their classes. */
    pinned: z.array(pair).max(1_000).default([]),
    /** Never among them. */
    banned: z.array(pair).max(1_000).default([]),
    budget: budgetSchema,
    /** What of a frame's p95 is not the run of the model: p95 of a frame over the median of a run, as learned on this device. */
    frameOverRun: z.number().min(1).max(1_000).default(1),
    /** Where that was never learned, and the FP32 model serves: p95 of its frames, milliseconds. Its run is in the profile. */
    servedP95Ms: z.number().positive().optional(),
    objective: z.enum(OBJECTIVES),
    /** Objectives whose allocations are compared with that one's as whole models; those that `adaptModel` takes where it is left out. */
    candidates: z.array(z.enum(OBJECTIVES)).max(OBJECTIVES.length).optional(),
    calibrationPictures: z.int().min(1).max(10_000),
    /** How the chosen allocation's weights are trained on; they are rounded, and no more, where it is left out. */
    finetune: z
      .strictObject({
        steps: z.int().min(1).max(1_000_000),
        batch: z.int().min(1).max(512),
        learningRate: z.number().positive().max(1),
        teacherWeight: z.number().min(0).max(100),
        pairWeight: z.number().min(0).max(100),
        wordWeight: z.number().min(0).max(1_000),
        checkpointEvery: z.int().min(1),
      })
      .optional(),
    /** A device profile's file; measured where a limit needs one and there is none. */
    profile: path.optional(),
    profileSeconds: z.int().min(1).max(86_400).default(180),
    processes: z.int().min(1).max(64),
    /** Threads of the detector, for measurements. */
    threads: z.int().min(1).max(64),
    /** Further artifacts, each faster than the one before. */
    rungs: z.int().min(0).max(8).default(0),
    acceptance: z.strictObject({
      minPictures: z.int().min(1),
      minObjects: z.int().min(1),
      maxDrop: z.number().min(0).max(1),
    }),
    /** Folder of measurements that outlive the job. */
    cache: path,
    /** MiB of them that are left at the end. */
    cacheMb: z.number().min(1).default(512),
    name: z.string().min(1).max(128).optional(),
  })
  .refine(({ tuning, examples }) => (tuning === undefined) !== (examples === undefined), {
    path: ['tuning'],
    message: 'must be given, or examples instead of it',
  });
export type Job = z.output<typeof jobSchema>;

const JOB_FILE = 'job.json';

/** Writes a job into its folder, which is there. */
export const writeJob = (folder: string, job: z.input<typeof jobSchema>): void =>
  writeFileAtomic(join(folder, JOB_FILE), `${JSON.stringify(jobSchema.parse(job), null, 2)}\n`);

/**
 * Reads the job of a folder.
 *
 * @throws BitlaneError `BAD_CONFIG` where there is none, or it breaks the schema
 */
export const readJob = (folder: string): Job => {
  const file = join(folder, JOB_FILE);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new BitlaneError('BAD_CONFIG', `${file} cannot be read as a job: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const result = jobSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new BitlaneError(
    'BAD_CONFIG',
    `${file} is no job: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it does not follow the schema'}`,
  );
};
