// Keeps a link to the broker: opens one, and after its end the next one, with growing waits.
import type { MqttConfig } from '../config/index.js';
import { Backoff, Emitter, type Log } from '../system/index.js';
import { type Down, type Incoming, Link, type LinkOptions } from './link.js';

export interface ConnectionOptions {
  readonly log: Log;
  readonly clientId: (mqtt: MqttConfig) => string;
  readonly will: LinkOptions['will'];
}

export interface ConnectionEvents {
  up: Link;
  /** May come before `up`: a broker that kept our session begins at once. */
  message: Incoming;
  down: Down & { readonly wasUp: boolean };
}

export class Connection extends Emitter<ConnectionEvents> {
  readonly #options: ConnectionOptions;
  #link: Link | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastReason: string | undefined;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
  }

  /** The link that is up. */
  get link(): Link | undefined {
    return this.#link?.isUp === true ? this.#link : undefined;
  }

  /** Begins to connect; does nothing where there is no address. Not to be called twice without {@link close}. */
  open(mqtt: MqttConfig): void {
    const { url } = mqtt;
    if (url === undefined) return;
    const backoff = new Backoff({
      initialMs: mqtt.reconnectInitialMs,
      maxMs: mqtt.reconnectMaxMs,
      // Longer than any wait and attempt, so that waiting itself does not count as a good stretch.
      resetAfterMs: 2 * mqtt.reconnectMaxMs + mqtt.connectTimeoutMs,
    });
    this.#attempt({ ...mqtt, url }, backoff);
  }

  #attempt(mqtt: LinkOptions['mqtt'], backoff: Backoff): void {
    const link = new Link({ mqtt, clientId: this.#options.clientId(mqtt), will: this.#options.will });
    this.#link = link;
    let wasUp = false;
    link.on('up', () => {
      wasUp = true;
      this.#lastReason = undefined;
      this.#options.log.info(`connected to ${mqtt.url}`);
      this.emit('up', link);
    });
    link.on('message', (message) => this.emit('message', message));
    link.on('down', ({ reason, byBroker }) => {
      if (this.#link !== link) return;
      this.#link = undefined;
      const waitMs = Math.round(backoff.next());
      this.#timer = setTimeout(() => this.#attempt(mqtt, backoff), waitMs);
      // Hours of the same outage are one line.
      const isNew = reason !== this.#lastReason;
      this.#lastReason = reason;
      this.#options.log[isNew ? 'warn' : 'debug'](`not connected: ${reason}`, { next_attempt_ms: waitMs });
      this.emit('down', { reason, byBroker, wasUp });
    });
    link.open();
  }

  /** Ends it; {@link open} may be called again. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }
}
