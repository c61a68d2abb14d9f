// Owns a probe process: a deadline and a memory limit for every model, and one plain sentence for each that is not served.
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { BitlaneError } from '../errors.js';
import { hasExited, spawnOwned, stopChild } from '../system/index.js';
import { type ProbeReply, probeReplySchema, type ProbeRequest } from './probe-messages.js';

export interface ProbeOptions {
  /** For one model: to load it and to run it three times (default two minutes). */
  readonly deadlineMs?: number;
  /** Resident memory of the process (default 2,048, or half of the machine's where that is less). */
  readonly memoryMb?: number;
  /** Called off: the process ends, and the probe fails with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How a model is served, as a probe found it. */
export type Served = Omit<Extract<ProbeReply, { type: 'served' }>, 'type'>;

const SCRIPT = fileURLToPath(new URL('./probe-child.js', import.meta.url));
const WATCH_MS = 20;
const GRACE_MS = 500;
const START_MS = 60_000;

/** Resident memory of a process, MB; 0 where the system does not say. */
const residentMb = (pid: number): number => {
  try {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(found?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
};

/**
 * Tries models one after the other. The process is kept for the next model; one that crashes, hangs or grows too large is
 * replaced. `stop` it.
 */
export class ModelProbe {
  readonly #deadlineMs: number;
  readonly #memoryMb: number;
  readonly #signal: AbortSignal | undefined;
  #child: ChildProcess | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ProbeOptions = {}) {
    this.#deadlineMs = options.deadlineMs ?? 120_000;
    this.#memoryMb = options.memoryMb ?? Math.min(2048, totalmem() / 2 ** 21);
    this.#signal = options.signal;
  }

  /**
   * Tries a model; after the ones before it.
   * @param label what an error calls the model
   * @throws BitlaneError `BAD_MODEL` with why it cannot be served; `UNSUPPORTED` when onnxruntime does not load here
   */
  probe(request: ProbeRequest, label: string): Promise<Served> {
    const result = this.#last.then(() => this.#probe(request, label));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Ends the process. Safe to call twice. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) await stopChild(child, GRACE_MS);
  }

  async #probe(request: ProbeRequest, label: string): Promise<Served> {
    this.#signal?.throwIfAborted();
    const child = await this.#ready();
    let reply: ProbeReply;
    try {
      reply = await this.#ask(child, request, label);
    } catch (error) {
      await this.#discard(child);
      throw error;
    }
    if (reply.type === 'served') {
      const { id, detector, inferenceMs } = reply;
      return { id, detector, inferenceMs };
    }
    const { code, message } = reply;
    throw new BitlaneError(code, message.includes(label) ? message : `${label} cannot be served: ${message}`);
  }

  /** A process that waits for a request. */
  async #ready(): Promise<ChildProcess> {
    if (this.#child !== undefined && !hasExited(this.#child) && this.#child.connected) return this.#child;
    // Its output is onnxruntime's own talk about models that break it.
    const child = spawnOwned(process.execPath, [SCRIPT], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      cwd: '/',
    });
    this.#child = child;
    try {
      await this.#next(child, START_MS, () => undefined, {
        late: `the process that tries models did not start within ${START_MS / 1000} s`,
        ended: (how) => `the process that tries models did not start (${how})`,
        code: 'INTERNAL',
      });
    } catch (error) {
      await this.#discard(child);
      throw error;
    }
    return child;
  }

  async #ask(child: ChildProcess, request: ProbeRequest, label: string): Promise<ProbeReply> {
    const answer = this.#next(
      child,
      this.#deadlineMs,
      () =>
        residentMb(child.pid ?? 0) > this.#memoryMb
          ? `${label} cannot be served: it needs more than ${Math.round(this.#memoryMb)} MB of memory`
          : undefined,
      {
        late: `${label} cannot be served: it was not done with a grey picture after ${this.#deadlineMs / 1000} s`,
        ended: (how) => `${label} cannot be served: it ends the process that runs it (${how})`,
        code: 'BAD_MODEL',
      },
    );
    child.send(request);
    const parsed = probeReplySchema.safeParse(await answer);
    if (parsed.success) return parsed.data;
    throw new BitlaneError(
      'BAD_MODEL',
      `${label} cannot be served: what it made of the process that runs it makes no sense`,
    );
  }

  /** The next message of the process; rejects when it ends, is late, is called off, or `watch` gives a reason. */
  #next(
    child: ChildProcess,
    deadlineMs: number,
    watch: () => string | undefined,
    says: { late: string; ended: (how: string) => string; code: 'BAD_MODEL' | 'INTERNAL' },
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(deadline);
        clearInterval(watcher);
        child.off('message', onMessage).off('exit', onExit).off('error', onError);
        this.#signal?.removeEventListener('abort', onAbort);
        act();
      };
      const fail = (message: string): void => settle(() => reject(new BitlaneError(says.code, message)));
      const onMessage = (message: unknown): void => settle(() => resolve(message));
      const onExit = (code: number | null, signal: string | null): void =>
        fail(says.ended(signal ?? `exit code ${code}`));
      const onError = (error: Error): void => fail(says.ended(error.message));
      const onAbort = (): void => settle(() => reject(this.#signal?.reason as Error));
      const deadline = setTimeout(() => fail(says.late), deadlineMs);
      const watcher = setInterval(() => {
        const reason = watch();
        if (reason !== undefined) fail(reason);
      }, WATCH_MS);
      child.on('message', onMessage).on('exit', onExit).on('error', onError);
      this.#signal?.addEventListener('abort', onAbort);
    });
  }

  /** A process that hangs in native code does not hear SIGTERM. */
  async #discard(child: ChildProcess): Promise<void> {
    if (this.#child === child) this.#child = undefined;
    await stopChild(child, 0);
  }
}
