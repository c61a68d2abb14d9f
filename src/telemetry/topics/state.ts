// Retained state: who this device is, what it serves, how it is.
import { z } from 'zod';
import { bootId, className, count, MESSAGE_SCHEMA, modelId, nonNegative, timestamp } from './common.js';

export const availabilityMessage = z
  .strictObject({
    schema: z.literal(MESSAGE_SCHEMA),
    state: z
      .enum(['online', 'stopped', 'offline'])
      .describe(
        '`online` after connecting, `stopped` after a clean stop, `offline` from the broker (last will) when the device vanished',
      ),
    boot_id: bootId,
  })
  .meta({ title: 'availability', description: 'Whether the device is there.' });

export const infoBody = z
  .strictObject({
    device: z.string(),
    site: z.string().optional(),
    version: z.string().describe('version of bitlane'),
    started_at: timestamp,
    node: z.string().optional(),
    platform: z.string().optional().describe('for example `linux/arm64`'),
    hardware: z.string().optional(),
    cpus: z.int().min(1).optional(),
    memory_mb: nonNegative.optional(),
    camera: z
      .strictObject({
        kind: z.string(),
        width: count.optional(),
        height: count.optional(),
        fps: nonNegative.optional().describe('as configured'),
      })
      .optional(),
    lines: z
      .array(z.strictObject({ name: z.string(), directions: z.array(z.string()) }))
      .describe('configured counting lines'),
    zones: z.array(z.string()).describe('names of the configured zones'),
    count_intervals: z.array(z.int().min(1)).describe('seconds; one topic `counts/<interval>` each'),
  })
  .meta({ title: 'info', description: 'Versions and set-up; published at every start and change.' });

const measured = z.strictObject({
  latency_p50_ms: nonNegative.optional().describe('from frame received to detections ready'),
  latency_p95_ms: nonNegative
    .optional()
    .describe('the same; a budget is held against the time in the detector process alone'),
  model_bytes: count.optional(),
  memory_mb: nonNegative
    .optional()
    .describe('resident memory of the detector process now; a budget is held against its peak'),
});

export const modelStateBody = z
  .strictObject({
    status: z
      .enum(['none', 'starting', 'serving', 'swapping', 'failed'])
      .describe('`swapping`: a candidate is starting or a canary, the active model goes on serving'),
    generation: count.describe('detector processes since this start of the daemon'),
    active: z
      .strictObject({
        id: modelId,
        name: z.string(),
        head: z.string(),
        input: z.strictObject({ width: count, height: count }),
        classes: z.array(className),
        bits: z
          .record(z.string().regex(/^(0|2|4|8|32)$/), count)
          .optional()
          .describe('allocation summary: how many components have which bit-width'),
      })
      .nullable(),
    previous: modelId.nullable(),
    factory: modelId.nullable(),
    candidate: modelId.nullable(),
    budget: z
      .strictObject({
        latency_ms: nonNegative.optional(),
        model_bytes: count.optional(),
        memory_mb: nonNegative.optional(),
      })
      .optional(),
    measured: measured.optional().describe('on this device, against the budget'),
  })
  .meta({
    title: 'model/state',
    description: 'The active artifact, its allocation, its budget against what was measured.',
  });

export const healthBody = z
  .strictObject({
    uptime_s: nonNegative,
    fps: nonNegative.describe('frames a second that went through the detector'),
    latency_p50_ms: nonNegative
      .nullable()
      .describe('from frame received to detections ready; null before the first'),
    latency_p95_ms: nonNegative.nullable(),
    frames: z.strictObject({
      received: count.describe('complete frames that the camera delivered since the start of the daemon'),
      detected: count.describe('of these, detected'),
      skipped: count.describe('newest frame wins: replaced before the detector was free'),
      bad: count.describe('short, torn or of another size: dropped'),
    }),
    camera: z.strictObject({
      state: z.enum(['starting', 'running', 'waiting', 'stopped']),
      restarts: count,
      stalls: count,
    }),
    detector: z.strictObject({ restarts: count, memory_mb: nonNegative.optional() }).optional(),
    event_loop_p99_ms: nonNegative.optional().describe('delay of the supervisor'),
    temperature_c: z.number().nullable().describe('of the processor; null where it cannot be read'),
    throttled: z
      .boolean()
      .nullable()
      .describe('slowed down by heat or voltage; null where it cannot be read'),
    memory: z.strictObject({
      supervisor_mb: nonNegative,
      free_mb: nonNegative.optional(),
      total_mb: nonNegative.optional(),
    }),
    disk: z
      .strictObject({ free_mb: nonNegative, total_mb: nonNegative })
      .nullable()
      .describe('of the state directory'),
    load: nonNegative.optional().describe('one-minute load average'),
    examples: z
      .strictObject({
        kept: count.describe('stored hard examples'),
        bytes: count.describe('of their pictures'),
        found: count.describe('candidates since this start'),
        dropped: count.describe('pictures not taken, because too many were asked for at once'),
        passed_over: count.describe('by the reservoir of their pair'),
        refused: count.describe('because the disk has less free than `examples.reserveMb`, or took nothing'),
      })
      .optional(),
    outbox: z.strictObject({
      rows: count.describe('waiting to be acknowledged by the broker'),
      bytes: count,
      evicted: count.describe('dropped because the outbox was at its cap, since this start'),
      refused: count.describe('dropped because the broker refused them for good, since this start'),
      unsaved: count.describe('in memory only, because the disk is full or failing'),
    }),
  })
  .meta({
    title: 'health',
    description: 'How the device is; published on its own rhythm (`telemetry.healthEverySeconds`).',
  });
