// A command that is run to its end: bounded in time and output, no shell.
import { spawnOwned } from './child.js';

export interface RunResult {
  /** `missing`: no such command; `timeout`: killed at its deadline; `signal`: killed by something else. */
  readonly outcome: 'exit' | 'signal' | 'timeout' | 'missing';
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly deadlineMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Bytes kept of each stream (default 1 MiB); what comes after is read and dropped. */
  readonly maxBytes?: number;
}

/**
 * Runs `command` to its end, or to its deadline. Never rejects: how it ended stands in `outcome`. Resolves at the deadline
 * even when something that the command left behind keeps its output open.
 */
export const runBounded = (
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> =>
  new Promise((resolve) => {
    const limit = options.maxBytes ?? 1_048_576;
    const kept = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const bytes = { stdout: 0, stderr: 0 };
    let timedOut = false;
    const child = spawnOwned(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    const finish = (
      outcome: RunResult['outcome'],
      code: number | null,
      signal: NodeJS.Signals | null,
    ): void => {
      clearTimeout(timer);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({
        outcome,
        code,
        signal,
        stdout: Buffer.concat(kept.stdout).toString('utf8'),
        stderr: Buffer.concat(kept.stderr).toString('utf8'),
      });
    };
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
      finish('timeout', null, 'SIGKILL');
    }, options.deadlineMs);
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]?.on('data', (chunk: Buffer) => {
        if (bytes[stream] >= limit) return;
        kept[stream].push(chunk.subarray(0, limit - bytes[stream]));
        bytes[stream] += chunk.length;
      });
    }
    child.on('error', () => finish('missing', null, null));
    child.on('close', (code, signal) => {
      if (timedOut) return;
      // setpriv exits 127 when it cannot find the command it was to become.
      const text = Buffer.concat(kept.stderr).toString('utf8');
      if (code === 127 && /^setpriv: failed to execute /.test(text)) finish('missing', null, null);
      else finish(signal === null ? 'exit' : 'signal', code, signal);
    });
  });
