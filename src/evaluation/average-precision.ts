// Average precision by COCO's rule (101 recall points), over all pictures or any weighting of them.
import { IOU_THRESHOLDS, type PictureMatches } from './matching.js';

/** 0, 0.01, ... 1, as COCO computes them. */
const RECALL_POINTS: readonly number[] = Array.from({ length: 101 }, (_, i) => (i === 100 ? 1 : i * 0.01));

/** Detections of one class over all pictures, best score first, in columns. */
interface ClassColumns {
  readonly picture: Int32Array;
  readonly found: Uint16Array;
  readonly ignored: Uint16Array;
  /** Objects of the class in each picture. */
  readonly objects: Int32Array;
}

export interface ClassPrecision {
  /** Objects of the class. */
  readonly objects: number;
  /** AP at IoU 0.50, 0..1; `null` where the class has no objects. */
  readonly ap50: number | null;
  /** Mean of the AP at IoU 0.50, 0.55, ... 0.95. */
  readonly ap5095: number | null;
}

export interface Precision {
  readonly map50: number;
  readonly map5095: number;
  readonly classes: readonly ClassPrecision[];
}

/**
 * The matches of all pictures, sorted once. Every question after that takes weights (how often each picture counts), so a
 * bootstrap resamples pictures without matching anything again: a picture of weight 2 counts exactly as two equal
 * pictures would.
 */
export class MatchTable {
  /** Number of pictures. */
  readonly pictures: number;
  readonly #columns: readonly ClassColumns[];
  readonly #counted: readonly boolean[];

  /**
   * @param counted for each class, whether it takes part in the mean; all that have objects when left out
   */
  constructor(matches: readonly PictureMatches[], counted?: readonly boolean[]) {
    this.pictures = matches.length;
    const classes = matches[0]?.objects.length ?? 0;
    this.#columns = Array.from({ length: classes }, (_, classId) => columnsOf(matches, classId));
    this.#counted = counted ?? new Array<boolean>(classes).fill(true);
  }

  /** Number of classes. */
  get classes(): number {
    return this.#columns.length;
  }

  /**
   * AP of a class at `IOU_THRESHOLDS[threshold]`, 0..1; NaN where the (weighted) pictures hold no object of it.
   * @param weights how often each picture counts; once each when left out
   */
  averagePrecision(classId: number, threshold: number, weights?: Int32Array): number {
    const columns = this.#columns[classId];
    return columns === undefined ? Number.NaN : averagePrecision(columns, threshold, weights);
  }

  /** Mean AP over the counted classes that have objects, at IoU 0.50; NaN where there is none. */
  map50(weights?: Int32Array): number {
    return this.#mean([0], weights);
  }

  /** Mean AP over the counted classes that have objects and the ten IoU thresholds; NaN where there is none. */
  map5095(weights?: Int32Array): number {
    return this.#mean(ALL_THRESHOLDS, weights);
  }

  /** All figures at once. */
  summary(): Precision {
    return {
      map50: this.map50(),
      map5095: this.map5095(),
      classes: this.#columns.map((columns, classId) => {
        const objects = columns.objects.reduce((sum, count) => sum + count, 0);
        const at = ALL_THRESHOLDS.map((threshold) => this.averagePrecision(classId, threshold));
        const known = objects > 0 && this.#counted[classId] === true;
        return { objects, ap50: known ? (at[0] ?? null) : null, ap5095: known ? mean(at) : null };
      }),
    };
  }

  #mean(thresholds: readonly number[], weights?: Int32Array): number {
    const values: number[] = [];
    for (const [classId, columns] of this.#columns.entries()) {
      if (this.#counted[classId] !== true) continue;
      for (const threshold of thresholds) {
        const value = averagePrecision(columns, threshold, weights);
        if (!Number.isNaN(value)) values.push(value);
      }
    }
    return mean(values);
  }
}

const ALL_THRESHOLDS: readonly number[] = IOU_THRESHOLDS.map((_, index) => index);

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;

const columnsOf = (matches: readonly PictureMatches[], classId: number): ClassColumns => {
  const rows = matches.flatMap((match, picture) =>
    match.detections
      .filter((detection) => detection.classId === classId)
      .map((detection) => ({ ...detection, picture })),
  );
  // Sorting is stable: equal scores stay in the order of the pictures.
  rows.sort((a, b) => b.score - a.score);
  return {
    picture: Int32Array.from(rows, (row) => row.picture),
    found: Uint16Array.from(rows, (row) => row.found),
    ignored: Uint16Array.from(rows, (row) => row.ignored),
    objects: Int32Array.from(matches, (match) => match.objects[classId] ?? 0),
  };
};

/** Walks down the scores, and back up for the interpolated precision: the best precision at this recall or a higher one. */
const averagePrecision = (columns: ClassColumns, threshold: number, weights?: Int32Array): number => {
  const { picture, found, ignored, objects } = columns;
  let total = 0;
  for (let i = 0; i < objects.length; i += 1) total += (objects[i] ?? 0) * (weights?.[i] ?? 1);
  if (total === 0) return Number.NaN;
  const recall: number[] = [];
  const precision: number[] = [];
  let hits = 0;
  let shown = 0;
  for (let i = 0; i < picture.length; i += 1) {
    const weight = weights === undefined ? 1 : (weights[picture[i] ?? 0] ?? 0);
    if (weight === 0 || (((ignored[i] ?? 0) >> threshold) & 1) === 1) continue;
    shown += weight;
    if ((((found[i] ?? 0) >> threshold) & 1) === 0) continue;
    hits += weight;
    recall.push(hits / total);
    precision.push(hits / shown);
  }
  let sum = 0;
  let best = 0;
  let at = recall.length - 1;
  for (let point = RECALL_POINTS.length - 1; point >= 0; point -= 1) {
    while (at >= 0 && (recall[at] ?? 0) >= (RECALL_POINTS[point] ?? 0)) {
      best = Math.max(best, precision[at] ?? 0);
      at -= 1;
    }
    sum += best;
  }
  return sum / RECALL_POINTS.length;
};
