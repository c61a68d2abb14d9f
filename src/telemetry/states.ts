// Retained states: the newest value of each, published when it changed and again after every reconnect.
import type { Log } from '../system/index.js';
import type { Link } from './link.js';

interface State {
  payload: string;
  /** What is compared: the value without its stamp. */
  content: string;
  dirty: boolean;
  inFlight: boolean;
}

export class RetainedStates {
  readonly #prefix: string;
  readonly #log: Log;
  readonly #states = new Map<string, State>();

  constructor(prefix: string, log: Log) {
    this.#prefix = prefix;
    this.#log = log;
  }

  get isClean(): boolean {
    return [...this.#states.values()].every((state) => !state.dirty && !state.inFlight);
  }

  /** Takes a value in. @returns whether there is something to publish */
  set(topic: string, payload: string, content: string): boolean {
    const state = this.#states.get(topic);
    if (state === undefined) {
      this.#states.set(topic, { payload, content, dirty: true, inFlight: false });
      return true;
    }
    if (state.content === content) return false;
    Object.assign(state, { payload, content, dirty: true });
    return true;
  }

  /** A new connection: all of them go out again. */
  renew(): void {
    for (const state of this.#states.values()) Object.assign(state, { dirty: true, inFlight: false });
  }

  /** Publishes one that is due; a value that is under way is waited for, so that a fast writer cannot fill the connection. */
  sendOne(link: Link, settled: () => void): boolean {
    for (const [topic, state] of this.#states) {
      if (!state.dirty || state.inFlight) continue;
      Object.assign(state, { dirty: false, inFlight: true });
      link.publish({ topic: `${this.#prefix}${topic}`, payload: state.payload, retain: true }, (outcome) => {
        state.inFlight = false;
        if (outcome.kind === 'lost') state.dirty = true;
        if (outcome.kind === 'refused') this.#log.error(`${topic} was refused: ${outcome.reason}`);
        settled();
      });
      return true;
    }
    return false;
  }
}
