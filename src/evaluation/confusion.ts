// The confusion matrix: what each object was taken for, with a background row and column.
import { type Detection, iou } from '../vision/index.js';
import { overlap, type PictureResult } from './matching.js';
import type { LabelledObject } from './types.js';

export interface ConfusionOptions {
  /** Detections count above this score. */
  readonly score?: number;
  /** A detection and an object belong together above this overlap. */
  readonly iou?: number;
}

export const CONFUSION_DEFAULTS = { score: 0.3, iou: 0.5 } as const;

/**
 * One entry of the matrix. Either index may be the number of classes, which is the background: an object that was missed
 * is predicted as background, a detection of nothing has background as its truth.
 */
export interface Verdict {
  readonly truth: number;
  readonly predicted: number;
}

/** An object and what was seen at its place; one of the two may be absent, never both. */
export interface Meeting {
  readonly object?: LabelledObject;
  readonly detection?: Detection;
}

/**
 * Pairs objects and detections of one picture whatever their classes: best overlap first (then best score), one to one.
 * A detection that belongs to no object but lies in a region to ignore is left out.
 */
export const pairPicture = (
  { objects, detections }: PictureResult,
  options: ConfusionOptions = {},
): Meeting[] => {
  const { score, iou: threshold } = { ...CONFUSION_DEFAULTS, ...options };
  const shown = detections.filter((detection) => detection.score > score);
  const drawn = objects.filter((object) => !object.crowd);
  const regions = objects.filter((object) => object.crowd);
  const pairs = drawn
    .flatMap((object) => shown.map((detection) => ({ object, detection, overlap: iou(detection, object) })))
    .filter((pair) => pair.overlap > threshold)
    .sort((a, b) => b.overlap - a.overlap || b.detection.score - a.detection.score);
  const freeObjects = new Set(drawn);
  const freeDetections = new Set(shown);
  const meetings: Meeting[] = [];
  for (const { object, detection } of pairs) {
    if (!freeObjects.has(object) || !freeDetections.has(detection)) continue;
    freeObjects.delete(object);
    freeDetections.delete(detection);
    meetings.push({ object, detection });
  }
  for (const object of freeObjects) meetings.push({ object });
  for (const detection of freeDetections) {
    if (regions.some((region) => overlap(detection, region) > threshold)) continue;
    meetings.push({ detection });
  }
  return meetings;
};

/**
 * What each object of a picture was taken for; see {@link pairPicture}.
 * @param classes number of classes, and the index of the background
 */
export const judgePicture = (
  result: PictureResult,
  classes: number,
  options: ConfusionOptions = {},
): Verdict[] =>
  pairPicture(result, options).map(({ object, detection }) => ({
    truth: object?.classId ?? classes,
    predicted: detection?.classId ?? classes,
  }));

/** Counts: rows are the truth, columns what was predicted; the last row and column are the background. */
export class ConfusionMatrix {
  readonly classes: readonly string[];
  /** (classes + 1) x (classes + 1). */
  readonly counts: readonly (readonly number[])[];

  constructor(classes: readonly string[], counts: readonly (readonly number[])[]) {
    this.classes = classes;
    this.counts = counts;
  }

  /** Adds up what was judged, picture by picture. */
  static of(classes: readonly string[], verdicts: Iterable<Verdict>): ConfusionMatrix {
    const size = classes.length + 1;
    const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
    for (const { truth, predicted } of verdicts) {
      const row = counts[truth];
      if (row === undefined || predicted < 0 || predicted >= size) {
        throw new RangeError(`truth ${truth}, predicted ${predicted}, and ${classes.length} classes`);
      }
      row[predicted] = (row[predicted] ?? 0) + 1;
    }
    return new ConfusionMatrix(classes, counts);
  }

  /** Objects of class `truth` taken for `predicted`; either may be `classes.length`, the background. */
  count(truth: number, predicted: number): number {
    return this.counts[truth]?.[predicted] ?? 0;
  }
}
