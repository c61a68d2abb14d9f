// The model of a row: rounded or trained as the row says.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readModel, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  averageBits,
  componentsOf,
  type Execution,
  type FeedSource,
  pictureFeeds,
  prepareModel,
  quantizeModel,
  type TrainedModel,
} from '../../quantization/index.js';
import { FINE_TUNING_AUGMENTATION, trainDetector } from '../../training/index.js';
import type { Setting } from '../setting.js';
import { distilledPictures, noisePictures } from './distilled.js';
import type { Calibration, Row } from './row.js';
import type { Searches } from './search.js';
import { uniformBits } from './uniform.js';

/** Steps of distilling a picture. */
const DISTILLING = 80;

export interface Built {
  readonly bytes: Uint8Array;
  readonly allocation: Allocation | undefined;
  readonly averageBits: number;
  /** Of the search for bits; null where there was none. */
  readonly searchSeconds: number | null;
}

const feedsFor = async (setting: Setting, calibration: Calibration, seed: number): Promise<FeedSource> => {
  const { parent, tuning, scale, threads, signal } = setting;
  const { input } = parent.manifest.detector;
  const count = scale.calibrationPictures;
  switch (calibration) {
    case 'pictures':
      return pictureFeeds(tuning, input, count);
    case 'noise': {
      const pictures = noisePictures(input, count, seed);
      return () => pictures;
    }
    case 'distilled': {
      const pictures = await distilledPictures(readModel(parent.modelPath), input, {
        count,
        steps: DISTILLING,
        seed,
        threads,
        ...(signal !== undefined && { signal }),
      });
      return () => pictures;
    }
  }
};

const train = async (
  setting: Setting,
  row: Row,
  allocation: Allocation,
  seed: number,
  onStep: (done: number, all: number) => void,
): Promise<TrainedModel> => {
  const { parent, learn, scale, reduceRange, folder, threads, signal } = setting;
  const { steps, batch, learningRate, weightDecay } = scale;
  const work = join(folder, 'training', `${row.id}-${seed}`);
  const { quantized } = await trainDetector({
    model: prepareModel(readModel(parent.modelPath)),
    detector: parent.manifest.detector,
    labelled: learn,
    weights: { allocation, reduceRange, ...(row.training !== undefined && { method: row.training }) },
    augmentation: FINE_TUNING_AUGMENTATION,
    steps,
    batch,
    learningRate,
    weightDecay,
    seed,
    folder: work,
    threads,
    ...(signal !== undefined && { signal }),
    onStep: ({ step }) => onStep(step, steps),
  });
  if (quantized === undefined) throw new TypeError('training gave no quantized model');
  rmSync(work, { recursive: true, force: true });
  return quantized;
};

/** Makes the model of a row. Blocks the thread while models run. */
export const buildRow = async (
  setting: Setting,
  searches: Searches,
  row: Row,
  seed: number,
  onStep: (done: number, all: number) => void,
): Promise<Built> => {
  const { parent, reduceRange, signal } = setting;
  const source = readModel(parent.modelPath);
  if (row.bits === undefined) {
    return { bytes: writeModel(source), allocation: undefined, averageBits: 32, searchSeconds: null };
  }
  const execution: Execution =
    row.quantized === undefined ? setting.execution : row.quantized === 'all' ? 'int8' : 'fp32';
  const prepared = prepareModel(source);
  const found =
    'search' in row.bits
      ? await searches.find(row.bits.search, seed)
      : { allocation: uniformBits(prepared, row.bits.uniform, execution), seconds: null };
  const { allocation } = found;
  const trained =
    row.training === undefined ? undefined : await train(setting, row, allocation, seed, onStep);
  const made = await quantizeModel(trained?.model ?? source, {
    allocation,
    feeds: await feedsFor(setting, row.calibration ?? 'pictures', seed),
    reduceRange,
    ...(trained !== undefined && { weights: trained.weights }),
    ...(row.rounding !== undefined && { rounding: row.rounding }),
    ...(row.ranges !== undefined && { method: row.ranges }),
    ...(row.dataFree === true && { equalize: true, biasCorrection: true }),
    ...(signal !== undefined && { signal }),
  });
  return {
    bytes: writeModel(made.model),
    allocation,
    averageBits: averageBits(componentsOf(made.prepared), allocation),
    searchSeconds: found.seconds,
  };
};
