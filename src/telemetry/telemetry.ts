// The façade that the daemon holds: states, messages, commands and remote configuration over one MQTT connection.
import type { Config } from '../config/index.js';
import type { Store } from '../store/index.js';
import { Emitter, type Log } from '../system/index.js';
import { type CommandHandler, CommandRegistry } from './commands.js';
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
import type { ConfigTwin, DesiredChange } from './twin.js';

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
  /** It does not any more; `reason` is a sentence. */
  disconnected: { readonly reason: string };
  /** A configuration to take up: call `accept()` or `reject([...])` on it. */
  desired: DesiredChange;
}

export interface TelemetryCounters {
  readonly connected: boolean;
  readonly connections: number;
  readonly sent: number;
  readonly resent: number;
  readonly refused: number;
  readonly framesSent: number;
  readonly framesDropped: number;
  readonly invalid: number;
}

export class Telemetry extends Emitter<TelemetryEvents> {
  readonly commands: CommandRegistry;
  readonly #options: TelemetryOptions;

  constructor(options: TelemetryOptions) {
    super();
    this.#options = options;
    this.commands = options.commands ?? new CommandRegistry({ log: options.log.child('commands') });
  }

  get counters(): TelemetryCounters {
    throw new Error('not there yet');
  }

  /** Begins to connect; does not wait for the broker. Does nothing where `mqtt.url` is left out. */
  start(): Promise<void> {
    return Promise.reject(new Error(`not there yet ${this.#options.bootId}`));
  }

  /** Sends what it can within `graceMs`, publishes `stopped` and disconnects. */
  stop(_graceMs = 3_000): Promise<void> {
    return Promise.resolve();
  }

  /** Takes changed `mqtt` and `telemetry` settings up; reconnects where `mqtt` changed. */
  configure(_config: Config): Promise<void> {
    return Promise.resolve();
  }

  /** Keeps the newest value of a retained state and publishes it when it changed, and again after every reconnect. */
  publishState<T extends StateTopic>(_topic: T, _body: StateBody<T>): void {}

  /**
   * Stores a message in the outbox; it survives an outage and a SIGKILL.
   *
   * @returns its `seq`, or `undefined` when it could not be taken (logged and counted)
   */
  enqueue<T extends OutboxTopic>(_topic: T, _body: OutboxBody<T>): number | undefined {
    return undefined;
  }

  /** Detections of one frame, QoS 0. @returns whether it was sent: not when off, offline, too soon or too slow a link */
  publishFrame(_body: FrameBody): boolean {
    return false;
  }

  /** Adds a handler for one of the product's commands, over MQTT and the control socket. */
  handle<N extends CommandName>(name: N, handler: CommandHandler<CommandRequest<N>, CommandResult<N>>): void {
    this.commands.handle(name, handler);
  }
}
