// The façade that the daemon holds: states, messages, commands and remote configuration over one MQTT connection.
import { canonical, type Config, type MqttConfig } from '../config/index.js';
import { messageOf } from '../errors.js';
import type { Store } from '../store/index.js';
import { Emitter, type Log } from '../system/index.js';
import { Answers } from './answers.js';
import { brokerOf } from './broker.js';
import { type CommandHandler, CommandRegistry } from './commands.js';
import type { DesiredChange } from './change.js';
import {
  composeAvailability,
  composeOutbox,
  composeReported,
  composeState,
  problemsOf,
  type StateMessage,
} from './compose.js';
import { Connection } from './connection.js';
import { Frames } from './frames.js';
import { DesiredInbox } from './inbox.js';
import type { Incoming, Link } from './link.js';
import { OutboxPump } from './pump.js';
import { Requests } from './requests.js';
import { RetainedStates } from './states.js';
import type {
  CommandName,
  CommandRequest,
  CommandResult,
  FrameBody,
  OutboxBody,
  OutboxTopic,
  StateBody,
  StateTopic,
} from './topics/index.js';
import type { ConfigTwin } from './twin.js';

/** The goodbye gets this long, also when `graceMs` is used up. */
const GOODBYE_MS = 500;

export interface TelemetryOptions {
  /** The configuration in force: `device`, `mqtt` and `telemetry` are read. */
  readonly config: Config;
  readonly store: Store;
  readonly bootId: string;
  readonly log: Log;
  /** Without it `config/desired` is not subscribed to. */
  readonly twin?: ConfigTwin;
  /** Shared with the control socket; one of its own when left out. */
  readonly commands?: CommandRegistry;
}

export interface TelemetryEvents {
  /** The connection to the broker stands. */
  connected: undefined;
  /** It does not any more, or an attempt failed; `reason` is a sentence. */
  disconnected: { readonly reason: string };
  /** A configuration to take up: call `accept()` or `reject([...])` on it. */
  desired: DesiredChange;
}

export interface TelemetryCounters {
  readonly connected: boolean;
  readonly connections: number;
  /** Outbox messages that the broker acknowledged. */
  readonly sent: number;
  /** Outbox messages that were handed over a second time, after a break. */
  readonly resent: number;
  /** Outbox messages that the broker refused for good. */
  readonly refused: number;
  /** Outbox messages that were too old to be sent. */
  readonly expired: number;
  readonly framesSent: number;
  readonly framesDropped: number;
  /** Messages that did not fit their schema or could not be stored: defects of bitlane. */
  readonly invalid: number;
}

const sameBroker = (a: MqttConfig, b: MqttConfig): boolean =>
  canonical({ ...a, root: '' }) === canonical({ ...b, root: '' });

export class Telemetry extends Emitter<TelemetryEvents> {
  readonly commands: CommandRegistry;
  readonly #options: TelemetryOptions;
  readonly #log: Log;
  /** `<root>/<device>/`: another root or device takes effect at the next start. */
  readonly #prefix: string;
  readonly #connection: Connection;
  readonly #states: RetainedStates;
  readonly #answers: Answers;
  readonly #pump: OutboxPump;
  readonly #requests: Requests;
  readonly #frames: Frames;
  readonly #desired: DesiredInbox | undefined;
  #config: Config;
  #running = false;
  #drain: NodeJS.Immediate | undefined;
  #drained: (() => void) | undefined;
  #connections = 0;
  #invalid = 0;

