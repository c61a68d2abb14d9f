// What was seen: messages of the outbox, and the detections of single frames.
import { z } from 'zod';
import { REASONS, SOURCES } from '../../config/index.js';
import { box, className, count, modelId, nonNegative, probability, timestamp } from './common.js';
import { exampleId } from './examples.js';

export const countsBody = z
  .strictObject({
    interval_s: z.int().min(1),
    from: timestamp,
    to: timestamp.describe('end of the interval, not part of it'),
    complete: z.boolean().describe('false when detection did not run for the whole interval'),
    observed_s: nonNegative.optional().describe('seconds of the interval in which frames were detected'),
    lines: z
      .array(z.strictObject({ line: z.string(), direction: z.string(), class: className, count }))
      .describe('crossings; rows that are zero are left out'),
    zones: z
      .array(z.strictObject({ zone: z.string(), class: className, count }))
      .describe('vehicles that entered; rows that are zero are left out'),
  })
  .meta({
    title: 'counts/<interval>',
    description: 'Counts of one closed interval, aligned to the clock (UTC).',
  });

export const trackBody = z
  .strictObject({
    track: z.int().min(0).describe('number of the track, unique within a `boot_id`'),
    class: className.describe('weighted vote over the frames of the track'),
    confidence: probability.describe('share of the vote that the class got'),
    votes: z
      .record(className, nonNegative)
      .optional()
      .describe('share of each class that was seen in the vote'),
    first_seen: timestamp,
    last_seen: timestamp,
    frames: count.describe('frames with a detection'),
    crossings: z.array(z.strictObject({ line: z.string(), direction: z.string(), at: timestamp })),
    zones: z.array(z.string()).describe('zones that the track was in'),
    path: z
      .array(z.tuple([z.number(), z.number()]))
      .optional()
      .describe('box centres as shares of width and height; only with `telemetry.trackPath`'),
    model: modelId.optional(),
  })
  .meta({ title: 'event/track', description: 'A finished track.' });

export const modelEventBody = z
  .strictObject({
    step: z
      .enum([
        'requested',
        'started',
        'warm',
        'canary',
        'committed',
        'refused',
        'failed',
        'rolled-back',
        'restarted',
        'adapting',
        'adapted',
      ])
      .describe(
        'a swap goes requested, started, warm, canary, committed; or ends with refused or failed. An adaptation begins with adapting and ' +
          'ends with adapted; `rolled-back` may follow',
      ),
    model: modelId.nullable().describe('the candidate, or the model that the step is about'),
    active: modelId.nullable().describe('the model that serves after this step'),
    generation: count,
    reason: z.string().optional().describe('one sentence: why it was refused, failed or rolled back'),
    figures: z
      .record(z.string(), z.number())
      .optional()
      .describe('what was measured, for example canary frames and latencies'),
    adaptation: z
      .strictObject({
        id: z.string(),
        trigger: z.string(),
        outcome: z.string(),
        pairs: z.array(z.tuple([z.string(), z.string()])),
        bits: z.record(z.string(), z.number()).describe('share of the weights by bits'),
      })
      .optional()
      .describe('of `adapting`, `adapted` and a `rolled-back` that follows'),
  })
  .meta({ title: 'event/model', description: 'A step of a swap.' });

export const exampleBody = z
  .strictObject({
    example: exampleId,
    taken_at: timestamp,
    reason: z
      .enum(REASONS)
      .describe(
        'why it was kept. `margin`: the best two classes score nearly the same; `flip`: the class changed along the track; `uncertain`: ' +
          'a low score on a long, stable track; `teacher`: the FP32 model says another class',
      ),
    class: className,
    score: probability,
    rival: className.optional().describe('the next best class at the same place'),
    presumed_class: className.nullable().optional().describe('null: no vehicle'),
    source: z.enum(SOURCES).optional().describe('who presumes it'),
    box,
    model: modelId.optional(),
    track: z.string().optional().describe('unique over restarts'),
    picture_bytes: count.optional(),
  })
  .meta({
    title: 'event/example',
    description: 'A hard example that was stored: meta data, never the picture.',
  });

export const frameBody = z
  .strictObject({
    frame: count.describe('number of the frame'),
    taken_at: timestamp,
    width: count,
    height: count,
    latency_ms: nonNegative.optional(),
    model: modelId.optional(),
    detections: z.array(
      z.strictObject({ class: className, score: probability, box, track: z.int().min(0).optional() }),
    ),
  })
  .meta({
    title: 'telemetry',
    description:
      'Detections of one frame; off unless asked for (`telemetry.frames`), rate limited, not kept.',
  });
