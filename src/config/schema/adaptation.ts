// The section `adaptation`: when the model is adapted, within which budget, how, and what makes it go back.
import { z } from 'zod';
import { filePath } from './values.js';

const time = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'must be a time of day, HH:MM')
  .describe("HH:MM, by the device's clock");

const share = z.number().min(0).max(1);

const windowSchema = z.strictObject({ from: time, to: time }).refine(({ from, to }) => from !== to, {
  path: ['to'],
  message: 'must be another time than from',
});

const budgetSchema = z.strictObject({
  modelBytes: z.int().min(1).optional().describe('bytes of the model file at most'),
  latencyMs: z
    .number()
    .positive()
    .optional()
    .describe('95 % of the frames must take this or less in the detector process, under the real load'),
  memoryMb: z
    .number()
    .positive()
    .optional()
    .describe('peak memory of the detector process at most, as the kernel accounts it'),
  averageBits: z.number().min(2).max(32).optional().describe('stored bits of a weight on average, at most'),
});

const dataSchema = z.strictObject({
  path: filePath.describe('a data set on this device: a data.yaml, COCO JSON, or a folder that holds one'),
  tuning: z.enum(['train', 'val', 'test']).default('train').describe('split that it is tuned on'),
  validation: z
    .enum(['train', 'val', 'test'])
    .default('val')
    .describe('split that candidates are judged on; nothing is tuned on it'),
});

const watchSchema = z.strictObject({
  seconds: z
    .int()
    .min(5)
    .max(604_800)
    .default(1_800)
    .describe('for how long after a swap the new model is held against the old one'),
  maxConfidenceDrop: share.default(0.1).describe('largest loss of the mean score of what is detected'),
  maxFlipsRatio: z
    .number()
    .min(1)
    .max(100)
    .default(2)
    .describe('changes of class a track, at most so many times as before'),
  maxAgreementDrop: share
    .default(0.15)
    .describe(
      'largest loss of agreement with the FP32 model, where the teacher of `examples` looks at frames',
    ),
  minThroughputRatio: share.default(0.8).describe('frames a second, at least this share of before'),
});

const ladderSchema = z.strictObject({
  rungs: z
    .int()
    .min(0)
    .max(8)
    .default(0)
    .describe(
      'faster artifacts that are kept ready beside the adapted one, where the device gains anything by them; 0: none',
    ),
  downSeconds: z
    .number()
    .min(1)
    .max(3_600)
    .default(10)
    .describe('a device that is throttled, or over `budget.latencyMs`, for this long steps down'),
  upSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .default(300)
    .describe('and up again when it was neither for this long; longer where that was too soon'),
});

const finetuneSchema = z.strictObject({
  steps: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe(
      'steps in which the weights of the chosen allocation are trained on, from labels where there are any and from the FP32 model elsewhere; 0: they are rounded, and no more',
    ),
  batch: z.int().min(1).max(512).default(8).describe('pictures in a step'),
  learningRate: z
    .number()
    .positive()
    .max(1)
    .default(1e-4)
    .describe('the highest one of the run, as a share of how large the weights of each channel are'),
  teacherWeight: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("what the FP32 model's word counts beside labels"),
  pairWeight: z
    .number()
    .min(0)
    .max(100)
    .default(2)
    .describe('what the class loss of the critical pairs counts'),
  wordWeight: z
    .number()
    .min(0)
    .max(1_000)
    .default(10)
    .describe(
      "what an operator's word on one object counts beside the FP32 model's on all others, where hard examples are learned from",
    ),
  checkpointEvery: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10)
    .describe('steps between two checkpoints: what a kill or a power cut costs at most'),
});

export const adaptationSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe(
      'adapt by itself: by schedule, drift, heat and changes of the budget; commands work either way',
    ),
  schedule: z
    .array(windowSchema)
    .max(16)
    .default([])
    .describe(
      'when an adaptation may run by itself; none: never by schedule, and at any time for other reasons',
    ),
  everyDays: z
    .number()
    .min(0.01)
    .max(3_650)
    .default(7)
    .describe(
      'by schedule no sooner after the last one; by drift, heat or budget no sooner than a tenth of it',
    ),
  onDrift: z
    .boolean()
    .default(true)
    .describe('when other pairs of classes are confused than the bits were given for'),
  onHeat: z.boolean().default(false).describe('when the device is throttled for longer than `heatMinutes`'),
  heatMinutes: z.number().min(1).max(1_440).default(30),
  budget: budgetSchema.prefault({}),
  data: dataSchema
    .optional()
    .describe('labelled pictures to adapt to; when left out, the hard examples of this device'),
  pictures: z.int().min(1).max(100_000).default(300).describe('pictures that are looked at, at most'),
  calibrationPictures: z.int().min(1).max(10_000).default(64),
  finetune: finetuneSchema.prefault({}),
  objective: z
    .enum(['semantic', 'relativeWeightError', 'taskAgnostic', 'outputError', 'paperPure'])
    .default('semantic')
    .describe('what counts as damage'),
  profile: filePath
    .optional()
    .describe(
      'what `bitlane profile` measured of the FP32 model; when left out and needed, the adapter measures it',
    ),
  betweenFrames: z
    .boolean()
    .default(true)
    .describe(
      'the adapter rests while a frame is at work, for three quarters of the time at most: what works beside a model slows it down',
    ),
  processes: z.int().min(1).max(64).default(1).describe('processes that measure, each with one thread'),
  memoryMb: z
    .int()
    .min(64)
    .max(1_048_576)
    .default(1_536)
    .describe('memory of the adapter and what it starts, MiB; it is ended when it takes more'),
  deadlineMinutes: z
    .int()
    .min(1)
    .max(10_080)
    .default(720)
    .describe('an adaptation that takes longer is given up'),
  cacheMb: z
    .int()
    .min(1)
    .max(1_048_576)
    .default(512)
    .describe('measurements kept for the next adaptation, MiB'),
  minPictures: z
    .int()
    .min(1)
    .max(100_000)
    .default(30)
    .describe('pictures (or frames) without which no candidate is judged good'),
  minObjects: z.int().min(1).max(1_000_000).default(20).describe('objects in them, likewise'),
  maxDrop: share
    .default(0.02)
    .describe(
      'largest loss of mAP50 (of agreement with the FP32 model, without labels) against the model that serves',
    ),
  canaryFrames: z
    .int()
    .min(20)
    .max(100_000)
    .default(150)
    .describe('live frames on which a candidate is held against its budget'),
  minAgreement: share
    .default(0.6)
    .describe('share of what the serving model is sure of on these frames that a candidate must find, too'),
  watch: watchSchema.prefault({}),
  ladder: ladderSchema.prefault({}),
});
export type AdaptationConfig = z.infer<typeof adaptationSchema>;
