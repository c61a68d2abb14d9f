// Which detection found which object: COCO's rule, one picture at a time.
import { type Box, boxArea, type Detection, intersection, iou } from '../vision/index.js';
import type { LabelledObject } from './types.js';

/** 0.50, 0.55, ... 0.95, as COCO computes them. */
export const IOU_THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, i) =>
  i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9),
);

/** What a picture holds and what a model said of it, both in the same classes and the same pixels. */
export interface PictureResult {
  readonly objects: readonly LabelledObject[];
  readonly detections: readonly Detection[];
}

/** One detection after matching; bit `i` of a mask speaks of `IOU_THRESHOLDS[i]`. */
export interface MatchedDetection {
  readonly classId: number;
  readonly score: number;
  /** Found an object. */
  readonly found: number;
  /** Lies in a region to ignore: counts neither way. */
  readonly ignored: number;
}

/** All that average precision needs to know of one picture. */
export interface PictureMatches {
  /** Best score first within a class. */
  readonly detections: readonly MatchedDetection[];
  /** Objects of each class, regions to ignore left out. */
  readonly objects: readonly number[];
}

/** Overlap of a detection with a labelled object; with a region to ignore, the share of the detection that lies in it. */
export const overlap = (detection: Box, object: LabelledObject): number => {
  if (!object.crowd) return iou(detection, object);
  const shared = intersection(detection, object);
  return shared === 0 ? 0 : shared / boxArea(detection);
};

/** `items` by falling score; equal scores keep their order. */
export const byScore = <T extends { readonly score: number }>(items: readonly T[]): T[] =>
  [...items].sort((a, b) => b.score - a.score);

/**
 * Matches class by class and threshold by threshold, as pycocotools does: detections by falling score, each takes the
 * object of greatest overlap that is still free and reaches the threshold (the later one among equals); regions to
 * ignore come last and may be taken any number of times.
 * @param classes number of classes; detections and objects of classes outside 0..classes-1 are left out
 * @param maxDetections detections looked at for one class of one picture, best first
 */
export const matchPicture = (
  { objects, detections }: PictureResult,
  classes: number,
  maxDetections = 100,
): PictureMatches => {
  const matched: MatchedDetection[] = [];
  const counts: number[] = [];
  for (let classId = 0; classId < classes; classId += 1) {
    const own = objects.filter((object) => object.classId === classId);
    // Regions to ignore last, so that a detection prefers an object.
    const targets = [...own.filter((object) => !object.crowd), ...own.filter((object) => object.crowd)];
    const candidates = byScore(detections.filter((d) => d.classId === classId)).slice(0, maxDetections);
    counts.push(own.filter((object) => !object.crowd).length);
    matched.push(...matchClass(candidates, targets));
  }
  return { detections: matched, objects: counts };
};

const matchClass = (
  detections: readonly Detection[],
  objects: readonly LabelledObject[],
): MatchedDetection[] => {
  const overlaps = detections.map((detection) => objects.map((object) => overlap(detection, object)));
  const found = new Array<number>(detections.length).fill(0);
  const ignored = new Array<number>(detections.length).fill(0);
  for (const [bit, threshold] of IOU_THRESHOLDS.entries()) {
    const taken = new Array<boolean>(objects.length).fill(false);
    for (const [d, row] of overlaps.entries()) {
      const best = bestObject(row, objects, taken, threshold);
      if (best < 0) continue;
      taken[best] = true;
      const mask = objects[best]?.crowd === true ? ignored : found;
      mask[d] = (mask[d] ?? 0) | (1 << bit);
    }
  }
  return detections.map(({ classId, score }, d) => ({
    classId,
    score,
    found: found[d] ?? 0,
    ignored: ignored[d] ?? 0,
  }));
};

/** Index of the object that a detection takes, or -1. */
const bestObject = (
  overlaps: readonly number[],
  objects: readonly LabelledObject[],
  taken: readonly boolean[],
  threshold: number,
): number => {
  let best = -1;
  let reached = threshold;
  for (const [index, object] of objects.entries()) {
    if (taken[index] === true && !object.crowd) continue;
    if (best >= 0 && objects[best]?.crowd === false && object.crowd) break;
    const value = overlaps[index] ?? 0;
    if (value < reached) continue;
    reached = value;
    best = index;
  }
  return best;
};
