// The pictures of the QAT benchmark: training pictures in a part to learn from and one to choose by, and those without labels.
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { type DataSet, openDataSet, picturesBelow } from '../../src/evaluation/index.js';
import { writeFileAtomic } from '../../src/system/index.js';

/** Every so many training pictures one that nothing learns from: what is chosen is chosen on them. Of every source some. */
const HELD_OUT_EVERY = 7;
/** Of frames of one video every so many: neighbours show the same. */
const FRAMES_EVERY = 5;

export interface QatData {
  /** A data set of links: `train` to learn from, `val` to choose by. */
  readonly path: string;
  readonly held: DataSet;
  /** A folder of links to pictures without labels. */
  readonly unlabelled: string;
  readonly valid: DataSet;
}

const link = (target: string, path: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  if (!existsSync(path)) symlinkSync(resolve(target), path);
};

/** Where the labels of a picture lie. */
const labelsOf = (picture: string): string =>
  join(dirname(dirname(picture)), 'labels', `${basename(picture, extname(picture))}.txt`);

/**
 * Lays the pictures out in `folder`.
 *
 * @param highway a data set in the YOLO layout
 * @param frames a folder of pictures
 * @param limit pictures of its validation split
 */
export const layOut = (folder: string, highway: string, frames: string, limit?: number): QatData => {
  const { images, classes } = openDataSet(highway, { split: 'train' });
  const path = join(folder, 'data');
  const unlabelled = join(folder, 'unlabelled');
  images.forEach((image, index) => {
    const split = index % HELD_OUT_EVERY === HELD_OUT_EVERY - 1 ? 'val' : 'train';
    const name = basename(image.path);
    link(image.path, join(path, split, 'images', name));
    const labels = labelsOf(image.path);
    if (existsSync(labels)) link(labels, labelsOf(join(path, split, 'images', name)));
    if (split === 'train') link(image.path, join(unlabelled, 'road', name));
  });
  picturesBelow(frames).forEach((frame, index) => {
    if (index % FRAMES_EVERY === 0) link(frame, join(unlabelled, 'junction', basename(frame)));
  });
  const yaml = stringify({ train: 'train/images', val: 'val/images', names: classes });
  const file = join(path, 'data.yaml');
  if (!existsSync(file) || readFileSync(file, 'utf8') !== yaml) writeFileAtomic(file, yaml);
  return {
    path,
    held: openDataSet(path, { split: 'val' }),
    unlabelled,
    valid: openDataSet(highway, { split: 'val', ...(limit !== undefined && { limit }) }),
  };
};
