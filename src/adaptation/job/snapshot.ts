// A copy of the pictures that a job works on: what is mined, labelled or purged meanwhile does not reach it.
import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { stringify } from 'yaml';
import type { DataSet, LabelledObject, Labels } from '../../evaluation/index.js';
import { fsyncDirectory } from '../../system/index.js';

/** What was taken. */
export interface Snapshot {
  readonly pictures: number;
  readonly objects: number;
  /** SHA-256 over pictures and labels. */
  readonly fingerprint: string;
}

/** A name for a picture that says where in the data set it stood, so that the order stays. */
const nameAt = (index: number): string => String(index).padStart(6, '0');

/** A link where the file system has one, for a flash that wears; whoever stores pictures replaces files and does not write into them. */
const take = (from: string, to: string): void => {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
};

const lineOf = ({ classId, x1, y1, x2, y2 }: LabelledObject, { width, height }: Labels): string =>
  [classId, (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height].join(' ');

/** `most` of `count`, evenly spread. */
export const spread = (count: number, most: number): number[] => {
  const taken = Math.min(count, most);
  return Array.from({ length: taken }, (_, index) => Math.floor((index * count) / taken));
};

/**
 * Puts at most `most` pictures of a data set, evenly spread, into a data set in the YOLO layout at `folder` (split `train`), as one step:
 * the folder is whole or not there. One that is there already is replaced.
 */
export const takeSnapshot = async (
  dataSet: DataSet,
  folder: string,
  options: {
    readonly most: number;
    readonly labelled: boolean;
    readonly signal?: AbortSignal;
    readonly onProgress?: (done: number, all: number) => void;
  },
): Promise<Snapshot> => {
  const incoming = `${folder}.incoming`;
  rmSync(incoming, { recursive: true, force: true });
  for (const part of ['images', 'labels']) mkdirSync(join(incoming, part), { recursive: true });
  const hash = createHash('sha256');
  const chosen = spread(dataSet.images.length, options.most);
  let objects = 0;
  for (const [at, index] of chosen.entries()) {
    options.signal?.throwIfAborted();
    const picture = dataSet.images[index];
    if (picture === undefined) continue;
    const name = `${nameAt(index)}${extname(picture.path).toLowerCase()}`;
    take(picture.path, join(incoming, 'images', name));
    hash.update(readFileSync(picture.path));
    const labels = options.labelled ? await dataSet.load(index) : undefined;
    const lines = labels?.objects.filter(({ crowd }) => !crowd).map((object) => lineOf(object, labels)) ?? [];
    writeFileSync(join(incoming, 'labels', `${nameAt(index)}.txt`), `${lines.join('\n')}\n`, { flush: true });
    hash.update(lines.join('\n'));
    objects += lines.length;
    options.onProgress?.(at + 1, chosen.length);
  }
  writeFileSync(
    join(incoming, 'data.yaml'),
    stringify({ train: 'images', val: 'images', names: [...dataSet.classes] }),
    { flush: true },
  );
  for (const part of ['images', 'labels', '.']) fsyncDirectory(join(incoming, part));
  rmSync(folder, { recursive: true, force: true });
  renameSync(incoming, folder);
  fsyncDirectory(join(folder, '..'));
  return { pictures: chosen.length, objects, fingerprint: hash.digest('hex') };
};
