// Overlap of boxes as expressions of a graph.
import { broadcast, dimsOf, type Ops } from '../../autodiff/index.js';
import type { Value } from '../../onnx/index.js';
import type { Corners } from './cells.js';

export const EPSILON = 1e-7;

const both = (ops: Ops, opType: 'Max' | 'Min', a: Value, b: Value): Value =>
  ops.op(opType, [a, b], broadcast(dimsOf(a), dimsOf(b)));

const atLeastZero = (ops: Ops, x: Value): Value => ops.map('Relu', x);

const areaOf = (ops: Ops, { x1, y1, x2, y2 }: Corners): Value => ops.mul(ops.sub(x2, x1), ops.sub(y2, y1));

const shared = (ops: Ops, a: Corners, b: Corners): Value =>
  ops.mul(
    atLeastZero(ops, ops.sub(both(ops, 'Min', a.x2, b.x2), both(ops, 'Max', a.x1, b.x1))),
    atLeastZero(ops, ops.sub(both(ops, 'Min', a.y2, b.y2), both(ops, 'Max', a.y1, b.y1))),
  );

/** Intersection over union, and the union. */
const overlapOf = (ops: Ops, a: Corners, b: Corners): { iou: Value; union: Value } => {
  const intersection = shared(ops, a, b);
  const union = ops.add(ops.sub(ops.add(areaOf(ops, a), areaOf(ops, b)), intersection), EPSILON);
  return { iou: ops.div(intersection, union), union };
};

/** Intersection over union, 0..1, of boxes whose shapes broadcast. */
export const iouOf = (ops: Ops, a: Corners, b: Corners): Value => overlapOf(ops, a, b).iou;

/** Generalized intersection over union, -1..1 (Rezatofighi et al. 2019): has a slope where boxes are apart. */
export const giouOf = (ops: Ops, a: Corners, b: Corners): Value => {
  const { iou, union } = overlapOf(ops, a, b);
  const hull = ops.add(
    ops.mul(
      ops.sub(both(ops, 'Max', a.x2, b.x2), both(ops, 'Min', a.x1, b.x1)),
      ops.sub(both(ops, 'Max', a.y2, b.y2), both(ops, 'Min', a.y1, b.y1)),
    ),
    EPSILON,
  );
  return ops.sub(iou, ops.div(ops.sub(hull, union), hull));
};
