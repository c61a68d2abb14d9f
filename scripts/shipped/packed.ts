// Pictures made small once: a training run sees each of them many times, and decoding one costs as much as learning from it.
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { openDataSet, readPicture } from '../../src/evaluation/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import type { Sample, SampleSource, SourceSpec } from '../../src/training/index.js';
import type { RgbImage } from '../../src/vision/index.js';

export interface PackedOptions {
  readonly folder: string;
  readonly width: number;
  readonly height: number;
}

const box = z.tuple([z.number(), z.number(), z.number(), z.number(), z.int()]);
const labelsSchema = z.array(z.array(box));

const picturesFile = ({ folder, width, height }: PackedOptions): string =>
  join(folder, `${width}x${height}.rgb`);
const labelsFile = ({ folder, width, height }: PackedOptions): string =>
  join(folder, `${width}x${height}.json`);

/** A picture of other sides, sampled as the detector does: bilinear, half-pixel centres. */
export const resized = ({ width, height, data }: RgbImage, w: number, h: number): Uint8Array => {
  const result = new Uint8Array(3 * w * h);
  const [toX, toY] = [width / w, height / h];
  for (let y = 0, out = 0; y < h; y += 1) {
    const fy = Math.min(Math.max((y + 0.5) * toY - 0.5, 0), height - 1);
    const top = Math.floor(fy);
    const [row, below, dy] = [3 * width * top, 3 * width * Math.min(height - 1, top + 1), fy - top];
    for (let x = 0; x < w; x += 1) {
      const fx = Math.min(Math.max((x + 0.5) * toX - 0.5, 0), width - 1);
      const left = Math.floor(fx);
      const [a, b, dx] = [3 * left, 3 * Math.min(width - 1, left + 1), fx - left];
      for (let c = 0; c < 3; c += 1, out += 1) {
        const upper = (data[row + a + c] as number) * (1 - dx) + (data[row + b + c] as number) * dx;
        const lower = (data[below + a + c] as number) * (1 - dx) + (data[below + b + c] as number) * dx;
        result[out] = Math.round(upper * (1 - dy) + lower * dy);
      }
    }
  }
  return result;
};

/**
 * Makes all pictures of a data set's training split small, and keeps them with their labels in the data set's folder. What is
 * there already is left alone.
 *
 * @param options sides in the pictures' own proportions
 */
export const packPictures = async (options: PackedOptions): Promise<void> => {
  if (existsSync(labelsFile(options))) return;
  const { folder, width, height } = options;
  const dataSet = openDataSet(folder, { split: 'train' });
  mkdirSync(folder, { recursive: true });
  const temporary = `${picturesFile(options)}.part`;
  const file = openSync(temporary, 'w');
  const labels: z.infer<typeof labelsSchema> = [];
  for (const [index, { path }] of dataSet.images.entries()) {
    const image = await readPicture(path);
    writeSync(file, resized(image, width, height));
    const [sx, sy] = [width / image.width, height / image.height];
    const { objects } = await dataSet.load(index);
    labels.push(objects.map(({ x1, y1, x2, y2, classId }) => [x1 * sx, y1 * sy, x2 * sx, y2 * sy, classId]));
  }
  closeSync(file);
  renameSync(temporary, picturesFile(options));
  writeFileAtomic(labelsFile(options), JSON.stringify(labels));
};

/** Opens packed pictures in the loader's thread. Their classes are the model's. */
export const openSource = (options: PackedOptions): SampleSource => {
  const { width, height } = options;
  const labels = labelsSchema.parse(JSON.parse(readFileSync(labelsFile(options), 'utf8')));
  const file = openSync(picturesFile(options), 'r');
  const size = 3 * width * height;
  return {
    count: labels.length,
    at: (index): Promise<Sample> => {
      const data = new Uint8Array(size);
      readSync(file, data, 0, size, index * size);
      return Promise.resolve({
        image: { format: 'rgb24', width, height, data },
        objects: (labels[index] ?? []).map(([x1, y1, x2, y2, classId]) => ({
          x1,
          y1,
          x2,
          y2,
          classId,
          weight: 1,
        })),
        ignored: [],
      });
    },
  };
};

/** Packed pictures for a loader. */
export const packedSpec = (options: PackedOptions): SourceSpec => ({
  module: new URL('./packed.js', import.meta.url),
  options,
});
