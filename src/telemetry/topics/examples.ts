// Hard examples and observed confusions, as messages, commands and answers carry them.
import { z } from 'zod';
import { REASONS } from '../../config/index.js';
import { className, count, modelId, nonNegative, probability, timestamp } from './common.js';

export const exampleId = z
  .string()
  .regex(/^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$/, 'must be an id as `examples list` shows it')
  .describe('id of a stored example');

const pixels = z
  .tuple([z.number(), z.number(), z.number(), z.number()])
  .describe('[x1, y1, x2, y2] in pixels of the stored picture; may reach beyond it');
const scored = { class: className, score: probability };
const seen = z.strictObject({
  ...scored,
  box: pixels,
  rival: z.strictObject(scored).optional().describe('the next best class at the same place'),
});
const orNone = className.nullable().describe('null: no vehicle');

export const exampleSchema = z.strictObject({
  id: exampleId,
  taken_at: timestamp,
  reason: z.enum(REASONS),
  pair: z.string().describe('the two classes in question'),
  model: modelId,
  object: seen,
  others: z.array(seen).describe('what else the model saw in the same picture'),
  picture: z.strictObject({
    width: count,
    height: count,
    bytes: count,
    left: count.describe('where its top left corner was in the frame, pixels'),
    top: count,
    frame_width: count,
    frame_height: count,
  }),
  track: z
    .strictObject({
      key: z.string(),
      frames: count,
      votes: z.array(z.strictObject({ class: className, frames: count })),
      history: z
        .array(z.strictObject({ at: timestamp, ...scored }))
        .describe('the latest changes of class along the track'),
    })
    .nullable(),
  presumed: z
    .strictObject({ class: orNone, source: z.enum(['track', 'teacher']), confidence: probability })
    .nullable(),
  label: z.strictObject({ class: orNone, box: pixels.optional(), at: timestamp }).nullable(),
});
export type ExampleMessage = z.infer<typeof exampleSchema>;

const sourced = <T extends z.ZodType>(what: T) =>
  z.strictObject({ operator: what, track: what, teacher: what });

export const confusionsBody = z
  .strictObject({
    window_days: nonNegative,
    half_life_days: nonNegative,
    classes: z.array(className),
    matrix: z
      .array(z.array(nonNegative))
      .describe(
        'rows: what it presumably was, columns: what was predicted, the last of each is the background; weighted and decayed',
      ),
    pairs: z.array(
      z.strictObject({
        a: className,
        b: className,
        a_as_b: nonNegative.describe('`a` taken for `b`, weighted and decayed'),
        b_as_a: nonNegative,
        support: nonNegative.describe('all that was one of the two and was taken for one of the two'),
        rate: probability,
        lower: probability.describe("lower end of Wilson's 95 % interval of the rate"),
        critical: z.boolean(),
        because: z
          .enum(['observed', 'pinned', 'banned'])
          .nullable()
          .describe('why it is critical; `banned`: it is not, whatever is observed'),
        sources: sourced(z.strictObject({ confused: nonNegative, support: nonNegative, lower: probability })),
      }),
    ),
    sources: sourced(z.strictObject({ observations: count, weight: nonNegative })).describe(
      'how much each source contributed',
    ),
    models: z.record(modelId, nonNegative).describe('weight of what each artifact predicted'),
  })
  .meta({
    title: 'confusions',
    description:
      'What is observed to be confused with what, and by whose word (`confusions` in the configuration).',
  });

export const examplesListResult = z.strictObject({
  examples: z.array(exampleSchema).describe('newest first'),
  total: count.describe('stored examples'),
  bytes: count.describe('of their pictures'),
});
export const pictureResult = z.strictObject({
  example: exampleSchema,
  content_type: z.literal('image/jpeg'),
  data: z.base64().describe('the picture'),
});
export const listRequest = z.strictObject({
  pair: z.string().min(1).max(129).optional().describe('two class names, sorted, joined with ":"'),
  labelled: z.boolean().optional(),
  before: exampleId.optional().describe('only older ones: the next page'),
  limit: z.int().min(1).max(200).default(50),
});
export const labelRequest = z.strictObject({
  example: exampleId,
  class: className
    .nullable()
    .optional()
    .describe('what it really is; null: no vehicle; left out: takes an earlier label back'),
  box: pixels.optional(),
});
export const purgeRequest = z.strictObject({
  examples: z.array(exampleId).min(1).max(1000).optional().describe('these, labelled or not'),
  pair: z.string().min(1).max(129).optional(),
  older_than_days: nonNegative.optional(),
  labelled: z.boolean().default(false).describe('labelled ones too'),
  all: z.boolean().default(false).describe('must be true where nothing else says which'),
});
export const purgeResult = z.strictObject({ removed: count, bytes: count });
