// The door of tracking: detections become clean observations, one for each object.
import type { Box, Detection } from '../vision/index.js';
import { overlap } from './geometry.js';
import type { FrameInfo } from './types.js';

/** One object as the detector saw it in one frame. */
export interface Observation {
  /** Index of the leading detection. */
  readonly detection: number;
  readonly box: Box;
  readonly className: string;
  readonly score: number;
  /** Other classes reported for the same object, best first. */
  readonly rivals: readonly { readonly className: string; readonly score: number }[];
  /** How much this frame says about the class: 0..1, less for small objects and for those cut by the frame's edge. */
  readonly clarity: number;
}

export interface Admitted {
  /** Best score first. */
  readonly observations: readonly Observation[];
  readonly rejected: number;
  readonly merged: number;
}

/**
 * Boxes that overlap at least this much are one object. Suppression in the detector works class by class, so a vehicle that the model
 * takes for a car and a truck arrives twice; tracked as two it would be counted twice.
 */
const SAME_OBJECT = 0.7;

/** Objects with a side below this share of the frame's are seen less clearly. */
const CLEAR_SIDE = 0.1;
const LEAST_CLARITY = 0.3;
const CUT_CLARITY = 0.3;
/** A box nearer to the frame's edge than this share of the frame is taken as cut. */
const CUT_MARGIN = 0.004;

const clip = (value: number, high: number): number => Math.min(Math.max(value, 0), high);

const clarityOf = (box: Box, { width, height }: FrameInfo): number => {
  const side = Math.sqrt(((box.x2 - box.x1) / width) * ((box.y2 - box.y1) / height));
  const size = Math.min(Math.max(side / CLEAR_SIDE, LEAST_CLARITY), 1);
  const cut =
    box.x1 <= CUT_MARGIN * width ||
    box.y1 <= CUT_MARGIN * height ||
    box.x2 >= (1 - CUT_MARGIN) * width ||
    box.y2 >= (1 - CUT_MARGIN) * height;
  return cut ? size * CUT_CLARITY : size;
};

/** The box clipped to the frame, or `undefined` where it is no box of at least a pixel. */
const cleanBox = (box: Box, { width, height }: FrameInfo): Box | undefined => {
  if (![box.x1, box.y1, box.x2, box.y2].every(Number.isFinite)) return undefined;
  const clean = {
    x1: clip(box.x1, width),
    y1: clip(box.y1, height),
    x2: clip(box.x2, width),
    y2: clip(box.y2, height),
  };
  return clean.x2 - clean.x1 >= 1 && clean.y2 - clean.y1 >= 1 ? clean : undefined;
};

/**
 * Rejects what is no detection (coordinates or score not finite, score outside 0..1, unknown class, less than a pixel within the
 * frame), drops what is below `lowScore`, and merges boxes of one object under the best of them.
 */
export const admit = (
  detections: readonly Detection[],
  classes: readonly string[],
  frame: FrameInfo,
  lowScore: number,
): Admitted => {
  let rejected = 0;
  let merged = 0;
  const sound: { index: number; box: Box; className: string; score: number }[] = [];
  for (const [index, detection] of detections.entries()) {
    const { score } = detection;
    const className = classes[detection.classId];
    const box = cleanBox(detection, frame);
    if (className === undefined || box === undefined || !(score >= 0 && score <= 1)) rejected++;
    else if (score >= lowScore) sound.push({ index, box, className, score });
  }
  sound.sort((a, b) => b.score - a.score || a.index - b.index);

  const observations: (Observation & { rivals: { className: string; score: number }[] })[] = [];
  for (const { index, box, className, score } of sound) {
    const lead = observations.find((other) => overlap(other.box, box) >= SAME_OBJECT);
    if (lead === undefined) {
      const clarity = clarityOf(box, frame);
      observations.push({ detection: index, box, className, score, rivals: [], clarity });
      continue;
    }
    merged++;
    if (className !== lead.className && !lead.rivals.some((rival) => rival.className === className)) {
      lead.rivals.push({ className, score });
    }
  }
  return { observations, rejected, merged };
};
