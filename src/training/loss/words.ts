// Somebody's word beside a teacher's: the classes of the objects that were named are put right, all else stays as the teacher says it.
import { type Box, iou, makeGrid } from '../../vision/index.js';
import { FIRST_CLASS, OBJECTNESS, type YoloxSpec } from './cells.js';
import { NOTHING, TARGET_WIDTH } from './targets.js';

/** Cells whose objectness is lower say nothing of an object. */
const LEAST_OBJECTNESS = 0.05;
/** A box that overlaps a named object less is about another one. */
const SAME = 0.5;

/**
 * Puts a teacher's answers right, in place: every cell that sees a named object says its class, and surely; one that sees an object where
 * there is nothing sees none.
 *
 * @param answers [N, cells, 5 + classes], as a teacher gives them: scores as probabilities
 * @param targets [N, objects, 6], what was named ({@link TARGET_WIDTH})
 * @param weight what the class of a cell that was put right counts
 * @returns [N, cells]: `weight` there, 1 elsewhere
 */
export const putRight = (
  answers: Float32Array,
  targets: Float32Array,
  { input, head, classes }: YoloxSpec,
  weight: number,
): Float32Array => {
  const grid = makeGrid(input.width, input.height, head.strides);
  const width = FIRST_CLASS + classes.length;
  const batch = answers.length / (grid.cells * width);
  const objects = targets.length / (batch * TARGET_WIDTH);
  const weights = new Float32Array(batch * grid.cells).fill(1);
  const isRaw = head.boxes === 'raw';
  const boxAt = (at: number, cell: number): Box => {
    const [x = 0, y = 0, w = 0, h = 0] = answers.subarray(at, at + 4);
    const stride = grid.stride[cell] ?? 1;
    const [column, row] = [grid.column[cell] ?? 0, grid.row[cell] ?? 0];
    const [cx, cy] = isRaw ? [(x + column) * stride, (y + row) * stride] : [x, y];
    const [sx, sy] = isRaw ? [Math.exp(w) * stride, Math.exp(h) * stride] : [w, h];
    return { x1: cx - sx / 2, y1: cy - sy / 2, x2: cx + sx / 2, y2: cy + sy / 2 };
  };
  for (let n = 0; n < batch; n++) {
    for (let m = 0; m < objects; m++) {
      const start = (n * objects + m) * TARGET_WIDTH;
      const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, classId = 0, counts = 0] = targets.subarray(
        start,
        start + TARGET_WIDTH,
      );
      if (counts === 0) continue;
      for (let cell = 0; cell < grid.cells; cell++) {
        const at = (n * grid.cells + cell) * width;
        if ((answers[at + OBJECTNESS] ?? 0) < LEAST_OBJECTNESS) continue;
        if (iou(boxAt(at, cell), { x1, y1, x2, y2 }) < SAME) continue;
        if (classId === NOTHING) {
          answers[at + OBJECTNESS] = 0;
          continue;
        }
        answers.fill(0, at + FIRST_CLASS, at + width);
        answers[at + FIRST_CLASS + classId] = 1;
        weights[n * grid.cells + cell] = weight;
      }
    }
  }
  return weights;
};
