// Who gets the processor while two generations are alive: the one that serves.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';

/** A candidate that loads its model stands back, but on a device without an idle core it must still get its share (about a quarter). */
const BEHIND = 5;
const CAP_SYS_NICE = 23n;
const IONICE = '/usr/bin/ionice';

/** Whether a priority that was lowered can be raised again: with the capability, or within `RLIMIT_NICE` (see setpriority(2)). */
const canRaiseAgain = (): boolean => {
  try {
    const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (((BigInt(`0x${capabilities ?? '0'}`) >> CAP_SYS_NICE) & 1n) === 1n) return true;
    const limit = /^Max nice priority\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '0';
    return limit === 'unlimited' || 20 - Number(limit) <= getPriority();
  } catch {
    return false;
  }
};

/** What a process gets that works only while nobody else wants to: as little as there is. */
const LAST = 19;

/** The command that runs `command` after everybody else for good, reading and writing files too where `ionice` is there. */
export const commandLast = (command: string, args: readonly string[]): [string, readonly string[]] => {
  const rest = ['nice', '-n', String(LAST), command, ...args];
  return existsSync(IONICE) ? [IONICE, ['-c', '3', ...rest]] : ['nice', rest.slice(1)];
};

let raises: boolean | undefined;

/** Sets every thread of a process: on Linux a priority belongs to a thread, and new ones inherit it. */
const setAll = (pid: number, priority: number): void => {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), priority);
};

/**
 * The command that runs `command` behind the others from its first instruction on, where that can be taken back with
 * {@link bringForward}; the command itself elsewhere. `nice` execs, so the pid is the command's own.
 */
export const commandBehind = (command: string, args: readonly string[]): [string, readonly string[]] => {
  raises ??= canRaiseAgain();
  return raises ? ['nice', ['-n', String(BEHIND), command, ...args]] : [command, args];
};

/** Gives a process this one's own priority again. */
export const bringForward = (pid: number): void => {
  if (raises !== true) return;
  try {
    setAll(pid, getPriority());
  } catch {
    // As above.
  }
};

/** Puts a process that is about to end behind the others: giving its memory back takes time, too. */
export const leaveBehind = (pid: number): void => {
  try {
    setAll(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // As above.
  }
};
