// The trial of a remote configuration: in force for a minute without a change and without an end, it is the one to fall back to.
import type { ConfigTwin } from '../telemetry/index.js';

/** After this long a configuration has shown that the daemon runs with it. */
const CONFIRM_MS = 60_000;

export class Trial {
  readonly #twin: ConfigTwin;
  readonly #confirmMs: number;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @param confirmMs for tests */
  constructor(twin: ConfigTwin, confirmMs = CONFIRM_MS) {
    this.#twin = twin;
    this.#confirmMs = confirmMs;
  }

  /** Begins with what is in force now, and anew with everything that is taken up from then on. */
  start(): void {
    this.#twin.on('taken', () => this.#begin());
    this.#begin();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #begin(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => this.#twin.confirm(), this.#confirmMs);
  }
}
