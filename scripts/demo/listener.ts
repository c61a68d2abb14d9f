// Listens to what the daemon publishes, and remembers what the story is told from.
import { connectAsync, type MqttClient } from 'mqtt';
import { z } from 'zod';

const pairSchema = z.looseObject({
  a: z.string(),
  b: z.string(),
  a_as_b: z.number(),
  b_as_a: z.number(),
  support: z.number(),
  rate: z.number(),
  critical: z.boolean(),
});

const topics = {
  counts: z.looseObject({
    lines: z.array(z.looseObject({ class: z.string(), direction: z.string(), count: z.number() })),
  }),
  'event/example': z.looseObject({ reason: z.string(), class: z.string(), rival: z.string().optional() }),
  'event/model': z.looseObject({
    step: z.string(),
    model: z.string().nullable(),
    generation: z.number(),
    reason: z.string().optional(),
  }),
  confusions: z.looseObject({ pairs: z.array(pairSchema) }),
  'adapt/state': z.looseObject({
    status: z.string(),
    adaptation: z.string().nullable(),
    step: z.string().nullable(),
    done: z.number(),
    all: z.number(),
    last: z.looseObject({ adaptation: z.string(), outcome: z.string(), reason: z.string() }).nullable(),
  }),
  health: z.looseObject({
    fps: z.number(),
    latency_p95_ms: z.number().nullable(),
    frames: z.looseObject({
      received: z.number(),
      detected: z.number(),
      skipped: z.number(),
      bad: z.number(),
    }),
  }),
} as const;

export type Pair = z.infer<typeof pairSchema>;
export type ModelStep = z.infer<(typeof topics)['event/model']>;
export type AdaptState = z.infer<(typeof topics)['adapt/state']>;
export type Health = z.infer<(typeof topics)['health']>;

/** Signs of life that are looked at for lost frames. */
const LATEST = 5;

/** What was heard so far. */
export class Listener {
  readonly counts = new Map<string, number>();
  readonly examples = new Map<string, number>();
  readonly models: ModelStep[] = [];
  tracks = 0;
  pairs: readonly Pair[] = [];
  adapt: AdaptState | undefined;
  health: Health | undefined;
  /** Frames of which nothing was said yet, at the latest signs of life. */
  readonly #open: number[] = [];
  readonly #prefix: string;
  #client: MqttClient | undefined;

  constructor(device: string) {
    this.#prefix = `bitlane/${device}/`;
  }

  /** A lost frame is missing in every sign of life, one that is on its way in one or two. */
  get lost(): number {
    return this.#open.length === 0 ? 0 : Math.min(...this.#open);
  }

  async open(url: string): Promise<void> {
    const client = await connectAsync(
      url,
      { protocolVersion: 4, reconnectPeriod: 500, connectTimeout: 5_000 },
      false,
    );
    this.#client = client;
    client.on('message', (topic, payload) => {
      try {
        this.#take(topic.slice(this.#prefix.length), payload.toString());
      } catch {
        // Anybody may publish anything below the device's topic: what the story cannot read is no part of it.
      }
    });
    await client.subscribeAsync(`${this.#prefix}#`, { qos: 1 });
  }

  async close(): Promise<void> {
    await this.#client?.endAsync(true);
  }

  async command(name: string, payload: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#client?.publishAsync(`${this.#prefix}cmd/${name}`, JSON.stringify(payload), { qos: 1 });
  }

  /** A sign of life. */
  see({ received, detected, skipped, bad }: Health['frames']): void {
    this.#open.push(received - detected - skipped - bad);
    if (this.#open.length > LATEST) this.#open.shift();
  }

  #take(topic: string, text: string): void {
    const value: unknown = JSON.parse(text);
    if (topic.startsWith('counts/')) {
      for (const { class: name, count } of topics.counts.parse(value).lines) {
        this.counts.set(name, (this.counts.get(name) ?? 0) + count);
      }
      return;
    }
    switch (topic) {
      case 'event/track':
        this.tracks += 1;
        return;
      case 'event/example': {
        const { class: name, rival } = topics[topic].parse(value);
        const pair = rival === undefined ? name : [name, rival].sort().join(' / ');
        this.examples.set(pair, (this.examples.get(pair) ?? 0) + 1);
        return;
      }
      case 'event/model':
        this.models.push(topics[topic].parse(value));
        return;
      case 'confusions':
        this.pairs = topics[topic].parse(value).pairs;
        return;
      case 'adapt/state':
        this.adapt = topics[topic].parse(value);
        return;
      case 'health':
        this.health = topics[topic].parse(value);
        this.see(this.health.frames);
        return;
      default:
    }
  }
}
