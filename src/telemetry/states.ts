// Retained states: the newest value of each, published when it changed and again after every reconnect.
import type { Log } from '../system/index.js';
import type { Link, Outcome } from './link.js';

/** Connections in a row that the broker closed over a state, all but the first with nothing else under way. */
const MAX_LOSSES = 3;
/** Connections that are ended over a state that the broker refuses for now; then the others go on without it. */
const MAX_REFUSALS = 3;
/** One that is left out is tried again after this long: the broker may have been to blame, or be another one now. */
const LEFT_OUT_MS = 3_600_000;

interface State {
  payload: string;
  /** What is compared: the value without its stamp. */
  content: string;
  dirty: boolean;
  inFlight: boolean;
  /** Since it was last acknowledged. */
  losses: number;
  refusals: number;
  /** The broker closes the connection over so many bytes. */
  tooLarge: { readonly bytes: number; readonly untilMs: number } | undefined;
}

const bytesOf = ({ payload }: State): number => Buffer.byteLength(payload);

const isLeftOut = (state: State): boolean =>
  state.tooLarge !== undefined &&
  bytesOf(state) >= state.tooLarge.bytes &&
  performance.now() < state.tooLarge.untilMs;

const isDue = (state: State): boolean => state.dirty && !state.inFlight && !isLeftOut(state);

const isSuspect = (state: State): boolean => state.losses > 0;

/**
 * mosquitto, for one, closes the connection over a message beyond its `message_size_limit`; a state goes out again with every
 * connection, and would break every one. So one that was under way when the broker closed is sent alone the next time, and
 * left out when the broker closes again and again.
 */
export class RetainedStates {
  readonly #prefix: string;
  readonly #log: Log;
  readonly #states = new Map<string, State>();
  /** Those that were under way when the connection ended. */
  #lost: string[] = [];

  constructor(prefix: string, log: Log) {
    this.#prefix = prefix;
    this.#log = log;
  }

  get isClean(): boolean {
    return [...this.#states.values()].every((state) => !state.inFlight && !isDue(state));
  }

  /** A state is, or is to be, under way alone: others wait. */
  get wantsQuiet(): boolean {
    return [...this.#states.values()].some((state) => isSuspect(state) && (state.inFlight || isDue(state)));
  }

  /** Takes a value in. @returns whether there is something to publish */
  set(topic: string, payload: string, content: string): boolean {
    const state = this.#states.get(topic);
    if (state === undefined) {
      const fresh = { dirty: true, inFlight: false, losses: 0, refusals: 0, tooLarge: undefined };
      this.#states.set(topic, { payload, content, ...fresh });
      return true;
    }
    if (state.content === content) return false;
    Object.assign(state, { payload, content, dirty: true });
    return true;
  }

  /** A new connection: all of them go out again. */
  renew(): void {
    this.#lost = [];
    for (const state of this.#states.values()) Object.assign(state, { dirty: true, inFlight: false });
  }

  /** Another broker: what one took not, the other may. */
  forgive(): void {
    for (const state of this.#states.values()) Object.assign(state, { losses: 0, tooLarge: undefined });
  }

  /**
   * The connection ended.
   *
   * @param cause `closed`: the broker ended one that stood; `away`: it was not reached, or fell silent
   */
  detach(cause: 'closed' | 'away'): void {
    const lost = this.#lost;
    this.#lost = [];
    if (cause === 'away') {
      for (const state of this.#states.values()) state.losses = 0;
      return;
    }
    for (const topic of lost) {
      const state = this.#states.get(topic);
      if (state !== undefined) this.#suspect(topic, state);
    }
  }

  #suspect(topic: string, state: State): void {
    state.losses += 1;
    if (state.losses < MAX_LOSSES) return;
    const bytes = bytesOf(state);
    if (state.tooLarge === undefined) {
      this.#log.error(
        `${topic} (${bytes} bytes) is left out: the broker closes the connection whenever it is sent`,
      );
    }
    // The next time once is enough.
    state.losses = MAX_LOSSES - 1;
    state.tooLarge = { bytes, untilMs: performance.now() + LEFT_OUT_MS };
  }

  /** Publishes one that is due; a value that is under way is waited for, so that a fast writer cannot fill the connection. */
  sendOne(link: Link, settled: () => void): boolean {
    const due = [...this.#states].filter(([, state]) => isDue(state));
    const next = due.find(([, state]) => !isSuspect(state)) ?? (link.isIdle ? due[0] : undefined);
    if (next === undefined || this.#isAlone) return false;
    const [topic, state] = next;
    Object.assign(state, { dirty: false, inFlight: true });
    link.publish({ topic: `${this.#prefix}${topic}`, payload: state.payload, retain: true }, (outcome) => {
      this.#answered(topic, state, outcome);
      if (outcome.kind === 'refused' && outcome.isPassing && state.refusals <= MAX_REFUSALS) {
        link.abandon(outcome.reason);
      } else settled();
    });
    return true;
  }

  get #isAlone(): boolean {
    return [...this.#states.values()].some((state) => isSuspect(state) && state.inFlight);
  }

  #answered(topic: string, state: State, outcome: Outcome): void {
    state.inFlight = false;
    if (outcome.kind === 'lost') {
      state.dirty = true;
      this.#lost.push(topic);
      return;
    }
    Object.assign(state, { losses: 0, tooLarge: undefined });
    if (outcome.kind === 'acknowledged') {
      state.refusals = 0;
      return;
    }
    state.refusals += 1;
    // A broker in trouble refuses it with every connection.
    const isNew = !outcome.isPassing || state.refusals === 1;
    this.#log[isNew ? 'error' : 'debug'](`${topic} was refused: ${outcome.reason}`);
  }
}
