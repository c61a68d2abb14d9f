// What every command shares: one JSON document or a text, exit codes, progress, Ctrl-C.
import { SingleBar } from 'cli-progress';
import { asBitlaneError, BitlaneError } from '../errors.js';
import { type Log, RootLog } from '../system/index.js';

export interface Progress {
  /** Sets the amount done so far, and what stands beside it. */
  update(done: number, note?: string): void;
  stop(): void;
}

/** Exit codes: 0 success, 1 failure, 2 bad input. */
export class Cli {
  readonly rootLog: RootLog;
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  #json = false;
  #printed = false;

  constructor() {
    this.rootLog = new RootLog({ level: 'warn' });
    this.signal = this.#abort.signal;
  }

  get log(): Log {
    return this.rootLog.part('bitlane');
  }

  /** Whether `--json` was given: exactly one JSON document goes to stdout. */
  get json(): boolean {
    return this.#json;
  }

  /** Aborts {@link signal}: long work stops at its next step. */
  abort(): void {
    this.#abort.abort(new BitlaneError('TIMEOUT', 'interrupted before it was done'));
  }

  /** Prints a command's result: `value` with `--json`, the text else. */
  print(value: unknown, text: () => string): void {
    if (this.#json) {
      if (this.#printed) throw new BitlaneError('INTERNAL', 'a command prints one JSON document only');
      this.#printed = true;
      process.stdout.write(`${JSON.stringify(value)}\n`);
    } else {
      process.stdout.write(`${text()}\n`);
    }
  }

  /** A progress bar on stderr; silent where stderr is no terminal. `unit` names what is counted. */
  progress(label: string, total: number, unit = ''): Progress {
    if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
    const bar = new SingleBar({
      format: `${label} [{bar}] {value}/{total}${unit === '' ? '' : ` ${unit}`}  {left}  {note}`,
      hideCursor: true,
      stream: process.stderr,
    });
    const began = performance.now();
    /** Nothing is known before something is done. */
    const left = (done: number): string => {
      const seconds = (((performance.now() - began) / 1000) * (total - done)) / done;
      if (!Number.isFinite(seconds)) return '';
      const [minutes, rest] = [Math.floor(seconds / 60), Math.ceil(seconds % 60)];
      return minutes === 0 ? `${rest} s left` : `${minutes} min left`;
    };
    bar.start(total, 0, { note: '', left: '' });
    return {
      update: (done, note = '') => bar.update(done, { note, left: left(done) }),
      stop: () => bar.stop(),
    };
  }

  /**
   * Wraps a command's action: an error becomes one plain sentence (or `{"error": {code, message}}` with `--json`) and an exit
   * code.
   */
  action<Options extends object, Rest extends unknown[]>(
    work: (options: Options & { json?: boolean }, ...rest: Rest) => Promise<void> | void,
  ): (...values: unknown[]) => Promise<void> {
    return async (...values) => {
      // Commander calls with the positional arguments, the options and the command itself.
      const options = values.at(-2) as Options & { json?: boolean };
      const positional = values.slice(0, -2) as Rest;
      this.#json = options.json === true;
      try {
        await work(options, ...positional);
      } catch (thrown) {
        this.fail(thrown);
      }
    };
  }

  /** Reports a failure and sets the exit code. */
  fail(thrown: unknown): void {
    const error = asBitlaneError(thrown);
    if (this.#json && !this.#printed) {
      this.#printed = true;
      process.stdout.write(`${JSON.stringify({ error: { code: error.code, message: error.message } })}\n`);
    }
    process.stderr.write(`bitlane: ${error.message}\n`);
    if (error.code === 'INTERNAL' && error.stack !== undefined && this.rootLog.level === 'debug') {
      process.stderr.write(`${error.stack}\n`);
    }
    process.exitCode = error.isInputError ? 2 : 1;
  }
}
