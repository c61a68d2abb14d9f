// One connection to the broker, from the attempt to its end; it is not used again after that.
import { connect, type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import type { MqttConfig } from '../config/index.js';
import { Emitter } from '../system/index.js';
import { readCredentials } from './credentials.js';
import { isByBroker, reasonOf, refusalOf } from './reasons.js';

/** Unacknowledged publishes at a time; fewer where the broker asks for fewer. */
const MAX_IN_FLIGHT = 20;
/** Messages that the broker may have under way to us. */
const RECEIVE_MAXIMUM = 16;
/** Larger packets are not sent to us (MQTT 5). */
const MAX_INCOMING_BYTES = 1_048_576;
/** What a packet needs beside topic, payload and its own properties, at most. */
const PACKET_OVERHEAD = 64;
/** How long the broker keeps subscriptions and QoS 1 commands for us: a short break, not yesterday's commands. */
const SESSION_SECONDS = 300;
const QUOTA_EXCEEDED = 0x97;
/** "Unspecified" and "implementation specific": a broker in trouble says so of everything, and takes it an hour later. */
const PASSING: ReadonlySet<number> = new Set([0x80, 0x83]);
const CLOSE_MS = 500;

export interface LinkOptions {
  readonly mqtt: MqttConfig & { readonly url: string };
  readonly clientId: string;
  /** Published by the broker, retained, when this device vanishes. */
  readonly will: { readonly topic: string; readonly payload: string };
}

export interface Incoming {
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly messageId: number | undefined;
  readonly responseTopic: string | undefined;
  readonly correlationData: Buffer | undefined;
}

export interface Down {
  readonly reason: string;
  /** The other side ended it, in contrast to silence and to a failure here. */
  readonly byBroker: boolean;
}

export interface LinkEvents {
  up: undefined;
  message: Incoming;
  /** Comes exactly once, also when it never was up, unless {@link Link.close} was called. */
  down: Down;
}

export interface Outgoing {
  /** The full topic. */
  readonly topic: string;
  readonly payload: string;
  readonly retain?: boolean;
  readonly correlationData?: Buffer;
  readonly expirySeconds?: number;
}

/** `refused`: it will not go through later, unless `isPassing`; `lost`: the connection ended before an answer. */
export type Outcome =
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'refused'; readonly reason: string; readonly isPassing: boolean }
  | { readonly kind: 'lost' };

interface ServerLimits {
  readonly receiveMaximum?: number;
  readonly maximumPacketSize?: number;
}

/**
 * A client of mqtt.js for a single connection. mqtt.js would keep unacknowledged messages in memory and send them again by
 * itself; beside the outbox that makes two copies, whose order nobody vouches for. So a client ends with its connection, and
 * whoever publishes decides what is sent again.
 */
export class Link extends Emitter<LinkEvents> {
  readonly #options: LinkOptions;
  readonly #outstanding = new Set<(outcome: Outcome) => void>();
  #client: MqttClient | undefined;
  #isUp = false;
  #ended = false;
  /** The broker acknowledged something. */
  #hasTaken = false;
  #maxInFlight = MAX_IN_FLIGHT;
  #maxPacketBytes = Number.POSITIVE_INFINITY;

  constructor(options: LinkOptions) {
    super();
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Publishes with QoS 1 that may be added now. */
  get room(): number {
    return this.#isUp ? Math.max(0, this.#maxInFlight - this.#outstanding.size) : 0;
  }

  /** No publish waits for its acknowledgement. */
  get isIdle(): boolean {
    return this.#isUp && this.#outstanding.size === 0;
  }

  /** Bytes that the socket has not taken yet. */
  get backlogBytes(): number {
    return this.#client?.stream.writableLength ?? 0;
  }

  get #isVersion5(): boolean {
    return this.#options.mqtt.protocolVersion === 5;
  }

