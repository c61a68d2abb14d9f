// Commands: what may be asked, and what is answered.
import { z } from 'zod';
import { LOG_LEVELS } from '../../system/index.js';
import { ADAPT_COMMANDS } from './adaptation.js';
import { count, modelId, nonNegative, timestamp } from './common.js';
import {
  confusionsBody,
  exampleId,
  exampleSchema,
  examplesListResult,
  labelRequest,
  listRequest,
  pictureResult,
  purgeRequest,
  purgeResult,
} from './examples.js';

/** One command: its request and response, and how long it may take. */
export interface CommandDefinition<
  Request extends z.ZodObject = z.ZodObject,
  Response extends z.ZodType = z.ZodType,
> {
  readonly name: string;
  readonly description: string;
  readonly request: Request;
  readonly response: Response;
  readonly timeoutMs: number;
  /** Only over the control socket, never over MQTT. */
  readonly local?: boolean;
}

/** Keeps the precise types of a definition. */
export const defineCommand = <Request extends z.ZodObject, Response extends z.ZodType>(
  definition: CommandDefinition<Request, Response>,
): CommandDefinition<Request, Response> => definition;

const modelName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\0-\x1f\x7f/]+$/, 'must be an id, the beginning of one, or a name')
  .describe('id, six or more of its first digits, or name of an installed artifact');

export const COMMANDS = {
  'model/list': defineCommand({
    name: 'model/list',
    description: 'The installed artifacts.',
    request: z.strictObject({}),
    response: z.strictObject({
      active: modelId.nullable(),
      previous: modelId.nullable(),
      factory: modelId.nullable(),
      models: z.array(
        z.strictObject({
          id: modelId,
          name: z.string(),
          created_at: timestamp,
          model_bytes: count,
          head: z.string(),
          classes: z.array(z.string()),
        }),
      ),
    }),
    timeoutMs: 10_000,
  }),
  'model/use': defineCommand({
    name: 'model/use',
    description:
      'Swaps an installed artifact in, with canary and roll-back; answers when it serves or was refused.',
    request: z.strictObject({ model: modelName }),
    response: z.strictObject({ active: modelId, previous: modelId.nullable(), generation: count }),
    // Start, warm-up and canary have limits of their own in the configuration; this one only bounds the answer.
    timeoutMs: 3_600_000,
  }),
  'model/rollback': defineCommand({
    name: 'model/rollback',
    description: 'Swaps the previous artifact in again.',
    request: z.strictObject({}),
    response: z.strictObject({ active: modelId, previous: modelId.nullable(), generation: count }),
    timeoutMs: 3_600_000,
  }),
  'model/remove': defineCommand({
    name: 'model/remove',
    description: 'Removes an installed artifact; not the active, previous or factory one.',
    request: z.strictObject({ model: modelName }),
    response: z.strictObject({ removed: modelId }),
    timeoutMs: 30_000,
  }),
  snapshot: defineCommand({
    name: 'snapshot',
    description: 'The newest frame, masked, as a JPEG; only where `telemetry.snapshots` allows it.',
    request: z.strictObject({
      width: z.int().min(64).max(3840).default(640).describe('pixels; never larger than the frame'),
      quality: z.int().min(1).max(95).default(70),
    }),
    response: z.strictObject({
      content_type: z.literal('image/jpeg'),
      taken_at: timestamp,
      width: count,
      height: count,
      data: z.base64().describe('the picture'),
    }),
    timeoutMs: 15_000,
  }),
  'examples/list': defineCommand({
    name: 'examples/list',
    description: 'Stored hard examples, newest first, without their pictures.',
    request: listRequest,
    response: examplesListResult,
    timeoutMs: 10_000,
  }),
  'examples/show': defineCommand({
    name: 'examples/show',
    description: 'One hard example with its picture; only where `telemetry.snapshots` allows it.',
    request: z.strictObject({ example: exampleId }),
    response: pictureResult,
    timeoutMs: 10_000,
  }),
  'examples/label': defineCommand({
    name: 'examples/label',
    description: 'Says what a hard example really is: the word of an operator.',
    request: labelRequest,
    response: exampleSchema,
    timeoutMs: 10_000,
  }),
  'examples/purge': defineCommand({
    name: 'examples/purge',
    description: 'Removes hard examples and their pictures for good.',
    request: purgeRequest,
    response: purgeResult,
    timeoutMs: 120_000,
  }),
  'examples/confusions': defineCommand({
    name: 'examples/confusions',
    description: 'What is observed to be confused with what, worked out now.',
    request: z.strictObject({}),
    response: confusionsBody,
    timeoutMs: 30_000,
  }),
  'camera/restart': defineCommand({
    name: 'camera/restart',
    description: 'Stops the camera and starts it again; answers when frames come, or says why not.',
    request: z.strictObject({}),
    response: z.strictObject({ first_frame_ms: nonNegative.describe('from the restart to the first frame') }),
    timeoutMs: 30_000,
  }),
  ...ADAPT_COMMANDS,
  'log/level': defineCommand({
    name: 'log/level',
    description: 'Changes the log level until the next start; without `level` it only tells.',
    request: z.strictObject({ level: z.enum(LOG_LEVELS).optional() }),
    response: z.strictObject({ level: z.enum(LOG_LEVELS), previous: z.enum(LOG_LEVELS) }),
    timeoutMs: 5_000,
  }),
} as const;

export type CommandName = keyof typeof COMMANDS;
export type CommandRequest<N extends CommandName> = z.output<(typeof COMMANDS)[N]['request']>;
export type CommandResult<N extends CommandName> = z.input<(typeof COMMANDS)[N]['response']>;

/** Ties a request to its answer where MQTT 5 correlation data are not at hand. */
export const transactionSchema = z.union([z.string().max(128), z.int()]);

/** The wire form of a request: its own fields and an optional `transaction`. */
export const requestMessage = (definition: CommandDefinition): z.ZodObject =>
  definition.request
    .extend({ transaction: transactionSchema.optional().describe('comes back in the answer') })
    .meta({ title: `cmd/${definition.name}`, description: definition.description });

export const failureSchema = z.strictObject({
  ok: z.literal(false),
  error: z.strictObject({
    code: z.string().describe('for machines, for example `BAD_COMMAND`, `BUSY`, `TIMEOUT`'),
    message: z.string().describe('for people: one plain sentence'),
  }),
  transaction: transactionSchema.optional(),
});

/** The wire form of an answer. */
export const answerMessage = (definition: CommandDefinition): z.ZodType =>
  z
    .union([
      z.strictObject({
        ok: z.literal(true),
        result: definition.response,
        transaction: transactionSchema.optional(),
      }),
      failureSchema,
    ])
    .meta({ title: `res/${definition.name}`, description: `Answer to \`cmd/${definition.name}\`.` });