  constructor(options: TelemetryOptions) {
    super();
    const { config, log } = options;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    this.commands = options.commands ?? new CommandRegistry({ log: log.child('commands') });
    this.#prefix = `${config.mqtt.root}/${config.device}/`;
    this.#states = new RetainedStates(this.#prefix, log);
    this.#answers = new Answers(log);
    this.#pump = new OutboxPump(options.store.outbox, this.#prefix, log);
    this.#frames = new Frames({
      topic: `${this.#prefix}telemetry`,
      bootId: options.bootId,
      invalid: (error) => this.#refuse('telemetry', problemsOf(error)),
    });
    this.#requests = new Requests({
      root: config.mqtt.root,
      device: config.device,
      commands: this.commands,
      answers: this.#answers,
      log,
      answered: () => this.#kick(),
    });
    this.#connection = new Connection({
      log,
      clientId: (mqtt) => mqtt.clientId ?? `bitlane-${config.device}`,
      will: { topic: `${this.#prefix}availability`, payload: composeAvailability('offline', options.bootId) },
    });
    this.#connection.on('up', (link) => this.#up(link));
    this.#connection.on('message', (message) => this.#received(message));
    this.#connection.on('down', ({ reason, byBroker, wasUp }) => {
      const cause = byBroker && wasUp ? 'closed' : 'away';
      this.#states.detach(cause);
      this.#pump.detach(cause);
      this.#kick();
      this.emit('disconnected', { reason });
    });
    options.twin?.on('reported', () => this.#report());
    if (options.twin !== undefined) {
      const changed = (change: DesiredChange): void => this.emit('desired', change);
      this.#desired = new DesiredInbox({ twin: options.twin, log, changed });
    }
  }

  get counters(): TelemetryCounters {
    const { sent, resent, refused, expired } = this.#pump.counters;
    return {
      connected: this.#connection.link !== undefined,
      connections: this.#connections,
      sent,
      resent,
      refused,
      expired,
      ...this.#frames.counters,
      invalid: this.#invalid,
    };
  }

  /** Begins to connect; does not wait for the broker. Does nothing where no broker is configured. */
  start(): Promise<void> {
    if (!this.#running) {
      this.#running = true;
      this.#report();
      this.#connection.open(brokerOf(this.#config.mqtt));
    }
    return Promise.resolve();
  }

  /** Sends what it can within `graceMs`, publishes `stopped` and disconnects. */
  async stop(graceMs = 3_000): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    if (this.#options.commands === undefined) this.commands.stop();
    await this.#finish(graceMs);
  }

  /** Takes changed `mqtt` and `telemetry` settings up; reconnects where `mqtt` changed, without waiting for the broker. */
  async configure(config: Config): Promise<void> {
    const previous = this.#config;
    this.#config = config;
    if (!this.#running || sameBroker(previous.mqtt, config.mqtt)) return;
    await this.#finish(GOODBYE_MS);
    this.#states.forgive();
    // It may have been stopped in between.
    if (this.#isRunning()) this.#connection.open(brokerOf(this.#config.mqtt));
  }

  #isRunning(): boolean {
    return this.#running;
  }

  async #finish(graceMs: number): Promise<void> {
    if (this.#connection.link !== undefined) await this.#quiet(graceMs);
    await this.#goodbye();
    await this.#connection.close();
    this.#pump.detach();
  }

  /** Resolves when nothing waits to be sent, when the connection is gone, or after `graceMs`. */
  async #quiet(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
      timer = setTimeout(resolve, graceMs);
      this.#kick();
    });
    clearTimeout(timer);
    this.#drained = undefined;
  }

  async #goodbye(): Promise<void> {
    const link = this.#connection.link;
    if (link === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GOODBYE_MS);
      const payload = composeAvailability('stopped', this.#options.bootId);
      link.publish({ topic: `${this.#prefix}availability`, payload, retain: true }, () => resolve());
    });
    clearTimeout(timer);
  }

  #up(link: Link): void {
    this.#connections += 1;
    this.#states.set('availability', composeAvailability('online', this.#options.bootId), 'online');
    this.#states.renew();
    this.#answers.renew();
    this.#pump.attach(link);
    link.subscribe(`${this.#prefix}cmd/#`, { retained: false });
    if (this.#options.twin !== undefined) {
      link.subscribe(`${this.#prefix}config/desired`, { retained: true });
    }
    this.#kick();
    this.emit('connected', undefined);
  }

  /** Sends what is due, soon: what comes in one turn goes out together. */
  #kick(): void {
    this.#drain ??= setImmediate(() => {
      this.#drain = undefined;
      this.#send();
    });
  }

  /** One of each kind in turn, so that none starves the others. */
  #send(): void {
    const link = this.#connection.link;
    const again = (): void => this.#kick();
    if (link !== undefined) {
      for (let more = true; more;) {
        more = false;
        for (const source of [this.#states, this.#answers, this.#pump]) {
          if (source !== this.#states && this.#states.wantsQuiet) continue;
          if (link.room > 0 && source.sendOne(link, again, this.#states.isClean && this.#answers.isEmpty))
            more = true;
        }
      }
    }
    if (link === undefined || (this.#states.isClean && this.#answers.isEmpty && this.#pump.isIdle)) {
      this.#drained?.();
    }
  }

  #received(message: Incoming): void {
    const topic = message.topic.slice(this.#prefix.length);
    if (topic === 'config/desired') this.#desired?.receive(message.payload);
    else if (topic.startsWith('cmd/')) this.#requests.handle(message);
    else this.#log.info('a message on a topic without a meaning was ignored');
  }

  #report(): void {
    const reported = this.#options.twin?.reported;
    if (reported !== undefined) this.#setState('config/reported', () => composeReported(reported));
  }

  /** Keeps the newest value of a retained state and publishes it when it changed, and again after every reconnect. */
  publishState<T extends StateTopic>(topic: T, body: StateBody<T>): void {
    this.#setState(topic, () => composeState(topic, body, this.#options.bootId));
  }

  #setState(topic: string, compose: () => StateMessage): void {
    try {
      const { payload, content } = compose();
      if (this.#states.set(topic, payload, content)) this.#kick();
    } catch (error) {
      this.#refuse(topic, messageOf(error));
    }
  }

  /**
   * Stores a message in the outbox; it survives an outage and a SIGKILL.
   *
   * @returns its `seq`, or `undefined` when it could not be taken (logged and counted)
   */
  enqueue<T extends OutboxTopic>(topic: T, body: OutboxBody<T>): number | undefined {
    try {
      const { kind, text } = composeOutbox(topic, body);
      const seq = this.#options.store.outbox.append(topic, text, { kind, bootId: this.#options.bootId });
      this.#kick();
      return seq;
    } catch (error) {
      this.#refuse(topic, messageOf(error));
      return undefined;
    }
  }

  /** Detections of one frame, QoS 0. @returns whether it was sent: not when off, offline, too soon or too slow a link */
  publishFrame(body: FrameBody): boolean {
    return this.#frames.send(this.#connection.link, body, this.#config.telemetry);
  }

  #refuse(topic: string, reason: string): void {
    this.#invalid += 1;
    this.#log.error(`a message for ${topic} was dropped: ${reason}`);
  }

  /** Adds a handler for one of the product's commands, over MQTT and the control socket. */
  handle<N extends CommandName>(name: N, handler: CommandHandler<CommandRequest<N>, CommandResult<N>>): void {
    this.commands.handle(name, handler);
  }
}
