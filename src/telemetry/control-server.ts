// The control socket: the command line talks to the running daemon here, one JSON line a request and one an answer.
import type { Log } from '../system/index.js';
import type { CommandRegistry } from './commands.js';
import { join } from 'node:path';

/** Where the socket of a daemon with this runtime folder is. */
export const controlSocketPath = (runtimeDir: string): string => join(runtimeDir, 'control.sock');

export interface ControlServerOptions {
  readonly runtimeDir: string;
  readonly commands: CommandRegistry;
  readonly log: Log;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  constructor(options: ControlServerOptions) {
    this.#options = options;
  }
  /** @throws BitlaneError BUSY when another daemon serves this folder */
  start(): Promise<void> {
    return Promise.reject(new Error(`not there yet: ${this.#options.runtimeDir}`));
  }
  stop(): Promise<void> {
    return Promise.resolve();
  }
}
