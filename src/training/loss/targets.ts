// What a picture's labels become for a loss: padded tables of a fixed size.
import type { Batch } from '../types.js';
import { floatTensor } from '../../runtime/index.js';
import type { Box } from '../../vision/index.js';
import { levelsOf, type YoloxSpec } from './cells.js';

/** The graph inputs of the detection loss. */
export const TARGETS = 'targets';
export const ATTENTION = 'targets.attention';

/** Columns of a target: x1, y1, x2, y2 in pixels of the input, class of the model, weight (0: there is none). */
export const TARGET_WIDTH = 6;

/** The class of a target that is nothing: a teacher that sees something there is wrong. */
export const NOTHING = -2;

/** An object that a picture of the batch shows, in pixels of the model's input. */
export interface Target extends Box {
  /** In the model's classes, or {@link NOTHING}. */
  readonly classId: number;
  /** What its box and class count, 1 usually. */
  readonly weight: number;
}

/** What a picture of the batch shows. */
export interface Targets {
  readonly objects: readonly Target[];
  /** Where nothing is to be learnt about objectness: crowds, things too small for a label. */
  readonly ignored: readonly Box[];
}

/** The largest `most` objects, where there are more. */
const largest = (objects: readonly Target[], most: number): readonly Target[] => {
  if (objects.length <= most) return objects;
  const area = ({ x1, y1, x2, y2 }: Target): number => (x2 - x1) * (y2 - y1);
  return [...objects].sort((a, b) => area(b) - area(a)).slice(0, most);
};

/**
 * The loss's inputs for one batch: `targets` [N, objects, 6] and `targets.attention` [N, cells], which is 0 where a cell's middle
 * lies in an ignored region and 1 elsewhere.
 *
 * @param objects rows of a picture; where there are more objects, the smallest are left out
 */
export const targetFeeds = (pictures: readonly Targets[], spec: YoloxSpec, objects: number): Batch => {
  const levels = levelsOf(spec);
  const cells = levels.reduce((sum, { columns, rows }) => sum + columns * rows, 0);
  const table = new Float32Array(pictures.length * objects * TARGET_WIDTH);
  const attention = new Float32Array(pictures.length * cells).fill(1);
  pictures.forEach((picture, n) => {
    largest(picture.objects, objects).forEach(({ x1, y1, x2, y2, classId, weight }, m) => {
      table.set([x1, y1, x2, y2, classId, weight], (n * objects + m) * TARGET_WIDTH);
    });
    for (const { x1, y1, x2, y2 } of picture.ignored) {
      for (const { stride, columns, rows, first } of levels) {
        const from = (low: number): number => Math.max(0, Math.ceil(low / stride - 0.5));
        const to = (high: number, count: number): number => Math.min(count, Math.ceil(high / stride - 0.5));
        for (let row = from(y1); row < to(y2, rows); row += 1) {
          const start = n * cells + first + row * columns;
          attention.fill(0, start + from(x1), Math.max(start + from(x1), start + to(x2, columns)));
        }
      }
    }
  });
  return {
    [TARGETS]: floatTensor([pictures.length, objects, TARGET_WIDTH], table),
    [ATTENTION]: floatTensor([pictures.length, cells], attention),
  };
};
