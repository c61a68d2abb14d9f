// How what a model says of an object moves with the elements of its output: slopes, to be added up as seeds of a backward pass.
import { type ClassSpace } from '../compact.js';
import type { Rows } from '../rows.js';

/** A linear function of the model's outputs: a weight for some of their elements. */
export interface Slope {
  readonly output: string;
  readonly element: number;
  readonly weight: number;
}

/** A sum of linear functions. */
export const combined = (parts: readonly (readonly [number, readonly Slope[]])[]): Slope[] =>
  parts.flatMap(([factor, slopes]) =>
    factor === 0 ? [] : slopes.map((slope) => ({ ...slope, weight: factor * slope.weight })),
  );

/** Beyond these logits a row says no more, and nothing moves it. */
const MOST = 30;
const LEAST_VARIANCE = 1e-12;

/** The slope of a logit that a column holds, as a logit or as a probability. */
const logitSlope = (
  rows: Rows,
  raw: Float32Array,
  row: number,
  column: number,
  isLogit: boolean,
  logit: number,
): Slope[] => {
  const place = rows.columns[column]?.(row);
  if (place === undefined || Math.abs(logit) >= MOST) return [];
  const score = raw[column] ?? 0;
  return [{ ...place, weight: isLogit ? 1 : 1 / Math.max(LEAST_VARIANCE, score * (1 - score)) }];
};

/**
 * Slopes of an object's logits: of each kept class, then of all others together.
 *
 * @param raw the row of the output
 */
export const classSlopes = (rows: Rows, raw: Float32Array, row: number, space: ClassSpace): Slope[][] => {
  const { logits } = rows.read(raw, 0, row);
  const { first, areLogits } = rows.scores;
  const members = (id: number): number[] =>
    [...logits.keys()].filter((index) =>
      id < space.classes.length ? space.fromModel[index] === id : (space.fromModel[index] ?? -1) < 0,
    );
  return Array.from({ length: space.classes.length + 1 }, (_, id) => {
    const own = members(id);
    const top = Math.max(...own.map((index) => logits[index] ?? 0));
    const shares = own.map((index) => Math.exp((logits[index] ?? 0) - top));
    const sum = shares.reduce((a, b) => a + b, 0);
    return combined(
      own.map((index, i) => [
        (shares[i] ?? 0) / sum,
        logitSlope(rows, raw, row, first + index, areLogits, logits[index] ?? 0),
      ]),
    );
  });
};

/** The slope of an object's objectness logit: of its best class where the head has none. */
export const objectnessSlope = (rows: Rows, raw: Float32Array, row: number): Slope[] => {
  const { objectness, logits } = rows.read(raw, 0, row);
  const { first, areLogits } = rows.scores;
  return rows.hasObjectness
    ? logitSlope(rows, raw, row, first - 1, false, objectness)
    : logitSlope(rows, raw, row, first + logits.indexOf(objectness), areLogits, objectness);
};

const STEP = 1e-3;

/** Slopes of the edges of an object's box: left and right in its widths, top and bottom in its heights. */
export const edgeSlopes = (rows: Rows, raw: Float32Array, row: number): Slope[][] => {
  const { box, logits } = rows.read(raw, 0, row);
  const [width, height] = [Math.max(1, box.x2 - box.x1), Math.max(1, box.y2 - box.y1)];
  const edges = [
    ['x1', width],
    ['y1', height],
    ['x2', width],
    ['y2', height],
  ] as const;
  const { first } = rows.scores;
  const all: Slope[][] = edges.map(() => []);
  for (const [column, placeOf] of rows.columns.entries()) {
    const isScore = column >= first && column < first + logits.length;
    if (isScore || (rows.hasObjectness && column === first - 1)) continue;
    const value = raw[column] ?? 0;
    const step = STEP * Math.max(1, Math.abs(value));
    const [low, high] = [-step, step].map((shift) => {
      const other = raw.slice();
      other[column] = value + shift;
      // What was added is what floats made of it.
      return { box: rows.read(other, 0, row).box, at: other[column] };
    });
    if (low === undefined || high === undefined) continue;
    for (const [i, [edge, size]] of edges.entries()) {
      const weight = (high.box[edge] - low.box[edge]) / (high.at - low.at) / size;
      if (weight !== 0) all[i]?.push({ ...placeOf(row), weight });
    }
  }
  return all;
};
