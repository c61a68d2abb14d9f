// The history: one record an adaptation, from why it was begun to what became of the model on the road.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { artifactIdSchema } from '../../registry/index.js';
import { type AdaptationRows, readStore } from '../../store/index.js';
import type { OutboxBody } from '../../telemetry/index.js';
import { budgetSchema, type Job, TRIGGERS } from '../job/job.js';
import type { JobResult } from '../job/result.js';
import type { Evidence } from '../documents.js';
import type { Agreement } from '../teacher.js';

const pair = z.tuple([z.string(), z.string()]);
const number = z.number().nullable();
const interval = z.strictObject({ value: number, low: number, high: number });

const compared = z.strictObject({ before: number, after: number, change: interval });

/** What a candidate was worth beside the model that served. */
const worthSchema = z.strictObject({
  by: z.enum(['labels', 'teacher']),
  pictures: z.int(),
  objects: z.int(),
  map50: compared.optional(),
  map5095: compared.optional(),
  criticalAccuracy: compared.optional(),
  agreement: compared.optional(),
});

const canarySchema = z.strictObject({
  frames: z.int(),
  p50Ms: z.number(),
  p95Ms: z.number(),
  servingP95Ms: z.number(),
  agreement: number,
  memoryMb: number,
  bothMb: number,
  modelBytes: z.int(),
});

const liveSchema = z.strictObject({
  frames: z.int(),
  seconds: z.number(),
  fps: z.number(),
  p95Ms: number,
  detections: z.int(),
  confidence: number,
  tracks: z.int(),
  flipsPerTrack: number,
  nonFinite: z.int(),
});

export const OUTCOMES = [
  'running',
  'committed',
  /** Judged worse before it was tried. */
  'rejected',
  /** Over its budget on the device, or broken: not committed. */
  'refused',
  'rolled-back',
  'failed',
  'cancelled',
] as const;

export const recordSchema = z.strictObject({
  id: z.string(),
  trigger: z.enum(TRIGGERS),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  outcome: z.enum(OUTCOMES),
  /** One plain sentence; '' while it runs. */
  reason: z.string(),
  parent: artifactIdSchema,
  /** The model that served. */
  baseline: artifactIdSchema,
  candidate: artifactIdSchema.nullable(),
  budget: budgetSchema,
  /** Critical pairs, and on how many objects significance was measured. */
  pairs: z.array(pair),
  objects: z.int(),
  labelled: z.boolean(),
  /** What its bits were given by. */
  objective: z.string().optional(),
  /** Steps in which its weights were trained on; absent where they were rounded, and no more. */
  tunedSteps: z.int().optional(),
  significant: z.array(z.strictObject({ component: z.string(), divergence: z.number() })),
  /** Share of the weights by bits. */
  bits: z.record(z.string(), z.number()),
  int8: z.int(),
  averageBits: number,
  modelBytes: z.int().nullable(),
  runMs: number,
  /** Of the FP32 model, in turns with it. */
  parentRunMs: number.optional(),
  worth: worthSchema.nullable(),
  /** In the detector process under the real frames; `null` where it did not come to that. */
  canary: canarySchema.nullable(),
  /** After the swap. */
  live: z
    .strictObject({
      before: liveSchema,
      after: liveSchema,
      /** With the FP32 model, where the teacher was asked. */
      agreement: z.strictObject({ before: number, after: number }),
    })
    .nullable(),
  rungs: z.array(artifactIdSchema),
  /** Milliseconds by step. */
  times: z.record(z.string(), z.number()),
  peakMb: number,
});
export type AdaptationRecord = z.output<typeof recordSchema>;

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
const range = ({ value, low, high }: { value: number; low: number; high: number }) => ({
  value: finite(value),
  low: finite(low),
  high: finite(high),
});

const comparedOf = ({ before, after, change }: Pick<Agreement, 'before' | 'after' | 'change'>) => ({
  before: finite(before),
  after: finite(after),
  change: range(change),
});

const worthOf = (evidence: Evidence): AdaptationRecord['worth'] => {
  if (evidence.kind === 'teacher') {
    const { frames, objects } = evidence.agreement;
    return { by: 'teacher', pictures: frames, objects, agreement: comparedOf(evidence.agreement) };
  }
  const { agreement } = evidence;
  const { pictures, before, after, map50Change, map5095Change, criticalChange } = evidence.comparison;
  return {
    by: 'labels',
    pictures,
    objects: before.criticalObjects,
    map50: comparedOf({ before: before.map50, after: after.map50, change: map50Change }),
    map5095: comparedOf({ before: before.map5095, after: after.map5095, change: map5095Change }),
    criticalAccuracy: comparedOf({
      before: before.criticalAccuracy,
      after: after.criticalAccuracy,
      change: criticalChange,
    }),
    ...(agreement !== undefined && { agreement: comparedOf(agreement) }),
  };
};

