// Who owns the adapter's process: starts it behind everything else, watches its memory and its time, and leaves nothing of it behind.
import type { ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BitlaneError, type ErrorCode } from '../../errors.js';
import { endsWithOwner, hasExited, readProcesses, spawnOwned, stopChild } from '../../system/index.js';
import { adapterMessageSchema } from './messages.js';
import { Rests } from './rests.js';
import { type JobResult, readResult } from './result.js';

export interface AdapterOptions {
  /** Folder of the job. */
  readonly folder: string;
  /** Most memory of the adapter and all processes below it, MB. */
  readonly memoryMb: number;
  /** After this long it is ended; the job can be taken up again. */
  readonly deadlineMs: number;
  /** Default 19: what nobody else wants of the processor. Less for tests beside others, where that may be nothing. */
  readonly nice?: number;
  /** Whether it rests while a frame is at work ({@link Adapter.frames}; default: it does). */
  readonly rests?: () => boolean;
  readonly onProgress?: (step: string, done: number, all: number) => void;
}

const SCRIPT = fileURLToPath(new URL('./adapter-child.js', import.meta.url));
const GRACE_MS = 2_000;
const LEAST = 19;
const LOOK_EVERY_MS = 2_000;
const MIB = 2 ** 20;
/** Share of the memory that JavaScript may have; models and pictures lie outside of it. */
const HEAP = 0.5;

const IONICE = ['/usr/bin/ionice', '/bin/ionice'].find((path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

/** The command with the least of the processor and of the disk (util-linux `ionice`, where it is there). Each execs: one pid. */
const behindAll = (nice: number, command: string, args: readonly string[]): [string, readonly string[]] => {
  const all = ['-n', String(nice), command, ...args];
  return IONICE === undefined ? ['nice', all] : [IONICE, ['-c', '3', '-t', 'nice', ...all]];
};

/** One run of one job. Start it once; {@link stop} at any time. */
export class Adapter {
  readonly #options: AdapterOptions;
  readonly #rests = new Rests((rests) => this.#signal(rests ? 'SIGSTOP' : 'SIGCONT'));
  #child: ChildProcess | undefined;
  #busy = false;
  #hasSpoken = false;
  #reason: BitlaneError | undefined;
  #looks: NodeJS.Timeout | undefined;
  #peakMb = 0;

  constructor(options: AdapterOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Most memory that was seen of it and all below it, MB. */
  get peakMb(): number {
    return this.#peakMb;
  }

  /**
   * Runs the job to its end.
   *
   * @throws BitlaneError `TIMEOUT` when it was stopped or came to its deadline, `UNSUPPORTED` when it needed more memory than it may
   *   have, what the adapter failed with, `INTERNAL` when it ended without a word. It can be taken up again, but for `UNSUPPORTED`.
   */
  async run(): Promise<JobResult> {
    const { folder, deadlineMs, memoryMb, nice = LEAST, onProgress } = this.#options;
    if (this.#child !== undefined) throw new BitlaneError('INTERNAL', 'an adapter runs once');
    const heap = Math.max(64, Math.floor(HEAP * memoryMb));
    const [command, args] = behindAll(nice, process.execPath, [SCRIPT, folder]);
    const child = spawnOwned(command, args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A group of its own: what it starts rests with it.
      detached: true,
      // For the processes below it as well.
      env: {
        ...process.env,
        NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --max-old-space-size=${heap}`.trim(),
        UV_THREADPOOL_SIZE: '2',
      },
    });
    this.#child = child;
    const deadline = setTimeout(() => {
      this.#end(
        new BitlaneError(
          'TIMEOUT',
          `the adaptation was not done after ${Math.round(deadlineMs / 60_000)} minutes`,
        ),
      );
    }, deadlineMs);
    this.#watch();
    child.on('message', (raw) => {
      const parsed = adapterMessageSchema.safeParse(raw);
      if (!parsed.success) return;
      const message = parsed.data;
      this.#hasSpoken = true;
      this.#rest();
      if (message.type === 'progress') onProgress?.(message.step, message.done, message.all);
      if (message.type === 'timing') this.#rests.timing(message.isTiming);
      if (message.type === 'failed')
        this.#reason ??= new BitlaneError(message.code as ErrorCode, message.message);
    });
    try {
      const how = await new Promise<string>((resolve) => {
        child.on('error', (error) => resolve(error.message));
        child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
      });
      const result = readResult(folder);
      if (result !== undefined) return result;
      throw this.#reason ?? new BitlaneError('INTERNAL', `the adapter ended without a result (${how})`);
    } finally {
      clearTimeout(deadline);
      clearTimeout(this.#looks);
      this.#rests.end();
    }
  }

  /** Whether a frame is at work: it rests until that is done, or for as long as is fair ({@link Rests}). */
  frames(busy: boolean): void {
    this.#busy = busy;
    this.#rest();
  }

  /** Ends it; resolves when nothing of it is left. */
  async stop(reason = new BitlaneError('TIMEOUT', 'the adaptation was stopped')): Promise<void> {
    this.#reason ??= reason;
    clearTimeout(this.#looks);
    // Who rests hears nothing.
    this.#rests.end();
    if (this.#child !== undefined) await stopChild(this.#child, GRACE_MS);
  }

  #rest(): void {
    const { rests = () => true } = this.#options;
    // What rests when its owner is killed must be killed too, for nobody would ever wake it: the kernel does that once it has spoken.
    const may = this.#hasSpoken && endsWithOwner && this.#reason === undefined && rests();
    this.#rests.frames(this.#busy && may);
  }

  /** To it and to all that it has started. */
  #signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    if (this.pid === undefined || this.#child === undefined || hasExited(this.#child)) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // Its group is not there yet, or not any more: there is nobody to wake.
    }
  }

  #end(reason: BitlaneError): void {
    this.#reason ??= reason;
    this.#signal('SIGKILL');
    if (this.#child !== undefined && !hasExited(this.#child)) this.#child.kill('SIGKILL');
  }

  #watch(): void {
    this.#looks = setTimeout(() => {
      void this.#look().finally(() => {
        if (this.#child !== undefined && !hasExited(this.#child)) this.#watch();
      });
    }, LOOK_EVERY_MS);
  }

  async #look(): Promise<void> {
    const { memoryMb } = this.#options;
    this.#rest();
    if (this.pid === undefined) return;
    const bytes = (await readProcesses(this.pid)).reduce((sum, { rssBytes }) => sum + rssBytes, 0);
    this.#peakMb = Math.max(this.#peakMb, bytes / MIB);
    if (bytes <= memoryMb * MIB) return;
    this.#end(
      new BitlaneError(
        'UNSUPPORTED',
        `the adaptation took more than the ${memoryMb} MB of adaptation.memoryMb: give it more, or fewer processes and calibration pictures`,
      ),
    );
  }
}
