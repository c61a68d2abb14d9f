// Two models on the same labelled pictures: what each is worth, and what one gains over the other.
import {
  type ClassMap,
  classesOf,
  type ConfusionMatrix,
  criticalAccuracyFigure,
  type DataSet,
  evaluate,
  type Evaluation,
  type Interval,
  pairedBootstrap,
  predict,
} from '../evaluation/index.js';
import type { Artifact } from '../registry/index.js';

/** Two classes, by their indices in the map. */
export type ClassPair = readonly [number, number];

export interface Judged {
  readonly map50: number;
  readonly map5095: number;
  /** NaN where no critical object was found. */
  readonly criticalAccuracy: number;
  readonly criticalObjects: number;
  readonly confusion: ConfusionMatrix;
}

/** Changes are `after - before`, with 95 % intervals over the same resampled pictures. */
export interface Comparison {
  readonly data: string;
  readonly split: string;
  readonly pictures: number;
  readonly before: Judged;
  readonly after: Judged;
  readonly map50Change: Interval;
  readonly map5095Change: Interval;
  readonly criticalChange: Interval;
}

export interface CompareOptions {
  readonly dataSet: DataSet;
  readonly map: ClassMap;
  readonly pairs: readonly ClassPair[];
  readonly signal?: AbortSignal;
  /** Pictures done, of both models together. */
  readonly onProgress?: (done: number, all: number) => void;
}

const judgedOf = ({ precision, criticalAccuracy, confusion }: Evaluation): Judged => ({
  map50: precision.map50,
  map5095: precision.map5095,
  criticalAccuracy: criticalAccuracy.value ?? Number.NaN,
  criticalObjects: criticalAccuracy.support,
  confusion,
});

/**
 * Judges two models. Blocks the thread while they run.
 *
 * @throws BitlaneError `BAD_MODEL` when one cannot be served, `BAD_DATASET` when a picture cannot be read, the reason of `signal`
 */
export const compareModels = async (
  before: Artifact,
  after: Artifact,
  { dataSet, map, pairs, signal, onProgress = () => undefined }: CompareOptions,
): Promise<Comparison> => {
  const pictures = dataSet.images.length;
  const named = pairs.map(([a, b]) => ({ a, b }));
  const judge = async (artifact: Artifact, from: number): Promise<Evaluation> => {
    const seen = (done: number): void => onProgress(from + done, 2 * pictures);
    const { results } = await predict(artifact, dataSet, map, {}, seen, signal);
    return evaluate(results, map, { rounds: 0, pairs: named });
  };
  onProgress(0, 2 * pictures);
  const [first, second] = [await judge(before, 0), await judge(after, pictures)];
  const classes = classesOf(named);
  const change = (figure: (of: Evaluation) => (weights: Int32Array) => number): Interval =>
    pairedBootstrap(pictures, figure(first), figure(second));
  return {
    data: dataSet.path,
    split: dataSet.split,
    pictures,
    before: judgedOf(first),
    after: judgedOf(second),
    map50Change: change(
      ({ table }) =>
        (weights) =>
          table.map50(weights),
    ),
    map5095Change: change(
      ({ table }) =>
        (weights) =>
          table.map5095(weights),
    ),
    criticalChange: change(({ judged }) => criticalAccuracyFigure(judged, classes)),
  };
};
