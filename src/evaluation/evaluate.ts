// All figures of one model on one data set, from its detections.
import { MatchTable, type Precision } from './average-precision.js';
import { bootstrap, type Interval } from './bootstrap.js';
import type { ClassMap } from './class-map.js';
import { CONFUSION_DEFAULTS, ConfusionMatrix, judgePicture, type Verdict } from './confusion.js';
import {
  classesOf,
  confusedPairs,
  type ConfusedPair,
  type CriticalAccuracy,
  criticalAccuracy,
  criticalAccuracyFigure,
  type CriticalOptions,
} from './critical.js';
import { byScore, matchPicture, type PictureResult } from './matching.js';

export interface EvaluateOptions extends CriticalOptions {
  /** Detections looked at for one class of one picture; 300 when left out (COCO's own evaluation takes 100). */
  readonly maxDetections?: number;
  /** Score and overlap of the confusion matrix. */
  readonly confusion?: { readonly score: number; readonly iou: number };
  /**
   * Classes of these pairs make up the critical set, instead of those the matrix shows: two models can only be compared
   * over the same set.
   */
  readonly pairs?: readonly { readonly a: number; readonly b: number }[];
  /** Resamples of the bootstrap; 0 for no intervals, 1,000 when left out. */
  readonly rounds?: number;
  readonly seed?: number;
}

/** Indices of classes are those of `ClassMap.classes`. */
export interface Evaluation {
  readonly precision: Precision;
  readonly confusion: ConfusionMatrix;
  /** Confused pairs of classes that the model knows, worst first. */
  readonly pairs: readonly ConfusedPair[];
  /** Classes of the critical pairs. */
  readonly criticalClasses: readonly number[];
  readonly criticalAccuracy: CriticalAccuracy;
  /** 95 % intervals over pictures; absent with `rounds: 0`. */
  readonly intervals?: {
    readonly map50: Interval;
    readonly map5095: Interval;
    readonly criticalAccuracy: Interval;
  };
  /** For paired comparisons with another model on the same pictures. */
  readonly table: MatchTable;
  /** What was judged in each picture. */
  readonly judged: readonly (readonly Verdict[])[];
}

/** Of detections that share one box, which a head gives when it is asked for all labels, the best: a thing is of one class. */
const withOneLabel = ({ objects, detections }: PictureResult): PictureResult => {
  const seen = new Set<string>();
  const shown = byScore(detections).filter(({ x1, y1, x2, y2 }) => {
    const box = [x1, y1, x2, y2].join();
    return seen.size < seen.add(box).size;
  });
  return { objects, detections: shown };
};

/**
 * @param results objects and detections of each picture, in the classes of `map` (see `toResult`)
 */
export const evaluate = (
  results: readonly PictureResult[],
  map: ClassMap,
  options: EvaluateOptions = {},
): Evaluation => {
  const classes = map.classes.length;
  const table = new MatchTable(
    results.map((result) => matchPicture(result, classes, options.maxDetections ?? 300)),
    map.mapped,
  );
  const judged = results.map((result) =>
    judgePicture(withOneLabel(result), classes, options.confusion ?? CONFUSION_DEFAULTS),
  );
  const confusion = ConfusionMatrix.of(map.classes, judged.flat());
  const pairs = confusedPairs(confusion, { eligible: map.mapped, ...options });
  const criticalClasses = classesOf(options.pairs ?? pairs.filter((pair) => pair.critical));
  const rounds = options.rounds ?? 1000;
  const interval = (figure: (weights: Int32Array) => number): Interval =>
    bootstrap(results.length, figure, { rounds, seed: options.seed ?? 1 });
  return {
    precision: table.summary(),
    confusion,
    pairs,
    criticalClasses,
    criticalAccuracy: criticalAccuracy(judged.flat(), criticalClasses),
    ...(rounds > 0 && {
      intervals: {
        map50: interval((weights) => table.map50(weights)),
        map5095: interval((weights) => table.map5095(weights)),
        criticalAccuracy: interval(criticalAccuracyFigure(judged, criticalClasses)),
      },
    }),
    table,
    judged,
  };
};
