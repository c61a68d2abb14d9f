// Every topic in one table: the schemas that the code publishes with, from which the JSON Schema files and the reference are made.
import type { z } from 'zod';
import { adaptStateBody } from './adaptation.js';
import { answerMessage, COMMANDS, requestMessage } from './commands.js';
import { envelope, stamp } from './common.js';
import { confusionsBody } from './examples.js';
import { countsBody, exampleBody, frameBody, modelEventBody, trackBody } from './messages.js';
import { availabilityMessage, healthBody, infoBody, modelStateBody } from './state.js';
import { desiredMessage, reportedMessage } from './twin.js';

export type { AdaptationEntry } from './adaptation.js';
export * from './commands.js';
export { envelope, MESSAGE_SCHEMA, stamp } from './common.js';
export { type DesiredConfig, desiredMessage, type ReportedConfig, reportedMessage } from './twin.js';
export { availabilityMessage };
export { type ExampleMessage, exampleSchema, pictureResult } from './examples.js';

/** Retained states that the daemon publishes with `publishState`. */
export const STATES = {
  info: infoBody,
  'model/state': modelStateBody,
  'adapt/state': adaptStateBody,
  health: healthBody,
  confusions: confusionsBody,
} as const;
export type StateTopic = keyof typeof STATES;
export type StateBody<T extends StateTopic> = z.input<(typeof STATES)[T]>;

/** Messages of the outbox. */
export const OUTBOX_BODIES = {
  counts: countsBody,
  'event/track': trackBody,
  'event/model': modelEventBody,
  'event/example': exampleBody,
} as const;
export type OutboxKey = keyof typeof OUTBOX_BODIES;
/** `counts/<interval in seconds>` or one of the events. */
export type OutboxTopic = `counts/${number}` | Exclude<OutboxKey, 'counts'>;
export type OutboxBody<T extends OutboxTopic> = z.input<
  (typeof OUTBOX_BODIES)[T extends Exclude<OutboxKey, 'counts'> ? T : 'counts']
>;

export { frameBody };
export type FrameBody = z.input<typeof frameBody>;

/** A topic as the reference shows it. */
export interface TopicSpec {
  /** Below `<root>/<device>/`. */
  readonly topic: string;
  /** Name of its JSON Schema file. */
  readonly file: string;
  readonly direction: 'out' | 'in';
  readonly retained: boolean;
  readonly qos: 0 | 1;
  readonly outbox: boolean;
  readonly schema: z.ZodType;
}

const file = (topic: string): string => topic.replace(/\/<.*>$/, '').replaceAll('/', '-');
const state = (topic: string, schema: z.ZodType): TopicSpec => ({
  topic,
  file: file(topic),
  direction: 'out',
  retained: true,
  qos: 1,
  outbox: false,
  schema,
});
const stored = (topic: string, body: z.ZodObject): TopicSpec => ({
  topic,
  file: file(topic),
  direction: 'out',
  retained: false,
  qos: 1,
  outbox: true,
  schema: body.extend(envelope).meta(body.meta() ?? {}),
});
const stamped = (body: z.ZodObject): z.ZodObject => body.extend(stamp).meta(body.meta() ?? {});

export const TOPICS: readonly TopicSpec[] = [
  state('availability', availabilityMessage),
  state('info', stamped(infoBody)),
  state('model/state', stamped(modelStateBody)),
  state('adapt/state', stamped(adaptStateBody)),
  state('health', stamped(healthBody)),
  state('confusions', stamped(confusionsBody)),
  { ...state('telemetry', stamped(frameBody)), retained: false, qos: 0 },
  stored('counts/<interval>', countsBody),
  stored('event/track', trackBody),
  stored('event/model', modelEventBody),
  stored('event/example', exampleBody),
  { ...state('config/desired', desiredMessage), direction: 'in' },
  state('config/reported', reportedMessage),
  ...Object.values(COMMANDS).flatMap((command): TopicSpec[] => [
    { ...state(`cmd/${command.name}`, requestMessage(command)), direction: 'in', retained: false },
    { ...state(`res/${command.name}`, answerMessage(command)), retained: false },
  ]),
];
