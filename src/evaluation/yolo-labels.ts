// Label rows of the YOLO layout: `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...` for a polygon.
import { BitlaneError } from '../errors.js';

/** A box in shares of the picture's width and height, clipped to 0..1. */
export interface ShareBox {
  readonly classId: number;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

export interface LabelRows {
  readonly boxes: readonly ShareBox[];
  /** Rows left out because an equal row came before. */
  readonly duplicates: number;
  /** Rows left out because their box has no area inside the picture. */
  readonly empty: number;
}

/** Annotation tools round: a coordinate this far outside 0..1 is clipped, one further outside is an error. */
const SLACK = 0.01;

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const clip = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * Parses the text of one label file.
 * @param classes number of classes of the data set
 * @param file name for errors
 * @throws BitlaneError `BAD_DATASET`, naming file and line
 */
export const parseLabelRows = (text: string, classes: number, file: string): LabelRows => {
  const boxes: ShareBox[] = [];
  const seen = new Set<string>();
  let duplicates = 0;
  let empty = 0;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const row = raw.trim();
    if (row === '') continue;
    const box = parseRow(row, classes, `${file}, line ${index + 1}`);
    const key = `${box.classId} ${box.x1} ${box.y1} ${box.x2} ${box.y2}`;
    if (box.x2 <= box.x1 || box.y2 <= box.y1) empty += 1;
    else if (seen.has(key)) duplicates += 1;
    else {
      seen.add(key);
      boxes.push(box);
    }
  }
  return { boxes, duplicates, empty };
};

const parseRow = (row: string, classes: number, where: string): ShareBox => {
  const bad = (rule: string): never => {
    throw new BitlaneError('BAD_DATASET', `${where}: ${rule}`);
  };
  const fields = row.split(/\s+/);
  const values = fields.map((field) =>
    NUMBER.test(field) ? Number(field) : bad(`${JSON.stringify(field.slice(0, 32))} is not a number`),
  );
  const [classId = -1, ...coordinates] = values;
  if (!Number.isInteger(classId) || classId < 0 || classId >= classes) {
    bad(`class ${fields[0]} is not one of the data set's ${classes} classes (0 to ${classes - 1})`);
  }
  if (coordinates.length !== 4 && (coordinates.length < 6 || coordinates.length % 2 !== 0)) {
    bad(
      `a row is a class and 4 numbers (a box) or a class and 3 or more points (a polygon), and this one has ${fields.length} fields`,
    );
  }
  const outside = coordinates.find((value) => value < -SLACK || value > 1 + SLACK);
  if (outside !== undefined) bad(`${outside} is outside 0..1: coordinates are shares of the picture`);
  const [cx = 0, cy = 0, w = 0, h = 0] = coordinates;
  if (coordinates.length === 4) {
    return {
      classId,
      x1: clip(cx - w / 2),
      y1: clip(cy - h / 2),
      x2: clip(cx + w / 2),
      y2: clip(cy + h / 2),
    };
  }
  const xs = coordinates.filter((_, index) => index % 2 === 0);
  const ys = coordinates.filter((_, index) => index % 2 === 1);
  return {
    classId,
    x1: clip(Math.min(...xs)),
    y1: clip(Math.min(...ys)),
    x2: clip(Math.max(...xs)),
    y2: clip(Math.max(...ys)),
  };
};
