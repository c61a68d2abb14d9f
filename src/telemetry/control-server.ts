// The control socket: the command line talks to the running daemon here, one JSON line a request and one an answer.
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { describeProblems } from '../config/index.js';
import { asBitlaneError, BitlaneError, type ErrorCode, messageOf } from '../errors.js';
import type { Log } from '../system/index.js';
import type { CommandAnswer, CommandRegistry } from './commands.js';

/** A request with its envelope; the request itself is bounded by the registry. */
const MAX_LINE_BYTES = 131_072;
/** A connection that has not sent its line by then is closed. */
const IDLE_MS = 10_000;
const MAX_CONNECTIONS = 16;
const PROBE_MS = 2_000;
const SOCKET_UMASK = 0o117;
/** A longer one would be cut off without a word. */
const MAX_PATH_BYTES = 107;

/** Where the socket of a daemon with this runtime folder is. */
export const controlSocketPath = (runtimeDir: string): string => join(runtimeDir, 'control.sock');

/** @throws BitlaneError BAD_CONFIG when the system cannot hold a socket at this path */
export const assertSocketPath = (path: string): void => {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new BitlaneError(
      'BAD_CONFIG',
      `runtimeDir is too long: ${path} has more than the ${MAX_PATH_BYTES} bytes that a socket may have`,
    );
  }
};

export interface ControlServerOptions {
  readonly runtimeDir: string;
  readonly commands: CommandRegistry;
  readonly log: Log;
  /** How long a connection may be silent before its request is there. */
  readonly idleMs?: number;
}

const envelope = z.strictObject({
  command: z.string().min(1).max(128),
  request: z.record(z.string(), z.unknown()).optional(),
});

const failure = (code: ErrorCode, message: string): CommandAnswer => ({
  ok: false,
  error: { code, message },
});

/** Whether somebody answers at the socket. */
const isServed = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(path);
    const finish = (served: boolean): void => {
      clearTimeout(timer);
      probe.destroy();
      resolve(served);
    };
    // One who accepts nothing for so long is there all the same: its process holds the socket.
    const timer = setTimeout(() => finish(true), PROBE_MS);
    probe.once('connect', () => finish(true));
    probe.once('error', (error) =>
      finish(!('code' in error) || (error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')),
    );
  });

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#path = controlSocketPath(options.runtimeDir);
  }

  /** @throws BitlaneError BUSY when another daemon serves this folder; BAD_CONFIG, UNSUPPORTED when there can be no socket */
  async start(): Promise<void> {
    assertSocketPath(this.#path);
    try {
      mkdirSync(this.#options.runtimeDir, { recursive: true, mode: 0o750 });
      this.#server = await this.#listen().catch((error: unknown) => this.#takeOver(error));
    } catch (error) {
      if (error instanceof BitlaneError) throw error;
      throw new BitlaneError(
        'UNSUPPORTED',
        `the control socket ${this.#path} cannot be opened (${messageOf(error)}): check runtimeDir`,
        { cause: error },
      );
    }
    this.#server.on('error', (error) => this.#options.log.error(`control socket: ${error.message}`));
  }

  /** A socket file that nobody serves was left by a daemon that was killed. */
  async #takeOver(error: unknown): Promise<Server> {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') throw error;
    if (!lstatSync(this.#path).isSocket()) {
      throw new BitlaneError('BUSY', `${this.#path} is in the way: it is no socket; remove it`);
    }
    if (await isServed(this.#path)) {
      throw new BitlaneError('BUSY', `another daemon serves ${this.#path}: stop it first`);
    }
    rmSync(this.#path, { force: true });
    return this.#listen();
  }

  #listen(): Promise<Server> {
    // Half open: a client may say that it has nothing more to ask and still wait for its answer.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    server.maxConnections = MAX_CONNECTIONS;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      // The socket is bound before listen() returns, so nobody else is given this mask, and nobody sees a wider mode.
      const before = process.umask(SOCKET_UMASK);
      try {
        server.listen(this.#path, () => {
          server.off('error', reject);
          resolve(server);
        });
      } finally {
        process.umask(before);
      }
    });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let line = Buffer.alloc(0);
    let isTaken = false;
    const reply = (answer: CommandAnswer): void => {
      if (!socket.destroyed && socket.writable) socket.end(`${JSON.stringify(answer)}\n`);
    };
    const take = (text: string): void => {
      isTaken = true;
      socket.setTimeout(0);
      socket.pause();
      void this.#answer(text).then(reply);
    };
    socket.setTimeout(this.#options.idleMs ?? IDLE_MS, () => {
      isTaken = true;
      reply(failure('TIMEOUT', 'no request came: send one JSON line'));
      socket.destroySoon();
    });
    socket.on('data', (chunk: Buffer) => {
      if (isTaken) return;
      line = Buffer.concat([line, chunk]);
      const end = line.indexOf(0x0a);
      if (end >= 0 && end <= MAX_LINE_BYTES) take(line.subarray(0, end).toString('utf8'));
      else if (line.length > MAX_LINE_BYTES) {
        isTaken = true;
        reply(failure('BAD_COMMAND', `the request is longer than ${MAX_LINE_BYTES} bytes`));
        socket.destroySoon();
      }
    });
    socket.on('end', () => {
      if (isTaken) return;
      if (line.length > 0) take(line.toString('utf8'));
      else socket.end();
    });
    // A client that goes away takes nothing with it: its command runs to its end.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  async #answer(text: string): Promise<CommandAnswer> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return failure('BAD_COMMAND', 'the request is not JSON');
    }
    try {
      const parsed = envelope.safeParse(value);
      if (!parsed.success) {
        const known = (): string[] => ['command', 'request'];
        const problems = describeProblems(parsed.error, 'the request', known);
        return failure('BAD_COMMAND', problems.join('; '));
      }
      const { command, request } = parsed.data;
      return await this.#options.commands.dispatchValue(command, request ?? {}, 'local');
    } catch (error) {
      const { code, message } = asBitlaneError(error);
      return failure(code, message);
    }
  }

  /** Closes the socket and every connection; commands that run go on to their end. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroySoon();
    await closed;
  }
}
