// Paths that data files name: kept inside the data set's folder; pictures found below a folder.
import { type Dirent, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { BitlaneError, messageOf } from '../errors.js';

const PICTURE_EXTENSIONS: ReadonlySet<string> = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff']);

export const isPicture = (path: string): boolean => PICTURE_EXTENSIONS.has(extname(path).toLowerCase());

export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

export const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

export const isInside = (root: string, path: string): boolean => {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
};

/**
 * The absolute path of what `file` calls `named`, seen from `base`. A data set comes from elsewhere, so what its files name
 * must lie below `root`: anything else throws `BAD_DATASET`. Links below `root` are followed: whoever made them
 * had access to this machine.
 */
export const resolveInside = (root: string, base: string, named: string, file: string): string => {
  const path = resolve(base, named);
  if (named.includes('\0') || !isInside(root, path)) {
    throw new BitlaneError(
      'BAD_DATASET',
      `${file} names ${JSON.stringify(named)}, which lies outside the data set's folder ${root}: move the files there, or name them from there`,
    );
  }
  return path;
};

const entriesOf = (folder: string): Dirent[] => {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : a.name > b.name ? 1 : 0,
    );
  } catch (error) {
    throw new BitlaneError(
      'BAD_DATASET',
      existsSync(folder) ? `${folder} cannot be read: ${messageOf(error)}` : `${folder} does not exist`,
      { cause: error },
    );
  }
};

/** Every picture below `folder`, in name order. */
export const picturesBelow = (folder: string): string[] => {
  const found: string[] = [];
  // Folders that links lead to are walked too; a link that leads back up would never end.
  const walk = (at: string, depth: number): void => {
    if (depth > 16) {
      throw new BitlaneError(
        'BAD_DATASET',
        `${folder} holds folders more than 16 deep: does a link lead back up?`,
      );
    }
    for (const entry of entriesOf(at)) {
      if (entry.name.startsWith('.')) continue;
      const path = join(at, entry.name);
      if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(path))) walk(path, depth + 1);
      else if (isPicture(entry.name)) found.push(path);
    }
  };
  walk(folder, 0);
  return found;
};

/** The text of a data file. Throws `BAD_DATASET` when it cannot be read. */
export const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BitlaneError('BAD_DATASET', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
};
