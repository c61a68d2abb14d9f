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
import {
  beginQuantized,
  FINE_TUNING_AUGMENTATION,
  trainDetector,
  type WeightMethod,
} from '../../training/index.js';
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

/** A training run like that of every other row. */
const runOf = (
  { parent, learn, scale, folder, threads, signal }: Setting,
  row: Row,
  seed: number,
  onStep: (done: number, all: number) => void,
) => {
  const { steps, batch, learningRate, weightDecay } = scale;
  return {
    detector: parent.manifest.detector,
    labelled: learn,
    augmentation: FINE_TUNING_AUGMENTATION,
    steps,
    batch,
    learningRate,
    weightDecay,
    seed,
    folder: join(folder, 'training', `${row.id}-${seed}`),
    threads,
    ...(signal !== undefined && { signal }),
    onStep: ({ step }: { readonly step: number }) => onStep(step, steps),
  };
};
type Run = ReturnType<typeof runOf>;

/** Training begins with the best that is known without it: rounded with error feedback, activations on grids where kernels take codes. */
const train = async (
  { parent, tuning, scale, reduceRange, signal }: Setting,
  method: WeightMethod,
  model: Model,
  allocation: Allocation,
  run: Run,
): Promise<TrainedModel> => {
  const { input } = parent.manifest.detector;
  const isInteger = Object.values(allocation.components).some(({ execution }) => execution === 'int8');
  const begun = await beginQuantized(model, {
    weights: { allocation, reduceRange, method },
    feeds: pictureFeeds(tuning, input, scale.calibrationPictures),
    ...(isInteger && { activations: { knownRanges: pixelRanges(input) } }),
    ...(signal !== undefined && { signal }),
  });
  const { quantized } = await trainDetector({ ...run, ...begun });
  if (quantized === undefined) throw new TypeError('training gave no quantized model');
  rmSync(run.folder, { recursive: true, force: true });
  return quantized;
};

/** The FP32 model, or what the same training makes of it. */
const floats = async (source: Model, row: Row, run: Run): Promise<Built> => {
  const built = { allocation: undefined, averageBits: 32, searchSeconds: null };
  if (row.training === undefined) return { ...built, bytes: writeModel(source) };
  const { model } = await trainDetector({ ...run, model: prepareModel(source) });
  rmSync(run.folder, { recursive: true, force: true });
  return { ...built, bytes: writeModel(model) };
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
  const run = runOf(setting, row, seed, onStep);
  if (row.bits === undefined) return floats(source, row, run);
  const execution: Execution =
    row.quantized === undefined ? setting.execution : row.quantized === 'all' ? 'int8' : 'fp32';
  const prepared = prepareModel(source);
  const found =
    'search' in row.bits
      ? await searches.find(row.bits.search, seed)
      : { allocation: uniformBits(prepared, row.bits.uniform, execution), seconds: null };
  const { allocation } = found;
  const method = row.training === 'floats' ? undefined : row.training;
  const trained =
    method === undefined
      ? undefined
      : await train(setting, method, await startOf(setting, row), allocation, run);
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
