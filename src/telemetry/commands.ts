// The command registry: one way in for MQTT and the control socket, exactly one answer for every request.
import type { z } from 'zod';
import { describeProblems, isWithinDepth, quote } from '../config/index.js';
import { BitlaneError, asBitlaneError } from '../errors.js';
import type { Log } from '../system/index.js';
import {
  type CommandDefinition,
  type CommandName,
  type CommandRequest,
  type CommandResult,
  COMMANDS,
  transactionSchema,
} from './topics/index.js';

export type CommandAnswer =
  | { ok: true; result: unknown; transaction?: string | number }
  | { ok: false; error: { code: string; message: string }; transaction?: string | number };

/** Where a request came from: `local` is the control socket. */
export type CommandOrigin = 'mqtt' | 'local';

/** Does the work; `signal` aborts at the command's deadline and at the stop of the daemon. */
export type CommandHandler<Request, Result> = (
  request: Request,
  signal: AbortSignal,
) => Promise<Result> | Result;

export interface CommandCounters {
  readonly running: number;
  readonly answered: number;
  readonly refused: number;
}

const MAX_DEPTH = 32;

export interface CommandRegistryOptions {
  readonly log: Log;
  /** Requests at work at the same time; one more is refused as BUSY. */
  readonly maxRunning?: number;
  readonly maxRequestBytes?: number;
}

interface Registered {
  readonly definition: CommandDefinition;
  readonly handler: CommandHandler<never, unknown>;
}

export class CommandRegistry {
  readonly #log: Log;
  readonly #maxRunning: number;
  readonly #maxRequestBytes: number;
  readonly #commands = new Map<string, Registered>();
  readonly #stop = new AbortController();
  #running = 0;
  #answered = 0;
  #refused = 0;

  constructor(options: CommandRegistryOptions) {
    this.#log = options.log;
    this.#maxRunning = options.maxRunning ?? 4;
    this.#maxRequestBytes = options.maxRequestBytes ?? 65_536;
  }

  get counters(): CommandCounters {
    return { running: this.#running, answered: this.#answered, refused: this.#refused };
  }

  get names(): string[] {
    return [...this.#commands.keys()].sort();
  }

  #namesFor(origin: CommandOrigin): string[] {
    return this.names.filter(
      (name) => origin === 'local' || this.#commands.get(name)?.definition.local !== true,
    );
  }

  /** Adds one of the product's commands. */
  handle<N extends CommandName>(name: N, handler: CommandHandler<CommandRequest<N>, CommandResult<N>>): void {
    this.#add(COMMANDS[name], handler);
  }

  /** Adds a command with a definition of its own (made with `defineCommand`). */
  register<Request extends z.ZodObject, Response extends z.ZodType>(
    definition: CommandDefinition<Request, Response>,
    handler: CommandHandler<z.output<Request>, z.input<Response>>,
  ): void {
    this.#add(definition, handler);
  }

  #add(definition: CommandDefinition, handler: CommandHandler<never, unknown>): void {
    if (this.#commands.has(definition.name)) {
      throw new BitlaneError('INTERNAL', `the command "${definition.name}" has two handlers`);
    }
    this.#commands.set(definition.name, { definition, handler });
  }

  /** Aborts what runs; later requests are refused. */
  stop(): void {
    this.#stop.abort(new BitlaneError('BUSY', 'the daemon is stopping'));
  }

  /** Runs a request given as JSON text. Never throws: whatever arrives gets one answer. */
  async dispatch(name: string, payload: string | Uint8Array, origin: CommandOrigin): Promise<CommandAnswer> {
    let request: unknown;
    try {
      request = this.#parse(name, payload);
    } catch (error) {
      return this.#failure(error, undefined);
    }
    return this.dispatchValue(name, request, origin);
  }

  /** Runs a request that is parsed already. Never throws. */
  async dispatchValue(name: string, value: unknown, origin: CommandOrigin): Promise<CommandAnswer> {
    let transaction: string | number | undefined;
    try {
      const { fields, id } = this.#open(name, value);
      transaction = id;
      const result = await this.#run(name, fields, origin);
      this.#answered += 1;
      return { ok: true, result, ...(transaction === undefined ? {} : { transaction }) };
    } catch (error) {
      return this.#failure(error, transaction);
    }
  }

