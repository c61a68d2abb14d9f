// The loop from outside: its retained state, and the commands that start, cancel and look back.
import { z } from 'zod';
import { count, modelId, nonNegative, timestamp } from './common.js';

const adaptationId = z.string().regex(/^[a-z0-9-]{1,64}$/);
const trigger = z.enum(['command', 'schedule', 'drift', 'budget', 'heat', 'miss']);
const outcome = z.enum(['running', 'committed', 'rejected', 'refused', 'rolled-back', 'failed', 'cancelled']);
const pair = z.tuple([z.string().min(1).max(64), z.string().min(1).max(64)]);
const figure = z.number().nullable();

const budget = z.strictObject({
  modelBytes: z.number().positive().optional().describe('bytes of the model file'),
  latencyMs: z.number().positive().optional().describe('p95 of a frame in the detector process'),
  memoryMb: z.number().positive().optional().describe('peak of the detector process'),
  averageBits: z.number().min(2).max(32).optional(),
});

export const adaptStateBody = z
  .strictObject({
    status: z
      .enum(['idle', 'running', 'paused', 'deploying', 'watching'])
      .describe(
        '`paused`: outside of its hours; `deploying`: the candidate is tried on live frames; `watching`: it serves, and is held against the model before',
      ),
    adaptation: adaptationId.nullable().describe('the one that runs, is tried or is watched'),
    trigger: trigger.nullable(),
    started_at: timestamp.nullable(),
    step: z.string().nullable().describe('what the adapter is doing'),
    done: nonNegative,
    all: nonNegative.describe('0 where it is not known'),
    last: z
      .strictObject({ adaptation: adaptationId, outcome, ended_at: timestamp, reason: z.string() })
      .nullable(),
    rungs: z.array(modelId).describe('artifacts that stand ready, the best first; empty without a ladder'),
  })
  .meta({ title: 'adapt/state', description: 'What the loop is doing.' });

const entry = z.strictObject({
  adaptation: adaptationId,
  trigger,
  started_at: timestamp,
  ended_at: timestamp.nullable(),
  outcome,
  reason: z.string(),
  candidate: modelId.nullable(),
  pairs: z.array(pair),
  budget,
  bits: z.record(z.string(), z.number()).describe('share of the weights by bits'),
  model_bytes: count.nullable(),
  latency_p95_ms: figure.describe('of the candidate in its canary'),
  memory_mb: figure,
  map50_change: figure,
  map50_95_change: figure,
  critical_change: figure.describe('of the accuracy on critical classes'),
  agreement_change: figure.describe('of the agreement with the FP32 model, where there were no labels'),
});
export type AdaptationEntry = z.input<typeof entry>;

const common = { timeoutMs: 30_000 };

export const ADAPT_COMMANDS = {
  'adapt/start': {
    name: 'adapt/start',
    description:
      'Begins an adaptation; answers when it runs. What comes of it is told on `adapt/state` and `event/model`.',
    request: z.strictObject({
      budget: budget.optional().describe('instead of `adaptation.budget`, for this one'),
      pairs: z
        .array(pair)
        .min(1)
        .max(100)
        .optional()
        .describe('critical pairs of classes, instead of those observed'),
    }),
    response: z.strictObject({ adaptation: adaptationId, parent: modelId }),
    ...common,
  },
  'adapt/cancel': {
    name: 'adapt/cancel',
    description: 'Ends the adaptation that runs; a model that serves already stays.',
    request: z.strictObject({}),
    response: z.strictObject({ cancelled: adaptationId }),
    ...common,
  },
  'adapt/state': {
    name: 'adapt/state',
    description: 'What the loop is doing, as `adapt/state` says it.',
    request: z.strictObject({}),
    response: adaptStateBody,
    ...common,
  },
  'adapt/history': {
    name: 'adapt/history',
    description: 'Adaptations so far, the newest first.',
    request: z.strictObject({ limit: z.int().min(1).max(100).default(20) }),
    response: z.strictObject({ adaptations: z.array(entry) }),
    ...common,
  },
} as const;