  /** Begins to connect; what comes of it are the events `up` and `down`. */
  open(): void {
    try {
      const client = connect(this.#options.mqtt.url, this.#clientOptions());
      this.#client = client;
      client.on('connect', () => this.#connected(client));
      client.on('error', (error) => this.#end(reasonOf(error, this.#options.mqtt.url), isByBroker(error)));
      client.on('disconnect', (packet) => this.#end(refusalOf(packet.reasonCode ?? 0), true));
      client.on('close', () => this.#end(`${this.#options.mqtt.url} closed the connection`, true));
      client.on('message', (topic, payload, packet) =>
        this.#received({
          topic,
          payload,
          retain: packet.retain,
          dup: packet.dup,
          messageId: packet.messageId,
          responseTopic: packet.properties?.responseTopic,
          correlationData: packet.properties?.correlationData,
        }),
      );
    } catch (error) {
      setImmediate(() => this.#end(reasonOf(error, this.#options.mqtt.url)));
    }
  }

  #clientOptions(): IClientOptions {
    const { mqtt, clientId, will } = this.#options;
    return {
      clientId,
      protocolVersion: mqtt.protocolVersion,
      // MQTT 3.1.1 knows no end of a session: a command of last week would be run. There a break loses commands instead.
      clean: !this.#isVersion5,
      keepalive: mqtt.keepaliveSeconds,
      connectTimeout: mqtt.connectTimeoutMs,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      timerVariant: 'native',
      will: {
        topic: will.topic,
        payload: Buffer.from(will.payload),
        qos: 1,
        retain: true,
        ...(this.#isVersion5 ? { properties: { willDelayInterval: 0 } } : {}),
      },
      ...(this.#isVersion5
        ? {
            properties: {
              sessionExpiryInterval: SESSION_SECONDS,
              receiveMaximum: RECEIVE_MAXIMUM,
              maximumPacketSize: MAX_INCOMING_BYTES,
            },
          }
        : {}),
      ...readCredentials(mqtt),
    };
  }

  #connected(client: MqttClient): void {
    if (this.#ended) return;
    const limits: ServerLimits = client.serverProperties ?? {};
    this.#maxInFlight = Math.min(MAX_IN_FLIGHT, limits.receiveMaximum ?? MAX_IN_FLIGHT);
    this.#maxPacketBytes = limits.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    this.#isUp = true;
    this.emit('up', undefined);
  }

  #received(message: Incoming): void {
    if (!this.#ended) this.emit('message', message);
  }

  /** Subscribes with QoS 1; a broker that refuses is a reason to end the connection. */
  subscribe(topic: string, options: { readonly retained: boolean }): void {
    this.#client?.subscribe(
      topic,
      this.#isVersion5 ? { qos: 1, rap: true, rh: options.retained ? 0 : 2 } : { qos: 1 },
      (error) => {
        if (error !== null && !this.#ended) {
          this.#end(`the broker does not let this device subscribe to ${topic}: ${error.message}`);
        }
      },
    );
  }

  /** Publishes with QoS 1; `done` is called exactly once, never before this returns. */
  publish(message: Outgoing, done: (outcome: Outcome) => void): void {
    const client = this.#client;
    if (client === undefined || !this.#isUp) {
      setImmediate(done, { kind: 'lost' });
      return;
    }
    const bytes =
      Buffer.byteLength(message.payload) +
      Buffer.byteLength(message.topic) +
      (message.correlationData?.length ?? 0) +
      PACKET_OVERHEAD;
    if (bytes > this.#maxPacketBytes) {
      const reason = `it has ${bytes} bytes, and the broker takes ${this.#maxPacketBytes}`;
      setImmediate(done, { kind: 'refused', reason, isPassing: false });
      return;
    }
    const settle = (outcome: Outcome): void => {
      if (this.#outstanding.delete(settle)) done(outcome);
    };
    this.#outstanding.add(settle);
    client.publish(message.topic, message.payload, this.#publishOptions(message, 1), (error) => {
      if (error === undefined || error === null) {
        this.#hasTaken = true;
        settle({ kind: 'acknowledged' });
      } else this.#notAcknowledged(error, settle);
    });
  }

  #notAcknowledged(error: Error, settle: (outcome: Outcome) => void): void {
    const code = 'code' in error && typeof error.code === 'number' ? error.code : undefined;
    if (code === undefined) settle({ kind: 'lost' });
    // A quota is full today and not tomorrow: what it keeps out stays in order and is tried again.
    else if (code === QUOTA_EXCEEDED) this.#end(refusalOf(code));
    else {
      const reason = `the broker answered with reason code ${code} (${error.message})`;
      settle({ kind: 'refused', reason, isPassing: PASSING.has(code) });
    }
  }

  /** Ends it over a message that must not be passed over. Only a broker that took others on this connection is to blame for it. */
  abandon(reason: string): void {
    this.#end(reason, this.#hasTaken);
  }

  /** Publishes with QoS 0. @returns whether it was handed to the socket */
  publishNow(message: Outgoing): boolean {
    if (this.#client === undefined || !this.#isUp) return false;
    if (Buffer.byteLength(message.payload) + PACKET_OVERHEAD > this.#maxPacketBytes) return false;
    this.#client.publish(message.topic, message.payload, this.#publishOptions(message, 0));
    return true;
  }

  #publishOptions(message: Outgoing, qos: 0 | 1): IClientPublishOptions {
    const retain = message.retain ?? false;
    if (!this.#isVersion5) return { qos, retain };
    return {
      qos,
      retain,
      properties: {
        ...(message.correlationData === undefined ? {} : { correlationData: message.correlationData }),
        ...(message.expirySeconds === undefined ? {} : { messageExpiryInterval: message.expirySeconds }),
      },
    };
  }

  #end(reason: string, byBroker = false): void {
    if (this.#ended) return;
    this.#finish();
    this.#client?.end(true);
    this.emit('down', { reason, byBroker });
  }

  #finish(): void {
    this.#ended = true;
    this.#isUp = false;
    for (const settle of [...this.#outstanding]) settle({ kind: 'lost' });
  }

  /** Says goodbye, so that the last will is not published and the session ends; then it is over, within half a second. */
  async close(): Promise<void> {
    const client = this.#client;
    const wasUp = this.#isUp;
    if (this.#ended) return;
    this.#finish();
    if (client === undefined) return;
    if (wasUp) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSE_MS);
      });
      const goodbye = this.#isVersion5 ? { properties: { sessionExpiryInterval: 0 } } : {};
      await Promise.race([client.endAsync(false, goodbye).catch(() => undefined), late]);
      clearTimeout(timer);
    }
    client.end(true);
    client.stream.destroy();
  }
}
