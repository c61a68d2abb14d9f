// The significance map that the QAT benchmark allocates by: of the very model that is quantized, on pictures that it learns from.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mapClasses, openDataSet } from '../../src/evaluation/index.js';
import { type Model, writeModel } from '../../src/onnx/index.js';
import { createManifest } from '../../src/registry/index.js';
import {
  calibrationOf,
  labelledPictures,
  measureSignificance,
  parsePairs,
  type SignificanceMap,
} from '../../src/significance/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import type { Runs } from './qat-runs.js';

const PAIRS = 'car:truck,bus:car,bus:truck';
const PICTURES = 64;
const CALIBRATION = 64;

/** Measured layer by layer; what was measured is kept in the folder of runs. */
export const significanceOf = async (
  { folder, detector, data }: Runs,
  model: Model,
): Promise<SignificanceMap> => {
  const cache = join(folder, 'significance');
  mkdirSync(cache, { recursive: true });
  const bytes = writeModel(model);
  const { id } = createManifest(bytes, { name: 'site', detector });
  const path = join(cache, `${id}.onnx`);
  writeFileAtomic(path, bytes);
  const whole = openDataSet(data.path, { split: 'train' });
  const dataSet = openDataSet(data.path, { split: 'train', limit: PICTURES });
  const classes = mapClasses(detector.classes, dataSet.classes);
  const { map } = await measureSignificance({
    model: { id, path, detector },
    data: { name: dataSet.path, split: dataSet.split },
    pictures: await labelledPictures(dataSet, classes),
    space: { classes: classes.classes, fromModel: classes.fromModel },
    pairs: parsePairs(PAIRS, classes.classes),
    bits: [2, 4],
    kinds: ['weights'],
    calibration: calibrationOf(whole, detector.input, CALIBRATION),
    cache,
    onProgress: (step, done, all) => {
      if (done === all) process.stderr.write(`significance: ${step}, ${all} done\n`);
    },
  });
  return map;
};
