// A child process that reports in lines: what it said, a line to wait for, its end.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface LineReader {
  /** Every complete line so far. */
  readonly lines: readonly string[];
  /** The first line that `matches`, said already or to come; rejects when the child ends without it. */
  readonly find: (matches: (line: string) => boolean) => Promise<string>;
  /** Resolves when the child is gone and its last line was read. */
  readonly closed: Promise<void>;
}

/** Reads the standard output of `child`; call it right after the spawn. */
export const readLines = (child: ChildProcess): LineReader => {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let rest = '';
  let ended = false;
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = `${rest}${chunk}`.split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    for (const look of [...waiting]) look();
  });
  const closed = once(child, 'close').then(() => {
    ended = true;
    for (const look of [...waiting]) look();
  });
  const find = (matches: (line: string) => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const line = lines.find(matches);
        if (line === undefined && !ended) return;
        waiting.delete(look);
        if (line === undefined) reject(new Error(`the child ended; it said: ${lines.join(' | ')}`));
        else resolve(line);
      };
      waiting.add(look);
      look();
    });
  return { lines, find, closed };
};

/** Kills `child` with SIGKILL and waits until it is gone. */
export const killNow = async (child: ChildProcess, reader: LineReader): Promise<void> => {
  child.kill('SIGKILL');
  await reader.closed;
};
