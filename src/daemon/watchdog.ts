// The service manager's watchdog: pinged only when the road was really watched.
import { notify, watchdogIntervalMs } from '../system/index.js';

/** A ping needs a frame *and* an inference since the last one: a daemon that merely lives is not good enough. */
export class Watchdog {
  readonly #intervalMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #frames = 0;
  #inferences = 0;
  #ready = false;

  constructor(intervalMs: number | undefined = watchdogIntervalMs()) {
    this.#intervalMs = intervalMs;
  }

  /** A whole frame arrived from the camera. */
  frame(): void {
    this.#frames += 1;
  }

  /** A frame was detected. */
  inference(): void {
    this.#inferences += 1;
  }

  /** True while READY has been heard by the service manager (or there is none). */
  get ready(): boolean {
    return this.#ready;
  }

  start(): void {
    if (this.#intervalMs === undefined || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#ping(), this.#intervalMs);
  }

  /** Says READY=1 once; tries again on the next call when it was not heard. */
  tellReady(status: string): void {
    if (this.#ready) return;
    this.#ready = notify(`READY=1\nSTATUS=${status}`) || process.env['NOTIFY_SOCKET'] === undefined;
  }

  tellStatus(status: string): void {
    notify(`STATUS=${status}`);
  }

  /** A stop takes its time: the manager is told, and pinged no more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    notify('STOPPING=1');
  }

  #ping(): void {
    if (this.#frames === 0 || this.#inferences === 0) return;
    if (!notify('WATCHDOG=1')) return;
    this.#frames = 0;
    this.#inferences = 0;
  }
}
