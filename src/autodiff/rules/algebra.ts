// Gradient rules of matrix products, reductions and normalizations.
import { sizeOf, type Value } from '../../onnx/index.js';
import { axisFrom, type Ops } from '../ops.js';
import type { Rule, Rules, Step } from '../step.js';

const matMul: Rule = (s) => {
  const { ops } = s;
  const [da, db] = [s.dims(0), s.dims(1)];
  // Vectors become matrices of one row or one column.
  const [rows, inner] = [da.length === 1 ? 1 : (da.at(-2) ?? 1), da.at(-1) ?? 1];
  const columns = db.length === 1 ? 1 : (db.at(-1) ?? 1);
  const a = ops.reshape(s.x(0), da.length === 1 ? [1, inner] : da);
  const b = ops.reshape(s.x(1), db.length === 1 ? [inner, 1] : db);
  const stack = s.result().slice(0, s.result().length - (da.length > 1 ? 1 : 0) - (db.length > 1 ? 1 : 0));
  const g = ops.reshape(s.g, [...stack, rows, columns]);
  const toA = ops.matmul(g, ops.flip(b));
  // One product for the whole stack where all of it meets the same matrix.
  const toB =
    db.length <= 2
      ? ops.matmul(
          ops.flip(ops.reshape(a, [sizeOf(da) / inner, inner])),
          ops.reshape(g, [sizeOf(stack) * rows, columns]),
        )
      : ops.matmul(ops.flip(a), g);
  return [da.length === 1 ? summed(ops, toA, da) : toA, db.length === 1 ? summed(ops, toB, db) : toB];
};

/** The gradient of a vector that went in as a matrix, summed over the stack. */
const summed = (ops: Ops, gradient: Value, dims: readonly number[]): Value => {
  const rank = gradient.shape?.length ?? 2;
  const flat = ops.sum(
    gradient,
    Array.from({ length: rank - 2 }, (_, i) => i),
    false,
  );
  return ops.reshape(flat, dims);
};

const gemm: Rule = (s) => {
  const { ops, node } = s;
  const [isA, isB] = [node.int('transA', 0) === 1, node.int('transB', 0) === 1];
  const g = ops.mul(s.g, node.float('alpha', 1));
  const [a, b] = [isA ? ops.flip(s.x(0)) : s.x(0), isB ? ops.flip(s.x(1)) : s.x(1)];
  const toA = ops.matmul(g, ops.flip(b));
  const toB = ops.matmul(ops.flip(a), g);
  return [
    isA ? ops.flip(toA) : toA,
    isB ? ops.flip(toB) : toB,
    s.has(2) ? ops.fit(ops.mul(s.g, node.float('beta', 1)), s.dims(2)) : undefined,
  ];
};

/** The axes that a reduction sums along, from the start. */
const reducedAxes = (s: Step): readonly number[] => {
  const rank = s.dims().length;
  const axes = s.integers('axes', 1);
  if (axes !== undefined && axes.length > 0) return axes.map((axis) => axisFrom(axis, rank));
  return s.node.int('noop_with_empty_axes', 0) === 1 ? [] : s.dims().map((_, i) => i);
};

/** What comes out of a reduction, with the axes that are gone put back as 1. */
const kept = (s: Step, value: Value): Value => {
  const gone = new Set(reducedAxes(s));
  return s.ops.reshape(
    value,
    s.dims().map((dim, i) => (gone.has(i) ? 1 : dim)),
  );
};

const reduction =
  (rule: (s: Step, g: Value, y: () => Value) => Value): Rule =>
  (s) => [rule(s, kept(s, s.g), () => kept(s, s.y()))];

/** Of those that are the greatest (or least) alike, each gets an equal share. */
const extreme = reduction((s, g, y) => {
  const mask = s.ops.mask(s.ops.compare('Equal', s.x(), y()));
  return s.ops.mul(s.ops.div(g, s.ops.sum(mask, reducedAxes(s))), mask);
});

const batchNormalization: Rule = (s) => {
  const { ops, node, g } = s;
  const dims = s.dims();
  const axes = dims.flatMap((_, i) => (i === 1 ? [] : [i]));
  const perChannel = (value: Value): Value =>
    ops.reshape(
      value,
      dims.map((dim, i) => (i === 1 ? dim : 1)),
    );
  const x = s.x();
  const isTraining = node.int('training_mode', 0) === 1;
  const mean = isTraining ? ops.mean(x, axes) : perChannel(s.x(3));
  const centred = ops.sub(x, mean);
  const variance = isTraining ? ops.mean(ops.mul(centred, centred), axes) : perChannel(s.x(4));
  const inverse = ops.div(1, ops.map('Sqrt', ops.add(variance, node.float('epsilon', 1e-5))));
  const factor = ops.mul(inverse, perChannel(s.x(1)));
  const sum = ops.sum(g, axes);
  const scaled = ops.mul(ops.sum(ops.mul(g, centred), axes), inverse);
  const channels = [dims[1] ?? 1];
  const shared = [ops.reshape(scaled, channels), ops.reshape(sum, channels)];
  if (!isTraining) {
    const toVariance = ops.mul(ops.mul(ops.mul(scaled, factor), inverse), -0.5);
    return [
      ops.mul(g, factor),
      ...shared,
      ops.reshape(ops.neg(ops.mul(sum, factor)), channels),
      ops.reshape(toVariance, channels),
    ];
  }
  // The statistics depend on x too: what g has in common with them is taken out.
  const count = sizeOf(dims) / (dims[1] ?? 1);
  const common = ops.add(ops.mul(centred, ops.div(ops.mul(scaled, inverse), count)), ops.div(sum, count));
  return [ops.mul(ops.sub(g, common), factor), ...shared];
};

export const ALGEBRA: Rules = {
  MatMul: matMul,
  Gemm: gemm,

  ReduceSum: reduction((_, g) => g),
  ReduceMean: reduction((s, g) => s.ops.div(g, sizeOf(s.dims()) / sizeOf(s.result()))),
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceL1: reduction((s, g) => s.ops.mul(s.ops.map('Sign', s.x()), g)),
  ReduceL2: reduction((s, g, y) => s.ops.mul(s.x(), s.ops.div(g, y()))),
  ReduceSumSquare: reduction((s, g) => s.ops.mul(s.x(), s.ops.mul(g, 2))),
  ReduceLogSum: reduction((s, g, y) => s.ops.div(g, s.ops.map('Exp', y()))),
  ReduceLogSumExp: reduction((s, g, y) => s.ops.mul(s.ops.map('Exp', s.ops.sub(s.x(), y())), g)),

  Softmax: (s) => {
    const axis = axisFrom(s.node.int('axis', -1), s.dims().length);
    const gy = s.ops.mul(s.g, s.y());
    return [s.ops.sub(gy, s.ops.mul(s.y(), s.ops.sum(gy, [axis])))];
  },
  LogSoftmax: (s) => {
    const axis = axisFrom(s.node.int('axis', -1), s.dims().length);
    return [s.ops.sub(s.g, s.ops.mul(s.ops.map('Exp', s.y()), s.ops.sum(s.g, [axis])))];
  },
  BatchNormalization: batchNormalization,
};
