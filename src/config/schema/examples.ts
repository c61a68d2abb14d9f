// The sections `examples` and `confusions`: what is kept of what the model was unsure about, and which confusions count.
import { z } from 'zod';
import { artifactIdSchema } from '../../registry/index.js';
import { label } from './values.js';

/**
 * Why an example is hard. `margin`: the best two classes score nearly the same; `flip`: the class changed along the track;
 * `uncertain`: a low score on a long, stable track; `teacher`: the FP32 model says another class.
 */
export const REASONS = ['margin', 'flip', 'uncertain', 'teacher'] as const;
/** Whose word a presumed class is. */
export const SOURCES = ['operator', 'track', 'teacher'] as const;

const share = z.number().min(0).max(1);
const days = (usual: number) => z.number().min(0.01).max(3650).default(usual);

const teacherSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe('let the FP32 model look at a few frames while the device is idle'),
  model: artifactIdSchema
    .optional()
    .describe(
      'the artifact to ask; when left out, the installed FP32 model that the active one descends from',
    ),
  framesPerMinute: z.number().min(0.01).max(60).default(2),
  maxLoad: z
    .number()
    .min(0.01)
    .max(100)
    .default(0.7)
    .describe('one-minute load average a core, above which the device is not idle'),
});

export const examplesSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'store pictures of what the model was unsure or wrong about: on this device only, with `masks` blacked out',
    ),
  wholeFrames: z
    .boolean()
    .default(false)
    .describe('store whole frames, not just the vehicle and the road around it'),
  reasons: z
    .array(z.enum(REASONS))
    .default([...REASONS])
    .refine((list) => new Set(list).size === list.length, 'must not name a reason twice'),
  margin: share
    .default(0.15)
    .describe('`margin`: the best two classes of a vehicle score less apart than this'),
  uncertainScore: share.default(0.35).describe('`uncertain`: a long, stable track scores less than this'),
  stableFrames: z.int().min(2).max(10_000).default(12).describe('frames from which on a track is long'),
  stableShare: share
    .default(0.7)
    .describe('share of the vote from which on the class of a long track is presumed to be right'),
  context: z
    .number()
    .min(0)
    .max(4)
    .default(0.25)
    .describe('road kept on each side of a vehicle, as a share of its width and height'),
  quality: z.int().min(30).max(100).default(85).describe('of the JPEG'),
  maxMb: z.number().min(0.1).max(1_000_000).default(256).describe('pictures kept at most, MB (10^6 bytes)'),
  maxAgeDays: days(30).describe(
    'pictures older than this are removed, when the clock has run for an hour without a leap',
  ),
  perPair: z
    .int()
    .min(1)
    .max(100_000)
    .default(300)
    .describe('pictures kept at most of one pair of classes, labelled ones not counted'),
  perHour: z.int().min(1).max(36_000).default(120).describe('pictures of one pair stored at most in an hour'),
  reserveMb: z
    .number()
    .min(0)
    .max(1_000_000)
    .default(512)
    .describe('nothing is stored while the disk has less free than this, MB (10^6 bytes)'),
  flushSeconds: z
    .number()
    .min(0.1)
    .max(3600)
    .default(60)
    .describe('what is to be stored is written together this often: a power cut costs at most this much'),
  teacher: teacherSchema.prefault({}),
});
export type ExamplesConfig = z.infer<typeof examplesSchema>;

const pair = z
  .tuple([label, label])
  .refine(([a, b]) => a !== b, 'must name two classes')
  .describe('two class names');

export const confusionsSchema = z.strictObject({
  windowDays: days(14).describe('observations older than this do not count, and are removed'),
  halfLifeDays: days(4).describe('an observation of this age counts half'),
  minSupport: z
    .number()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe('observations, weighted and decayed, from which on a pair may be critical'),
  minLower: share
    .default(0.02)
    .describe("a pair is critical from this lower end of Wilson's 95 % interval of its mutual confusion on"),
  pinned: z.array(pair).max(100).default([]).describe('pairs that are critical whatever was observed'),
  banned: z.array(pair).max(100).default([]).describe('pairs that are never critical; wins over `pinned`'),
  weights: z
    .strictObject({
      operator: share.default(1),
      track: share.default(0.5),
      teacher: share.default(0.5),
    })
    .prefault({})
    .describe('what the word of each source weighs; 0 leaves it out'),
  publishSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .default(600)
    .describe('how often `confusions` is worked out and, where it changed, published'),
});
export type ConfusionsConfig = z.infer<typeof confusionsSchema>;
