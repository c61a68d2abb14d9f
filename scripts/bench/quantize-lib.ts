// What the parts of the quantization benchmark share: the model, the pictures, and what FP32 makes of them.
import {
  type ClassMap,
  type DataSet,
  evaluate,
  type Evaluation,
  mapClasses,
  openDataSet,
  pairedBootstrap,
  predict,
  type WeightedFigure,
} from '../../src/evaluation/index.js';
import { type Model, readModel } from '../../src/onnx/index.js';
import {
  type FeedSource,
  heldFeeds,
  type Int8Choice,
  integersSaturate,
  pictureFeeds,
  planInt8,
} from '../../src/quantization/index.js';
import { type Artifact, withTemporaryArtifact } from '../../src/registry/index.js';
import type { Figure } from './lib.js';

export interface QuantizeBench {
  readonly parent: Artifact;
  readonly model: Model;
  /** Calibration pictures; read anew on every pass. */
  readonly feeds: FeedSource;
  readonly pictures: number;
  readonly train: DataSet;
  readonly valid: DataSet;
  readonly map: ClassMap;
  /** What FP32 is worth on the validation pictures; measured once. */
  readonly fp32: () => Promise<Evaluation>;
  /** Whether 8-bit weights need to hold 7 bits here. */
  readonly reduceRange: () => Promise<boolean>;
  /** How int8 runs best, sought on training pictures without their labels; sought once. */
  readonly choice: () => Promise<Int8Choice>;
  /** What a file is worth on them. */
  readonly evaluate: (bytes: Uint8Array) => Promise<Evaluation>;
}

/** Pictures on which ways to run in int8 are compared. */
const COMPARED = 48;

/** One part of the benchmark: figures by the names that the issue gives them. */
export type BenchPart = (bench: QuantizeBench) => Promise<readonly Figure[]>;

/** Hands a model to `work` as an artifact in a temporary folder. */
export const withArtifact = <T>(
  parent: Artifact,
  bytes: Uint8Array,
  work: (artifact: Artifact) => Promise<T>,
): Promise<T> => withTemporaryArtifact(bytes, parent.manifest, work);

export const openBench = (
  parent: Artifact,
  data: string,
  options: { readonly pictures: number; readonly limit?: number },
): QuantizeBench => {
  const train = openDataSet(data, { split: 'train' });
  const { limit } = options;
  const valid = openDataSet(data, { split: 'val', ...(limit !== undefined && { limit }) });
  const map = mapClasses(parent.manifest.detector.classes, valid.classes);
  const judge = async (artifact: Artifact): Promise<Evaluation> =>
    evaluate((await predict(artifact, valid, map)).results, map, { rounds: 0 });
  let fp32: Promise<Evaluation> | undefined;
  let reduceRange: Promise<boolean> | undefined;
  let choice: Promise<Int8Choice> | undefined;
  const feeds = pictureFeeds(train, parent.manifest.detector.input, options.pictures);
  const saturates = (): Promise<boolean> => (reduceRange ??= integersSaturate());
  const seek = async (): Promise<Int8Choice> => {
    const held = await heldFeeds(feeds);
    return planInt8(parent, {
      feeds: () => held,
      compared: () => held.slice(0, COMPARED),
      reduceRange: await saturates(),
    });
  };
  return {
    parent,
    model: readModel(parent.modelPath),
    feeds,
    pictures: options.pictures,
    train,
    valid,
    map,
    fp32: () => (fp32 ??= judge(parent)),
    reduceRange: saturates,
    choice: () => (choice ??= seek()),
    evaluate: (bytes) => withArtifact(parent, bytes, judge),
  };
};

/** mAP50 on resampled pictures: the mean of several runs. */
export const meanMap50 =
  (evaluations: readonly Evaluation[]): WeightedFigure =>
  (weights) =>
    evaluations.reduce((sum, { table }) => sum + table.map50(weights), 0) / evaluations.length;

/** How far mAP50 is below FP32's on the same pictures, with the interval of that difference; of several runs, the mean. */
export const map50Drop = (
  name: string,
  before: Evaluation,
  after: readonly Evaluation[],
  pictures: number,
): Figure => ({
  name,
  unit: 'mAP50',
  ...pairedBootstrap(pictures, meanMap50(after), meanMap50([before])),
  runs: pictures,
});
