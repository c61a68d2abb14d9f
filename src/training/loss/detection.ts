// The loss of a detector on labelled pictures: boxes, objectness and classes of the cells that answer for objects.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import type { Value } from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import type { BuildLoss } from '../types.js';
import { assign } from './assignment.js';
import {
  boxesOf,
  columns,
  cornersOf,
  FIRST_CLASS,
  OBJECTNESS,
  type Rows,
  rowsOf,
  yoloxSpec,
} from './cells.js';
import { giouOf, iouOf } from './overlap.js';
import { ATTENTION, TARGET_WIDTH, TARGETS } from './targets.js';

export interface DetectionLossOptions {
  readonly detector: DetectorSpec;
  /** Rows of a picture's targets. */
  readonly objects: number;
  /** `iou`: 1 - IoU^2, as in YOLOX; `giou`: 1 - GIoU, which pulls at boxes that do not touch yet (default). */
  readonly box?: 'iou' | 'giou';
  /** What the parts count. */
  readonly weights?: { readonly box: number; readonly objectness: number; readonly class: number };
  /** classes x classes: what the score of each class (column) counts on objects of each class (row); 1 where left out. */
  readonly classWeights?: Float32Array;
}

export const LOSS_WEIGHTS = { box: 5, objectness: 1, class: 1 } as const;

/** Binary cross-entropy of logits. */
export const crossEntropy = (ops: Ops, logits: Value, targets: Value): Value =>
  ops.sub(ops.map('Softplus', logits), ops.mul(logits, targets));

export const total = (ops: Ops, x: Value): Value =>
  ops.sum(
    x,
    dimsOf(x).map((_, axis) => axis),
    false,
  );

/** [N, M, classes] of a column [N, M, 1] of class numbers. */
const oneHotOf = (ops: Ops, column: Value, classes: number): Value =>
  ops.mask(
    ops.compare(
      'Equal',
      column,
      ops.floats(
        [1, 1, classes],
        Array.from({ length: classes }, (_, i) => i),
      ),
    ),
  );

/**
 * Builds the detection loss over a `yolox` head: SimOTA assignment, overlap loss of boxes, binary cross-entropy of objectness and of
 * classes, whose targets are the overlaps. Sums over the batch, divided by the number of cells that answer for an object.
 *
 * Graph inputs of its own: see `targetFeeds`.
 *
 * @throws BitlaneError `UNSUPPORTED` for a head of another type
 */
export const detectionLoss = (options: DetectionLossOptions): BuildLoss => {
  const spec = yoloxSpec(options.detector);
  const weights = options.weights ?? LOSS_WEIGHTS;
  return ({ graph, ops, outputs, batch }) => {
    const scope = ops.scope;
    ops.scope = 'loss';
    const rows = rowsOf(graph, ops, outputs, spec, batch);
    const { width, cells } = rows;
    const { objects } = options;
    const targets = graph.addInput(TARGETS, 'float32', [batch, objects, TARGET_WIDTH]);
    const attention = graph.addInput(ATTENTION, 'float32', [batch, cells]);
    const oneHot = oneHotOf(ops, columns(ops, targets, 4, 5), spec.classes.length);
    const detached = ops.map('Identity', rows.values);
    const { slots, cells: cell, rows: row, taken, overlap } = assign(ops, rows, detached, targets, oneHot);

    const places = batch * objects * slots;
    const perPlace = (x: Value, size: number): Value =>
      ops.reshape(ops.expand(ops.reshape(x, [batch, objects, 1, size]), [batch, objects, slots, size]), [
        places,
        size,
      ]);
    const flat = (x: Value): Value => ops.reshape(x, [places, 1]);
    const answers = ops.op('GatherND', [rows.values, flat(row)], [places, width]);
    const counts = flat(ops.mul(taken, columns(ops, targets, 5, 6)));

    const said = boxesOf(ops, rows, answers, flat(cell));
    const real = cornersOf(ops, perPlace(columns(ops, targets, 0, 4), 4));
    const apart =
      options.box === 'iou' ? squaredMiss(ops, iouOf(ops, said, real)) : ops.sub(1, giouOf(ops, said, real));
    const box = total(ops, ops.mul(apart, counts));

    const truth = perPlace(oneHot, spec.classes.length);
    const each = crossEntropy(ops, columns(ops, answers, FIRST_CLASS, width), ops.mul(truth, flat(overlap)));
    const weighted =
      options.classWeights === undefined
        ? each
        : ops.mul(
            each,
            ops.matmul(truth, ops.floats([spec.classes.length, spec.classes.length], options.classWeights)),
          );
    const classes = total(ops, ops.mul(weighted, counts));

    const objectness = objectnessLoss(ops, rows, {
      row: ops.reshape(row, [places]),
      taken: ops.reshape(taken, [places]),
      counts: ops.reshape(counts, [places]),
      attention: ops.reshape(attention, [batch * cells]),
    });
    const positives = total(ops, counts);
    const count = ops.op('Max', [positives, ops.scalar(1)], []);
    const parts = {
      box: ops.div(box, count),
      objectness: ops.div(objectness, count),
      class: ops.div(classes, count),
    };
    const loss = ops.add(
      ops.add(ops.mul(parts.box, weights.box), ops.mul(parts.objectness, weights.objectness)),
      ops.mul(parts.class, weights.class),
    );
    ops.scope = scope;
    return { loss, parts: { ...parts, positives }, fixed: [detached] };
  };
};

const squaredMiss = (ops: Ops, overlap: Value): Value => ops.sub(1, ops.mul(overlap, overlap));

/** A cell that answers for an object says so, as much as the object counts; one that does not denies it, where it is asked. */
const objectnessLoss = (
  ops: Ops,
  { values, batch, cells }: Rows,
  {
    row,
    taken,
    counts,
    attention,
  }: {
    readonly row: Value;
    readonly taken: Value;
    readonly counts: Value;
    readonly attention: Value;
  },
): Value => {
  const zeros = ops.zeros([batch * cells]);
  const target = ops.scatterAdd(zeros, row, taken, 0);
  const weight = ops.where(
    ops.compare('Greater', target, 0),
    ops.scatterAdd(zeros, row, counts, 0),
    attention,
  );
  const logits = ops.reshape(columns(ops, values, OBJECTNESS, FIRST_CLASS), [batch * cells]);
  return total(ops, ops.mul(crossEntropy(ops, logits, target), weight));
};
