// Commands that come over MQTT: which are run, and where their answers may go.
import { createHash } from 'node:crypto';
import { quote } from '../config/index.js';
import type { Log } from '../system/index.js';
import type { Answers } from './answers.js';
import type { CommandAnswer, CommandRegistry } from './commands.js';
import type { Incoming } from './link.js';

const MAX_RESPONSE_TOPIC_BYTES = 512;
/** The last messages that a redelivery is compared with. */
const REMEMBERED = 64;
const NAME = /^[a-z0-9_-]{1,64}(\/[a-z0-9_-]{1,64}){0,3}$/;

/** What is wrong with a response topic, or `undefined`: nobody may have us write over a state, a command or the broker's own. */
export const responseTopicProblem = (topic: string, root: string, device: string): string | undefined => {
  if (topic === '') return 'it is empty';
  if (Buffer.byteLength(topic) > MAX_RESPONSE_TOPIC_BYTES) {
    return `it is longer than ${MAX_RESPONSE_TOPIC_BYTES} bytes`;
  }
  if (/[#+]/.test(topic)) return 'it has a wildcard';
  if (/[\u0000-\u001f\u007f-\u009f\ufffd]/.test(topic)) return 'it has a control character';
  if (topic.startsWith('$')) return 'it begins with "$"';
  const isOurs = topic === root || topic.startsWith(`${root}/`);
  const prefix = `${root}/${device}/res/`;
  if (isOurs && (!topic.startsWith(prefix) || topic.length === prefix.length)) {
    return `below ${root}/ only ${prefix}... is taken`;
  }
  return undefined;
};

export interface RequestsOptions {
  readonly root: string;
  readonly device: string;
  readonly commands: CommandRegistry;
  readonly answers: Answers;
  readonly log: Log;
  /** An answer is there to be sent. */
  readonly answered: () => void;
}

export class Requests {
  readonly #options: RequestsOptions;
  readonly #prefix: string;
  /** The QoS 1 messages taken up last, oldest first. */
  readonly #seen = new Set<string>();

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.#prefix = `${options.root}/${options.device}/`;
  }

  /** Takes up a message below `cmd`; never throws. One answer comes of it, or a line in the log. */
  handle(message: Incoming): void {
    const name = message.topic.slice(`${this.#prefix}cmd/`.length);
    const { log } = this.#options;
    if (message.retain) {
      log.warn(`the command ${quote(name)} was ignored: it is retained, and would be run at every start`);
      return;
    }
    if (this.#isRepeated(message)) {
      log.info(`the command ${quote(name)} was ignored: the broker sent it twice`);
      return;
    }
    const { responseTopic } = message;
    const problem =
      responseTopic === undefined
        ? undefined
        : responseTopicProblem(responseTopic, this.#options.root, this.#options.device);
    const isNamed = NAME.test(name);
    if (problem !== undefined || !isNamed) {
      const why =
        problem === undefined ? 'that is no name of a command' : `its response topic is refused: ${problem}`;
      log.warn(`the command ${quote(name)} was not run: ${why}`);
      const refusal = {
        ok: false,
        error: { code: 'BAD_COMMAND', message: `${quote(name)}: ${why}` },
      } as const;
      if (problem === undefined && responseTopic !== undefined) this.#answer(responseTopic, refusal, message);
      else if (isNamed) this.#answer(`${this.#prefix}res/${name}`, refusal, message);
      return;
    }
    void this.#run(name, responseTopic ?? `${this.#prefix}res/${name}`, message);
  }

  async #run(name: string, topic: string, message: Incoming): Promise<void> {
    const answer = await this.#options.commands.dispatch(name, message.payload, 'mqtt');
    this.#answer(topic, answer, message);
  }

  #answer(topic: string, answer: CommandAnswer, message: Incoming): void {
    this.#options.answers.add(topic, answer, message.correlationData);
    this.#options.answered();
  }

  /**
   * A message is acknowledged when it is taken up, not when its command is done: a command that ends the process would
   * otherwise come again at every start. When that acknowledgement is lost, the broker sends the message again, marked.
   */
  #isRepeated(message: Incoming): boolean {
    if (message.messageId === undefined || message.messageId === 0) return false;
    const key = createHash('sha256')
      .update(`${message.messageId}\n${message.topic}\n${message.responseTopic ?? ''}\n`)
      .update(message.correlationData ?? '')
      .update('\n')
      .update(message.payload)
      .digest('base64');
    if (message.dup && this.#seen.has(key)) return true;
    this.#seen.delete(key);
    this.#seen.add(key);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= REMEMBERED) break;
      this.#seen.delete(oldest);
    }
    return false;
  }
}
