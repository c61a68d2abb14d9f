// A consumer beside the road: collects what the broker delivers, and holds every message against its JSON Schema file.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { packageRoot } from '../../src/system/index.js';
import { TOPICS } from '../../src/telemetry/index.js';
import { until } from './mosquitto.js';

const ajv = new Ajv2020({ allErrors: true, strict: false });
addFormats.default(ajv);
ajv.addFormat('base64', /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);
const validators = new Map<string, ValidateFunction>();

/** The validator made from the committed JSON Schema file. */
export const schemaOf = (file: string): ValidateFunction => {
  const known = validators.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(join(packageRoot, 'docs', 'schemas', `${file}.schema.json`), 'utf8');
  const made = ajv.compile(JSON.parse(text) as object);
  validators.set(file, made);
  return made;
};

/** What is wrong with a message that a device published; `undefined` when nothing is. */
export const problemOf = (topic: string, payload: string): string | undefined => {
  // What is sent to the device is for the device to judge.
  if (topic.startsWith('cmd/') || topic === 'config/desired') return undefined;
  const spec = TOPICS.find((candidate) =>
    candidate.topic.includes('<') ? topic.startsWith('counts/') : candidate.topic === topic,
  );
  // An answer below res/ that is no command's own was asked for with a response topic.
  const files =
    spec === undefined && topic.startsWith('res/')
      ? TOPICS.map(({ file }) => file).filter((file) => file.startsWith('res-'))
      : spec === undefined
        ? []
        : [spec.file];
  if (files.length === 0) return `${topic}: no such topic`;
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return `${topic}: no JSON`;
  }
  const problems: string[] = [];
  for (const validate of files.map(schemaOf)) {
    if (validate(value)) return undefined;
    problems.push(ajv.errorsText(validate.errors));
  }
  return `${topic}: ${problems.join('; ')} in ${payload.slice(0, 300)}`;
};

export interface Received {
  /** Below `<root>/<device>/`. */
  readonly topic: string;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly retain: boolean;
  readonly qos: number;
  readonly correlation: string | undefined;
  readonly expiry: number | undefined;
}

export class Consumer {
  readonly client: MqttClient;
  readonly messages: Received[] = [];
  /** Messages that break their schema. */
  readonly invalid: string[] = [];
  readonly #prefix: string;

  private constructor(client: MqttClient, prefix: string) {
    this.client = client;
    this.#prefix = prefix;
    client.on('message', (topic, payload, packet) => {
      const text = payload.toString('utf8');
      const isDevice = topic.startsWith(prefix);
      const below = isDevice ? topic.slice(prefix.length) : topic;
      if (isDevice && text !== '') {
        const problem = problemOf(below, text);
        if (problem !== undefined) this.invalid.push(problem);
      }
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch {
        json = undefined;
      }
      this.messages.push({
        topic: below,
        text,
        json: typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {},
        retain: packet.retain,
        qos: packet.qos,
        correlation: packet.properties?.correlationData?.toString('utf8'),
        expiry: packet.properties?.messageExpiryInterval,
      });
    });
  }

  /** Connects and subscribes to everything of the device, and to `more`. */
  static async open(
    url: string,
    options: IClientOptions & { device?: string; more?: readonly string[] } = {},
  ): Promise<Consumer> {
    const { device = 'camera', more = [], ...rest } = options;
    const client = connect(url, {
      protocolVersion: 5,
      reconnectPeriod: 50,
      connectTimeout: 5_000,
      ...rest,
    });
    client.on('error', () => undefined);
    const consumer = new Consumer(client, `bitlane/${device}/`);
    await until(() => client.connected, 'the consumer connects');
    await client.subscribeAsync([`bitlane/${device}/#`, ...more], { qos: 1 });
    return consumer;
  }

  on(topic: string): Received[] {
    return this.messages.filter((message) => message.topic === topic);
  }

  /** The newest value of a field on a topic. */
  last(topic: string): Readonly<Record<string, unknown>> | undefined {
    return this.on(topic).at(-1)?.json;
  }

  until(check: (consumer: this) => boolean, what: string): Promise<void> {
    return until(() => check(this), `${what}; there were ${this.messages.length} messages`);
  }

  /** Publishes to the device. */
  async send(
    topic: string,
    payload: string | Buffer,
    options: { retain?: boolean; responseTopic?: string; correlation?: string; qos?: 0 | 1 } = {},
  ): Promise<void> {
    const properties = {
      ...(options.responseTopic === undefined ? {} : { responseTopic: options.responseTopic }),
      ...(options.correlation === undefined ? {} : { correlationData: Buffer.from(options.correlation) }),
    };
    await this.client.publishAsync(`${this.#prefix}${topic}`, payload, {
      qos: options.qos ?? 1,
      retain: options.retain ?? false,
      ...(this.client.options.protocolVersion === 5 ? { properties } : {}),
    });
  }

  close(): Promise<void> {
    return this.client.endAsync(true);
  }
}
