// The sections `detector` and `swap`: how a model is run, and how it is replaced.
import { z } from 'zod';
import { label, ms, ordered } from './values.js';

export const detectorSchema = z
  .strictObject({
    threads: z.int().min(1).max(64).default(1).describe('intra-op threads of onnxruntime'),
    spinning: z.boolean().default(true).describe('let waiting threads spin: lower p95, more CPU'),
    scoreThreshold: z
      .number()
      .min(0.001)
      .max(1)
      .default(0.1)
      .describe('detections below are dropped; tracking uses low scores too'),
    iouThreshold: z
      .number()
      .min(0.05)
      .max(0.95)
      .default(0.65)
      .describe('boxes of one class that overlap more are merged (NMS)'),
    maxDetections: z.int().min(1).max(1000).default(100),
    classes: z
      .array(label)
      .min(1)
      .max(1000)
      .refine((names) => new Set(names).size === names.length, 'must not name a class twice')
      .optional()
      .describe('class names to keep; when left out, the vehicle classes of the model'),
    startTimeoutMs: ms(1_000, 600_000).default(60_000).describe('a detector process must be warm by then'),
    frameTimeoutMs: ms(100, 600_000)
      .default(10_000)
      .describe('a frame must be done by then, or the process is killed'),
    restartInitialMs: ms(10, 60_000).default(500).describe('not above restartMaxMs'),
    restartMaxMs: ms(10, 300_000).default(10_000),
  })
  .refine(...ordered('restartInitialMs', 'restartMaxMs'));

export const swapSchema = z.strictObject({
  mode: z
    .enum(['side-by-side', 'stop-then-start'])
    .default('side-by-side')
    .describe(
      '`stop-then-start` for a device that cannot hold two detector processes: the old one ends first, frames wait meanwhile, the new one ' +
        'serves on probation, and the old one is started again where it fails',
    ),
  canaryFrames: z
    .int()
    .min(1)
    .max(100_000)
    .default(30)
    .describe('live frames that a new model sees beside the old one before it takes over'),
  canaryTimeoutMs: ms(1_000, 3_600_000).default(120_000),
  maxLatencyRatio: z
    .number()
    .min(1)
    .max(100)
    .default(3)
    .describe(
      'a candidate whose median frame time on canary frames is more than this times the old one is refused',
    ),
  minAgreement: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "share of the old model's confident detections that the candidate must find too; 0 = not checked",
    ),
});
