// Pictures that nobody has labelled, as a data set without labels: what ranges and rounding need is the pictures alone.
import { basename, relative, resolve } from 'node:path';
import { BitlaneError } from '../errors.js';
import { isFolder, picturesBelow } from './paths.js';
import { pictureSize } from './pictures.js';
import type { DataSet } from './types.js';

/**
 * All pictures below a folder.
 *
 * @throws BitlaneError `BAD_DATASET` where there is no such folder, or no picture in it
 */
export const openPictures = (folder: string): DataSet => {
  if (!isFolder(folder)) throw new BitlaneError('BAD_DATASET', `${folder} is no folder`);
  const paths = picturesBelow(folder);
  if (paths.length === 0) throw new BitlaneError('BAD_DATASET', `${folder} holds no pictures`);
  const home = resolve(folder);
  return {
    name: basename(home),
    path: home,
    split: 'all',
    classes: [],
    images: paths.map((path) => ({ path, id: relative(folder, path) })),
    notes: [],
    load: async (index) => {
      const path = paths[index];
      if (path === undefined) throw new RangeError(`picture ${index} of ${paths.length}`);
      return { ...(await pictureSize(path)), objects: [] };
    },
  };
};
