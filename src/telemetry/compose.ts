// Messages as they go out: checked against their schemas, stamped, as text.
import { canonical, describeProblems } from '../config/index.js';
import { BitlaneError } from '../errors.js';
import {
  availabilityMessage,
  MESSAGE_SCHEMA,
  OUTBOX_BODIES,
  type OutboxBody,
  type OutboxKey,
  type OutboxTopic,
  reportedMessage,
  STATES,
  type StateBody,
  type StateTopic,
} from './topics/index.js';
import type { z } from 'zod';

/** A message of the outbox is never larger. */
const MAX_BODY_BYTES = 262_144;
const COUNTS_TOPIC = /^counts\/[1-9][0-9]{0,8}$/;

export interface StateMessage {
  readonly payload: string;
  /** What makes it worth publishing: two states with the same content are one. */
  readonly content: string;
}

/** What a message breaks of its schema, in one line. Such a message is a defect of bitlane. */
export const problemsOf = (error: z.ZodError): string => describeProblems(error, 'it').join('; ');

const check = <S extends z.ZodType>(schema: S, body: unknown): z.output<S> => {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new BitlaneError('INTERNAL', problemsOf(parsed.error));
  return parsed.data;
};

/** Whether the device is there. @throws BitlaneError `INTERNAL` */
export const composeAvailability = (
  state: z.input<typeof availabilityMessage>['state'],
  bootId: string,
): string => JSON.stringify(check(availabilityMessage, { schema: MESSAGE_SCHEMA, state, boot_id: bootId }));

/** A retained state. @throws BitlaneError `INTERNAL` where it breaks its schema */
export const composeState = <T extends StateTopic>(
  topic: T,
  body: StateBody<T>,
  bootId: string,
): StateMessage => {
  const data = check(STATES[topic], body);
  const ts = new Date().toISOString();
  return {
    payload: JSON.stringify({ schema: MESSAGE_SCHEMA, ts, boot_id: bootId, ...(data as object) }),
    // Health is a sign of life: its time alone is worth a message.
    content: topic === 'health' ? ts : canonical(data),
  };
};

/** `config/reported`. @throws BitlaneError `INTERNAL` where it breaks its schema */
export const composeReported = (reported: unknown): StateMessage => {
  const data = check(reportedMessage, reported);
  const { ts: _ts, ...content } = data;
  return { payload: JSON.stringify(data), content: canonical(content) };
};

/** A message for the outbox. @throws BitlaneError `INTERNAL` where it breaks its schema or is too large */
export const composeOutbox = <T extends OutboxTopic>(
  topic: T,
  body: OutboxBody<T>,
): { readonly kind: 'counts' | 'event'; readonly text: string } => {
  const isCounts = topic.startsWith('counts/');
  if (isCounts && !COUNTS_TOPIC.test(topic))
    throw new BitlaneError('INTERNAL', 'the interval is no whole number');
  const key: OutboxKey = isCounts ? 'counts' : (topic as Exclude<OutboxKey, 'counts'>);
  const text = JSON.stringify(check(OUTBOX_BODIES[key], body));
  if (Buffer.byteLength(text) > MAX_BODY_BYTES)
    throw new BitlaneError('INTERNAL', `it is larger than ${MAX_BODY_BYTES} bytes`);
  return { kind: isCounts ? 'counts' : 'event', text };
};
