// Child processes with an owner: argument arrays only, a bounded stop, no orphan when the owner is killed.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

const SETPRIV_PATHS = ['/usr/bin/setpriv', '/bin/setpriv'] as const;

const findSetpriv = (): string | undefined =>
  SETPRIV_PATHS.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const setpriv = findSetpriv();

/** Whether the kernel kills what {@link spawnOwned} started when this process dies. */
export const endsWithOwner = setpriv !== undefined;

/**
 * Spawns `command` so that the kernel kills it when this process dies, SIGKILL included (util-linux `setpriv
 * --pdeathsig`; a plain spawn where that is missing). `setpriv` execs, so the pid is the command's own.
 */
export const spawnOwned = (command: string, args: readonly string[], options: SpawnOptions): ChildProcess =>
  setpriv === undefined
    ? spawn(command, [...args], { ...options, shell: false })
    : spawn(setpriv, ['--pdeathsig', 'KILL', '--', command, ...args], { ...options, shell: false });

/** True once the process has ended. */
export const hasExited = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null;

/**
 * Ends a child: `SIGTERM`, then `SIGKILL` after `graceMs`. Resolves when it is gone; safe to call twice and on a child
 * that never started.
 */
export const stopChild = async (child: ChildProcess, graceMs: number): Promise<void> => {
  if (child.pid === undefined || hasExited(child)) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  try {
    await gone;
  } finally {
    clearTimeout(timer);
  }
};
