// Answers to commands on their way to the broker: bounded, kept over a break, sent once each.
import type { Log } from '../system/index.js';
import type { CommandAnswer } from './commands.js';
import type { Link, Outcome } from './link.js';

const MAX_ANSWERS = 4_096;
const MAX_BYTES = 16_777_216;
/** Whoever asked has given up by then. */
const MAX_AGE_MS = 300_000;

/** A broker may close the connection over an answer that is too large for it. */
const MAX_LOSSES = 3;

interface Answer {
  readonly topic: string;
  readonly payload: string;
  readonly correlationData: Buffer | undefined;
  readonly transaction: string | number | undefined;
  readonly madeAt: number;
  inFlight: boolean;
  losses: number;
}

export class Answers {
  readonly #log: Log;
  #waiting: Answer[] = [];
  #bytes = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Takes an answer in; one too many is dropped with a line in the log. */
  add(topic: string, answer: CommandAnswer, correlationData: Buffer | undefined): void {
    const payload = JSON.stringify(answer);
    if (this.#waiting.length >= MAX_ANSWERS || this.#bytes + payload.length > MAX_BYTES) {
      this.#log.warn(`an answer was dropped: ${this.#waiting.length} others wait to be sent`);
      return;
    }
    this.#push({
      topic,
      payload,
      correlationData,
      transaction: answer.transaction,
      madeAt: performance.now(),
      inFlight: false,
      losses: 0,
    });
  }

  #push(answer: Answer): void {
    this.#waiting.push(answer);
    this.#bytes += answer.payload.length;
  }

  /** A new connection: what was under way on the old one goes out again. */
  renew(): void {
    const now = performance.now();
    for (const answer of this.#waiting.filter(({ madeAt }) => now - madeAt > MAX_AGE_MS)) {
      this.#remove(answer);
      this.#log.info(`an answer for ${answer.topic} could not be sent in time`);
    }
    for (const answer of this.#waiting) answer.inFlight = false;
  }

  /** Sends one. @returns whether there was one */
  sendOne(link: Link, settled: () => void): boolean {
    const answer = this.#waiting.find(({ inFlight }) => !inFlight);
    if (answer === undefined) return false;
    answer.inFlight = true;
    const { topic, payload, correlationData } = answer;
    link.publish(
      { topic, payload, ...(correlationData === undefined ? {} : { correlationData }) },
      (outcome) => {
        this.#answered(answer, outcome);
        settled();
      },
    );
    return true;
  }

  #answered(answer: Answer, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'lost':
        answer.inFlight = false;
        answer.losses += 1;
        if (answer.losses === MAX_LOSSES) {
          this.#remove(answer);
          this.#log.warn(
            `an answer for ${answer.topic} was dropped: the connection broke whenever it was sent`,
          );
        }
        return;
      case 'acknowledged':
        this.#remove(answer);
        return;
      case 'refused':
        this.#remove(answer);
        this.#log.warn(`an answer for ${answer.topic} was refused: ${outcome.reason}`);
        this.#replace(answer, outcome.reason);
    }
  }

  /** A picture may be too large for the broker; whoever asked should hear that. */
  #replace(answer: Answer, reason: string): void {
    if (answer.payload.length < 4_096) return;
    const { topic, correlationData, transaction } = answer;
    this.add(
      topic,
      {
        ok: false,
        error: { code: 'UNSUPPORTED', message: `the broker did not take the answer: ${reason}` },
        ...(transaction === undefined ? {} : { transaction }),
      },
      correlationData,
    );
  }

  #remove(answer: Answer): void {
    const index = this.#waiting.indexOf(answer);
    if (index < 0) return;
    this.#waiting.splice(index, 1);
    this.#bytes -= answer.payload.length;
  }
}
