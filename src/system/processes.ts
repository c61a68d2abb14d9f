// The processes below one, and the memory each has, from `/proc`.
import { join } from 'node:path';
import { namesIfThere, textIfThere } from './files.js';

export interface ProcessHealth {
  readonly pid: number;
  readonly name: string;
  readonly rssBytes: number;
}

/** Process `rootPid` and everything below it with their resident memory, from `/proc`. */
export const readProcesses = async (rootPid: number, root = '/'): Promise<ProcessHealth[]> => {
  const known = new Map<number, { parent: number; health: ProcessHealth }>();
  for (const entry of await namesIfThere(join(root, 'proc'))) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const status = await textIfThere(join(root, 'proc', entry, 'status'));
    if (status === undefined) continue;
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1];
    const rssKb = /^([0-9]+) kB$/.exec(field('VmRSS') ?? '')?.[1];
    const pid = Number(entry);
    const health = { pid, name: field('Name') ?? '', rssBytes: Number(rssKb ?? 0) * 1024 };
    known.set(pid, { parent: Number(field('PPid') ?? 0), health });
  }
  const below = (pid: number): boolean => {
    // Bounded, for a table that changed while it was read could hold a loop.
    for (let at = pid, steps = 0; steps < 64; steps += 1) {
      if (at === rootPid) return true;
      const parent = known.get(at)?.parent;
      if (parent === undefined || parent === 0) return false;
      at = parent;
    }
    return false;
  };
  const own = [...known.values()].filter((entry) => below(entry.health.pid)).map((entry) => entry.health);
  return own.sort((a, b) => Number(b.pid === rootPid) - Number(a.pid === rootPid) || a.pid - b.pid);
};