  #parse(name: string, payload: string | Uint8Array): unknown {
    const bytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.byteLength;
    if (bytes > this.#maxRequestBytes) {
      throw new BitlaneError(
        'BAD_COMMAND',
        `the request for ${quote(name)} has ${bytes} bytes; at most ${this.#maxRequestBytes} are taken`,
      );
    }
    const text = typeof payload === 'string' ? payload : Buffer.from(payload).toString('utf8');
    // A command without anything to say may come with an empty payload.
    if (text.trim() === '') return {};
    try {
      return JSON.parse(text);
    } catch {
      throw new BitlaneError('BAD_COMMAND', `the request for ${quote(name)} is not JSON`);
    }
  }

  #open(name: string, value: unknown): { fields: Record<string, unknown>; id: string | number | undefined } {
    if (
      typeof value !== 'object' ||
      value === null ||
      Array.isArray(value) ||
      !isWithinDepth(value, MAX_DEPTH)
    ) {
      throw new BitlaneError(
        'BAD_COMMAND',
        `the request for ${quote(name)} must be a JSON object, at most ${MAX_DEPTH} levels deep`,
      );
    }
    const { transaction, ...fields } = value as Record<string, unknown>;
    const parsed = transactionSchema.optional().safeParse(transaction);
    if (!parsed.success) {
      throw new BitlaneError(
        'BAD_COMMAND',
        `the transaction of the request for ${quote(name)} must be a whole number or a text of at most 128 characters`,
      );
    }
    return { fields, id: parsed.data };
  }

  async #run(name: string, fields: Record<string, unknown>, origin: CommandOrigin): Promise<unknown> {
    const command = this.#commands.get(name);
    if (command === undefined || (command.definition.local === true && origin !== 'local')) {
      throw new BitlaneError(
        'BAD_COMMAND',
        `there is no command ${quote(name)}; known are ${this.#namesFor(origin).join(', ')}`,
      );
    }
    const request = command.definition.request.safeParse(fields, { reportInput: true });
    if (!request.success) {
      throw new BitlaneError(
        'BAD_COMMAND',
        describeProblems(request.error, `the request for "${name}"`, () =>
          Object.keys(command.definition.request.shape),
        ).join('; '),
      );
    }
    this.#stop.signal.throwIfAborted();
    if (this.#running >= this.#maxRunning) {
      throw new BitlaneError(
        'BUSY',
        `${this.#running} commands are running; try "${name}" again when one is done`,
      );
    }
    return this.#work(command, request.data);
  }

  /** The slot is held until the handler has really ended, also after its deadline. */
  async #work({ definition, handler }: Registered, request: unknown): Promise<unknown> {
    const deadline = new AbortController();
    const signal = AbortSignal.any([deadline.signal, this.#stop.signal]);
    const timer = setTimeout(
      () =>
        deadline.abort(
          new BitlaneError(
            'TIMEOUT',
            `"${definition.name}" was not done after ${definition.timeoutMs / 1_000} s`,
          ),
        ),
      definition.timeoutMs,
    );
    this.#running += 1;
    // The definition's schema made the request what its handler takes.
    const work = Promise.resolve()
      .then(() => handler(request as never, signal))
      .finally(() => {
        this.#running -= 1;
        clearTimeout(timer);
      });
    let giveUp = (): void => undefined;
    const aborted = new Promise<never>((_, reject) => {
      giveUp = () => reject(asBitlaneError(signal.reason));
      signal.addEventListener('abort', giveUp, { once: true });
    });
    // A signal of several is kept, with all that hangs on it, for as long as somebody listens.
    const result: unknown = await Promise.race([work, aborted]).finally(() =>
      signal.removeEventListener('abort', giveUp),
    );
    const answer = definition.response.safeParse(result);
    if (!answer.success) {
      throw new BitlaneError(
        'INTERNAL',
        describeProblems(answer.error, `the answer of "${definition.name}"`).join('; '),
      );
    }
    return answer.data;
  }

  #failure(thrown: unknown, transaction: string | number | undefined): CommandAnswer {
    const error = asBitlaneError(thrown);
    this.#refused += 1;
    if (error.code === 'INTERNAL') this.#log.error(error.message);
    else this.#log.info(`a command was refused: ${error.message}`);
    return {
      ok: false,
      error: { code: error.code, message: error.message },
      ...(transaction === undefined ? {} : { transaction }),
    };
  }
}
