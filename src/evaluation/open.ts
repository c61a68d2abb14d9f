// One way in: a data set by its file or folder, whatever its layout.
import { readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { openCocoDataSet } from './coco.js';
import { isFile, isFolder } from './paths.js';
import type { DataSet } from './types.js';
import { openYoloDataSet } from './yolo.js';

export interface OpenOptions {
  /** `train`, `val` or `test`. */
  readonly split?: string;
  /** Take the first so many pictures only. */
  readonly limit?: number;
  /** COCO JSON only: the folder of the pictures, where it is not one of the usual. */
  readonly pictures?: string;
}

const YAML_EXTENSIONS: readonly string[] = ['.yaml', '.yml'];

/**
 * Opens a split of a data set.
 * @param path a `data.yaml`, a COCO `.json`, or a folder that holds one of them
 * @throws BitlaneError `BAD_DATASET`
 */
export const openDataSet = (path: string, options: OpenOptions = {}): DataSet => {
  const split = options.split ?? 'val';
  const file = isFolder(path) ? describingFile(path, split) : path;
  if (!isFile(file)) throw new BitlaneError('BAD_DATASET', `${path} does not exist`);
  const extension = extname(file).toLowerCase();
  if (extension === '.json') return openCocoDataSet(file, split, options);
  if (YAML_EXTENSIONS.includes(extension)) return openYoloDataSet(file, split, options.limit);
  throw new BitlaneError('BAD_DATASET', `${file} is neither a data.yaml nor a COCO .json file`);
};

const describingFile = (folder: string, split: string): string => {
  const splits = split === 'val' ? ['val', 'valid'] : [split];
  const annotations = join(folder, 'annotations');
  const candidates = [
    join(folder, 'data.yaml'),
    join(folder, 'data.yml'),
    ...splits.map((name) => join(folder, name, '_annotations.coco.json')),
    ...(isFolder(annotations)
      ? readdirSync(annotations)
          .filter(
            (name) => name.endsWith('.json') && splits.some((split) => name.startsWith(`instances_${split}`)),
          )
          .sort()
          .map((name) => join(annotations, name))
      : []),
    join(folder, 'annotations.json'),
    join(folder, '_annotations.coco.json'),
  ];
  const found = candidates.find(isFile);
  if (found !== undefined) return found;
  throw new BitlaneError(
    'BAD_DATASET',
    `${folder} holds no data.yaml and no COCO annotations for the split ${split} (annotations/instances_${split}*.json)`,
  );
};
