// The loss against a teacher: what the FP32 model says of a picture is the truth, as sure as it is of it. Needs no labels.
import { type Ops } from '../../autodiff/index.js';
import type { Value } from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import type { BuildLoss } from '../types.js';
import { boxesOf, columns, FIRST_CLASS, OBJECTNESS, rowsOf, yoloxSpec } from './cells.js';
import { crossEntropy, total } from './detection.js';
import { giouOf } from './overlap.js';

/** The graph input that holds the teacher's output [N, cells, 5 + classes], scores as probabilities. */
export const TEACHER = 'teacher';
/** The graph input that holds what the class of each cell counts [N, cells]; only where somebody's word stands beside the teacher's. */
export const TEACHER_WEIGHT = 'teacher.weight';

export interface DistillationOptions {
  readonly detector: DetectorSpec;
  /** Cells whose score is lower have no say about box and class (default 0.1). */
  readonly least?: number;
  /** Whether the classes of some cells count more than others ({@link TEACHER_WEIGHT}; default: none do). */
  readonly weighted?: boolean;
  /** What the parts count. */
  readonly weights?: { readonly box: number; readonly objectness: number; readonly class: number };
}

export const DISTILLATION_WEIGHTS = { box: 2, objectness: 1, class: 1 } as const;

const NEAR_ZERO = 1e-7;

/** Entropy of probabilities that are given: what a loss cannot fall below. */
const entropy = (ops: Ops, p: Value): Value => {
  const clipped = ops.op(
    'Clip',
    [p, ops.scalar(NEAR_ZERO), ops.scalar(1 - NEAR_ZERO)],
    p.shape?.map(Number) ?? [],
  );
  const rest = ops.sub(1, clipped);
  return ops.neg(ops.add(ops.mul(clipped, ops.map('Log', clipped)), ops.mul(rest, ops.map('Log', rest))));
};

/** The greatest of each row, as a column. */
const greatest = (ops: Ops, x: Value, rows: number): Value =>
  ops.op('ReduceMax', [x, ops.ints([1])], [rows, 1], { keepdims: 1 });

/**
 * Builds the loss against a teacher with the same head. Objectness is compared at every cell, classes and boxes where the teacher
 * sees something, in proportion to its score. 0 where both say the same.
 *
 * @throws BitlaneError `UNSUPPORTED` for a head of another type
 */
export const distillationLoss = (options: DistillationOptions): BuildLoss => {
  const spec = yoloxSpec(options.detector);
  const weights = options.weights ?? DISTILLATION_WEIGHTS;
  return ({ graph, ops, outputs, batch }) => {
    ops.scope = 'distillation';
    const rows = rowsOf(graph, ops, outputs, spec, batch);
    const { cells, width, values } = rows;
    const count = batch * cells;
    const input = graph.addInput(TEACHER, 'float32', [batch, cells, width]);
    const teacher = ops.reshape(input, [count, width]);
    const objectness = columns(ops, teacher, OBJECTNESS, FIRST_CLASS);
    const classes = columns(ops, teacher, FIRST_CLASS, width);
    const score = ops.mul(objectness, greatest(ops, classes, count));
    const confident = ops.only(score, ops.compare('Greater', score, options.least ?? 0.1));
    const norm = ops.op('Max', [total(ops, confident), ops.scalar(1)], []);
    const divergence = (from: number, to: number, truth: Value): Value =>
      ops.sub(crossEntropy(ops, columns(ops, values, from, to), truth), entropy(ops, truth));

    const cell = ops.ints(Array.from({ length: count }, (_, i) => i % cells));
    const place = ops.reshape(cell, [count, 1]);
    const apart = ops.sub(
      1,
      giouOf(ops, boxesOf(ops, rows, values, place), boxesOf(ops, rows, teacher, place)),
    );
    const believed =
      options.weighted === true
        ? ops.mul(
            confident,
            ops.reshape(graph.addInput(TEACHER_WEIGHT, 'float32', [batch, cells]), [count, 1]),
          )
        : confident;
    const parts = {
      'teacher box': ops.div(total(ops, ops.mul(apart, confident)), norm),
      'teacher objectness': ops.div(total(ops, divergence(OBJECTNESS, FIRST_CLASS, objectness)), norm),
      'teacher class': ops.div(total(ops, ops.mul(divergence(FIRST_CLASS, width, classes), believed)), norm),
    };
    const loss = ops.add(
      ops.add(
        ops.mul(parts['teacher box'], weights.box),
        ops.mul(parts['teacher objectness'], weights.objectness),
      ),
      ops.mul(parts['teacher class'], weights.class),
    );
    return { loss, parts };
  };
};

/** Several losses as one: their weighted sum. */
export const sumOfLosses =
  (losses: readonly { readonly build: BuildLoss; readonly weight: number }[]): BuildLoss =>
  (place) => {
    const built = losses.map(({ build, weight }) => ({ ...build(place), weight }));
    const [first, ...others] = built.map(({ loss, weight }) => place.ops.mul(loss, weight));
    return {
      loss: others.reduce((sum, value) => place.ops.add(sum, value), first ?? place.ops.scalar(0)),
      parts: Object.assign({}, ...built.map(({ parts }) => parts)) as Record<string, Value>,
      fixed: built.flatMap(({ fixed }) => fixed ?? []),
    };
  };
