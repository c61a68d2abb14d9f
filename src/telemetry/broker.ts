// The embedded broker: for a device without one, and for programs on this device only.
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MqttConfig } from '../config/index.js';
import { Backoff, hasExited, type Log, spawnOwned, stopChild } from '../system/index.js';
import { BROKER_HOST, brokerReportSchema } from './broker-messages.js';

const SCRIPT = fileURLToPath(new URL('./broker-child.js', import.meta.url));
const GRACE_MS = 1_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A broker that ran for so long was a good one. */
const GOOD_MS = 60_000;
/** Beside what JavaScript takes anyway: retained states and short queues. */
const HEAP_MB = 64;

/** The broker to connect to: the embedded one where there is one. It speaks 3.1.1. */
export const brokerOf = (mqtt: MqttConfig): MqttConfig =>
  mqtt.embeddedPort === undefined
    ? mqtt
    : { ...mqtt, url: `mqtt://${BROKER_HOST}:${mqtt.embeddedPort}`, protocolVersion: 4 };

/** A broker in a child process, started again when it ends. What it retained is gone then; who publishes it does so again. */
export class EmbeddedBroker {
  readonly #port: number;
  readonly #log: Log;
  readonly #backoff = new Backoff({
    initialMs: FIRST_WAIT_MS,
    maxMs: LONGEST_WAIT_MS,
    resetAfterMs: GOOD_MS,
  });
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running = false;

  constructor(port: number, log: Log) {
    this.#port = port;
    this.#log = log;
  }

  /** Starts it; does not wait until it listens. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#spawn();
  }

  /** Resolves when its process is gone. */
  async stop(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await stopChild(child, GRACE_MS);
  }

  #spawn(): void {
    const child = spawnOwned(
      process.execPath,
      [`--max-old-space-size=${HEAP_MB}`, SCRIPT, String(this.#port)],
      { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
    );
    this.#child = child;
    let reason = 'it ended by itself';
    child.on('message', (raw) => {
      const report = brokerReportSchema.safeParse(raw);
      if (!report.success) return;
      if (report.data.type === 'failed') reason = report.data.message;
      else this.#log.info(`the embedded broker listens on ${BROKER_HOST}:${this.#port}`);
    });
    let isOver = false;
    const over = (why: string): void => {
      if (isOver) return;
      isOver = true;
      if (this.#child !== child || !this.#running) return;
      this.#child = undefined;
      const waitMs = Math.round(this.#backoff.next());
      this.#log.warn(`the embedded broker on port ${this.#port} is away: ${why}`, {
        next_attempt_ms: waitMs,
      });
      this.#timer = setTimeout(() => this.#spawn(), waitMs);
    };
    child.on('error', (error) => over(error.message));
    child.on('exit', () => over(reason));
    if (hasExited(child)) over(reason);
  }
}
