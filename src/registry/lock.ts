// One writer at a time: a lock file that names its owner by pid, start time and boot, so that a dead owner's lock is taken over.
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { BitlaneError } from '../errors.js';

const ownerSchema = z.object({
  pid: z.int().positive(),
  /** Clock ticks since boot (proc(5), field 22 of `stat`): tells a process from a later one with the same pid. */
  startTime: z.string(),
  bootId: z.string(),
  purpose: z.string(),
  /** Makes every lock file's text its own. */
  nonce: z.string().regex(/^[0-9a-f]{16}$/),
});
export type LockOwner = z.infer<typeof ownerSchema>;

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;

const bootId = (): string => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
};

/** Start time of a running process; `undefined` when only its exit status is left, or `/proc` does not show one with this pid. */
const startTimeOf = (pid: number): string | undefined => {
  try {
    // The command name, in brackets, may hold anything: fields are counted from its last bracket.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
};

/** Whether there is a process with this pid that `/proc` hides from us: another user's, under `ProtectProc=` or `hidepid=`. */
const isHidden = (pid: number): boolean => {
  if (existsSync(`/proc/${pid}`)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
};

const isAlive = (owner: LockOwner): boolean => {
  if (owner.bootId !== bootId()) return false;
  const startTime = startTimeOf(owner.pid);
  // When a hidden process started cannot be told: better a lock that must be removed by hand than two writers.
  return startTime === undefined ? isHidden(owner.pid) : startTime === owner.startTime;
};

/** The text of a lock file and, where it can be read, who owns it; `undefined` when there is none. */
const read = (path: string): { text: string; owner: LockOwner | undefined } | undefined => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return { text, owner: ownerSchema.parse(JSON.parse(text)) };
  } catch {
    // A lock file appears complete or not at all; one that cannot be read is what a power cut left.
    return { text, owner: undefined };
  }
};

/** Who holds the lock now; `undefined` when nobody living does. */
export const lockOwner = (path: string): LockOwner | undefined => {
  const owner = read(path)?.owner;
  return owner !== undefined && isAlive(owner) ? owner : undefined;
};

const ATTEMPTS = 20;

/** An exclusive lock between processes. Not between two users inside one process: they share one `FileLock`. */
export class FileLock {
  readonly #path: string;
  readonly #purpose: string;
  #text: string | undefined;

  constructor(path: string, purpose: string) {
    this.#path = path;
    this.#purpose = purpose;
  }

  get held(): boolean {
    return this.#text !== undefined;
  }

  /**
   * Takes the lock, from a dead owner too.
   *
   * @throws BitlaneError `BUSY` when a living process holds it; what the file system says when the file cannot be written
   */
  acquire(): void {
    if (this.#text !== undefined) return;
    const owner: LockOwner = {
      pid: process.pid,
      startTime: startTimeOf(process.pid) ?? '',
      bootId: bootId(),
      purpose: this.#purpose,
      nonce: randomBytes(8).toString('hex'),
    };
    const text = JSON.stringify(owner);
    take(this.#path, text);
    this.#text = text;
    this.#sweep();
  }

  /** Gives the lock back. Safe to call twice; leaves a lock that is no longer ours alone. */
  release(): void {
    const text = this.#text;
    this.#text = undefined;
    if (text !== undefined && read(this.#path)?.text === text) rmSync(this.#path, { force: true });
  }

  /** Claims that killed processes left behind: they refer to locks that are gone. */
  #sweep(): void {
    const [folder, name] = [dirname(this.#path), basename(this.#path)];
    try {
      for (const entry of readdirSync(folder)) {
        const path = join(folder, entry);
        if (entry.startsWith(`${name}.`) && lockOwner(path) === undefined) rmSync(path, { force: true });
      }
    } catch {
      // The lock is taken; litter can wait for the next holder.
    }
  }
}

const take = (path: string, text: string): void => {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      writeFileSync(temporary, text, { mode: 0o640 });
      // A link appears with all its text, and fails where there is one already.
      try {
        linkSync(temporary, path);
        return;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') continue; // swept by the holder before its text was whole
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      const current = read(path);
      if (current === undefined) continue;
      if (current.owner !== undefined && isAlive(current.owner)) throw busy(path, current.owner);
      if (replaceDead(path, current.text, current.owner?.nonce ?? 'unreadable', temporary)) return;
    }
    throw new BitlaneError('BUSY', `the lock ${path} is fought over by other processes: try again`);
  } finally {
    rmSync(temporary, { force: true });
  }
};

/**
 * Puts our lock in the place of a dead owner's. Only the holder of the claim on that very lock may do so: without it, of two
 * processes that saw the same dead lock the slower would throw out the faster one's new lock.
 */
const replaceDead = (path: string, dead: string, nonce: string, temporary: string): boolean => {
  const claim = `${path}.${nonce}`;
  try {
    take(claim, readFileSync(temporary, 'utf8'));
  } catch (error) {
    if ((error instanceof BitlaneError && error.code === 'BUSY') || codeOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    if (read(path)?.text !== dead) return false;
    renameSync(temporary, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  } finally {
    rmSync(claim, { force: true });
  }
};

const busy = (path: string, owner: LockOwner): BitlaneError =>
  new BitlaneError(
    'BUSY',
    `${dirname(path)} is in use by process ${owner.pid} (${owner.purpose}): stop it first, or ask it to do this`,
  );