/** What the adapter came to, as the record has it. */
export const ofResult = (
  result: Extract<JobResult, { outcome: 'accepted' | 'rejected' }>,
): Partial<AdaptationRecord> => {
  const { candidate, critical, significant, evidence, rungs, times } = result;
  return {
    candidate: candidate.id,
    pairs: critical.pairs,
    objects: critical.objects,
    labelled: critical.labelled,
    ...(result.objective !== undefined && { objective: result.objective }),
    significant,
    bits: candidate.bits,
    int8: candidate.int8,
    averageBits: candidate.averageBits,
    modelBytes: candidate.modelBytes,
    runMs: candidate.runMs,
    ...(candidate.parentRunMs !== undefined && { parentRunMs: candidate.parentRunMs }),
    worth: worthOf(evidence),
    rungs: rungs.map(({ id }) => id),
    times,
  };
};

/** The record of a job that has begun. */
export const begunRecord = (
  job: Job,
  models: Pick<AdaptationRecord, 'parent' | 'baseline'>,
): AdaptationRecord => ({
  id: job.id,
  trigger: job.trigger,
  startedAt: job.createdAt,
  endedAt: null,
  outcome: 'running',
  reason: '',
  ...models,
  candidate: null,
  budget: job.budget,
  pairs: [],
  objects: 0,
  labelled: job.tuning?.labelled ?? true,
  ...(job.finetune !== undefined && { tunedSteps: job.finetune.steps }),
  significant: [],
  bits: {},
  int8: 0,
  averageBits: null,
  modelBytes: null,
  runMs: null,
  worth: null,
  canary: null,
  live: null,
  rungs: [],
  times: {},
  peakMb: null,
});

/** A record as `event/model` tells it; generations are counted by whoever sends it. */
export const eventOf = (
  record: AdaptationRecord,
  step: 'adapting' | 'adapted' | 'rolled-back',
  active: string | null,
  reason = record.reason,
): OutboxBody<'event/model'> => {
  const { worth, canary } = record;
  const figures = Object.entries({
    model_bytes: record.modelBytes,
    average_bits: record.averageBits,
    latency_p95_ms: canary?.p95Ms,
    memory_mb: canary?.memoryMb,
    map50_change: worth?.map50?.change.value,
    map50_95_change: worth?.map5095?.change.value,
    critical_change: worth?.criticalAccuracy?.change.value,
    agreement_change: worth?.agreement?.change.value,
  }).flatMap(([name, value]) => (typeof value === 'number' ? [[name, value] as const] : []));
  return {
    step,
    model: record.candidate,
    active,
    generation: 0,
    ...(reason !== '' && { reason }),
    ...(figures.length > 0 && { figures: Object.fromEntries(figures) }),
    adaptation: {
      id: record.id,
      trigger: record.trigger,
      outcome: record.outcome,
      pairs: record.pairs,
      bits: record.bits,
    },
  };
};

/** Records that are kept. */
const KEPT = 200;

const parse = (body: string): AdaptationRecord[] => {
  try {
    const parsed = recordSchema.safeParse(JSON.parse(body));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
};

/** Records in the store, newest first. */
export class AdaptationHistory {
  readonly #rows: AdaptationRows;

  constructor(rows: AdaptationRows) {
    this.#rows = rows;
  }

  /** @returns ids of records that are too old to be kept */
  put(record: AdaptationRecord): string[] {
    this.#rows.put({ id: record.id, startedMs: Date.parse(record.startedAt), body: JSON.stringify(record) });
    return this.#rows.trim(KEPT);
  }

  get(id: string): AdaptationRecord | undefined {
    const row = this.#rows.get(id);
    return row === undefined ? undefined : parse(row.body)[0];
  }

  list(most: number): AdaptationRecord[] {
    return this.#rows.list(most).flatMap(({ body }) => parse(body));
  }
}

/**
 * The history under a state folder, while the daemon runs or not.
 *
 * @throws BitlaneError `STORE_FAILED` when the store cannot be read
 */
export const readHistory = (stateDir: string, most: number): AdaptationRecord[] => {
  const path = join(stateDir, 'bitlane.db');
  if (!existsSync(path)) return [];
  const store = readStore(path);
  try {
    return new AdaptationHistory(store.adaptations).list(most);
  } finally {
    store.close();
  }
};
