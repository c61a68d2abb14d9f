// The model of a row: rounded or trained as the row says.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Model, readModel, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  averageBits,
  componentsOf,
  edgesOf,
  type Execution,
  type FeedSource,
  pictureFeeds,
  pixelRanges,
  prepareModel,
  quantizeModel,
  type TrainedModel,
  trainedOptions,
} from '../../quantization/index.js';
import { beginQuantized, FINE_TUNING_AUGMENTATION, trainDetector } from '../../training/index.js';
import type { Setting } from '../setting.js';
import { withCodedInputs } from './coded-inputs.js';
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

/** Training begins with the best that is known without it: rounded with error feedback, activations on grids where kernels take codes. */
const train = async (
  setting: Setting,
  row: Row,
  model: Model,
  allocation: Allocation,
  seed: number,
  onStep: (done: number, all: number) => void,
): Promise<TrainedModel> => {
  const { parent, tuning, learn, scale, reduceRange, folder, threads, signal } = setting;
  const { steps, batch, learningRate, weightDecay, calibrationPictures } = scale;
  const { input } = parent.manifest.detector;
  const work = join(folder, 'training', `${row.id}-${seed}`);
  const isInteger = Object.values(allocation.components).some(({ execution }) => execution === 'int8');
  const begun = await beginQuantized(model, {
    weights: { allocation, reduceRange, ...(row.training !== undefined && { method: row.training }) },
    feeds: pictureFeeds(tuning, input, calibrationPictures),
    ...(isInteger && { activations: { knownRanges: pixelRanges(input) } }),
    ...(signal !== undefined && { signal }),
  });
  const { quantized } = await trainDetector({
    ...begun,
    detector: parent.manifest.detector,
    labelled: learn,
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

/** The model that is rounded and trained: the parent, prepared, with rounded inputs of its layers where the row says so. */
const startOf = async (setting: Setting, { inputBits }: Row): Promise<Model> => {
  const { parent, tuning, scale, signal } = setting;
  const prepared = prepareModel(readModel(parent.modelPath));
  if (inputBits === undefined) return prepared;
  const edges = new Set(edgesOf(prepared).map(({ name }) => name));
  const feeds = pictureFeeds(tuning, parent.manifest.detector.input, scale.calibrationPictures);
  return withCodedInputs(prepared, (name) => (edges.has(name) ? 8 : inputBits), feeds, signal);
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
    row.training === undefined
      ? undefined
      : await train(setting, row, await startOf(setting, row), allocation, seed, onStep);
  const made = await quantizeModel(trained?.model ?? source, {
    allocation,
    feeds: await feedsFor(setting, row.calibration ?? 'pictures', seed),
    reduceRange,
    knownRanges: pixelRanges(parent.manifest.detector.input),
    ...(trained !== undefined && trainedOptions(trained)),
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
