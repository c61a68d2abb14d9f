// Finds the message for which a broker closes the connection instead of refusing it.

/** Connections lost in a row, without one acknowledgement, before messages are sent one at a time. */
const LOSSES = 2;
/** Connections that the broker closed over the same message, sent alone, before it is given up. */
const STRIKES = 3;

/**
 * mosquitto, for one, closes the connection over a message beyond its `message_size_limit`: sent again first thing on every
 * connection, that message would hold up all others for ever. A broker that goes away by itself looks much the same, so a
 * message is given up only when the broker took everything else on that connection, got this one alone, and closed; three
 * times in a row, and was never out of reach in between.
 */
export class Suspicion {
  #losses = 0;
  #suspect: number | undefined;
  #strikes = 0;

  /** Messages are to be sent one at a time, when nothing else is under way. */
  get isCareful(): boolean {
    return this.#losses >= LOSSES;
  }

  /** A message was acknowledged, or the broker cannot be reached: no message is to blame. */
  clear(): void {
    this.#losses = 0;
    this.#suspect = undefined;
    this.#strikes = 0;
  }

  /**
   * The broker closed a connection on which it acknowledged none of the messages.
   *
   * @param underWay their numbers
   * @returns the one to give up
   */
  lost(underWay: readonly number[]): number | undefined {
    const [first] = underWay;
    if (first === undefined) return undefined;
    const wasAlone = this.isCareful && underWay.length === 1;
    this.#losses += 1;
    if (!wasAlone) return undefined;
    this.#strikes = this.#suspect === first ? this.#strikes + 1 : 1;
    this.#suspect = first;
    if (this.#strikes < STRIKES) return undefined;
    this.#suspect = undefined;
    this.#strikes = 0;
    return first;
  }
}
