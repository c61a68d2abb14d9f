// Measurements that the next job may use, but not more of them than there is room for.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of a folder, and when something was last put into it. */
const measureFolder = (folder: string): { bytes: number; atMs: number } => {
  let [bytes, atMs] = [0, statSync(folder).mtimeMs];
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isFile() === true) bytes += found.size;
    else atMs = Math.max(atMs, found?.mtimeMs ?? 0);
  }
  return { bytes, atMs };
};

/** Removes whole entries of a cache, those first that nothing was put into for longest, until the rest is small enough. */
export const pruneCache = (cache: string, mostMb: number): void => {
  let entries: { path: string; bytes: number; atMs: number }[];
  try {
    entries = readdirSync(cache)
      .map((name) => join(cache, name))
      .filter((path) => statSync(path).isDirectory())
      .map((path) => ({ path, ...measureFolder(path) }));
  } catch {
    return;
  }
  let left = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { path, bytes } of entries.sort((a, b) => a.atMs - b.atMs)) {
    if (left <= mostMb * 2 ** 20) return;
    rmSync(path, { recursive: true, force: true });
    left -= bytes;
  }
};
