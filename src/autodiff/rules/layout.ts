// Gradient rules of operators that rearrange: reshape, transpose, join, cut, pick, pad, spread.
import { integersOf, sizeOf, type Value } from '../../onnx/index.js';
import { axisFrom, type Cut, dimsOf, type Ops } from '../ops.js';
import type { Rule, Rules, Step } from '../step.js';

/** The same elements in the same order. */
const reshaped: Rule = (s) => [s.ops.reshape(s.g, s.dims())];

const transpose: Rule = (s) => {
  const rank = s.dims().length;
  const perm = s.node.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return [
    s.ops.transpose(
      s.g,
      perm.map((_, axis) => perm.indexOf(axis)),
    ),
  ];
};

const concat: Rule = (s) => {
  const axis = axisFrom(s.node.int('axis', 0), s.result().length);
  const sizes = s.node.inputs.map((_, i) => s.dims(i)[axis] ?? 1);
  return s.ops.split(s.g, axis, sizes);
};

const split: Rule = (s) => {
  const axis = axisFrom(s.node.int('axis', 0), s.dims().length);
  return [
    s.ops.concat(
      s.node.outputs.map(
        (value, i) => s.gradientOf(i) ?? s.ops.zeros(value === undefined ? [] : dimsOf(value)),
      ),
      axis,
    ),
  ];
};

/** Zeros between the elements along `axis`: a size n becomes (n - 1) * step + 1. */
export const spread = (ops: Ops, x: Value, axis: number, step: number): Value => {
  const dims = dimsOf(x);
  const size = dims[axis] ?? 1;
  if (step === 1 || size === 1) return x;
  const [front, back] = [dims.slice(0, axis), dims.slice(axis + 1)];
  const apart = ops.reshape(x, [...front, size, 1, ...back]);
  const none = dims.map(() => 0);
  const padded = ops.pad(apart, [...none, 0], [...none.slice(0, axis), 0, step - 1, ...none.slice(axis + 1)]);
  const joined = ops.reshape(padded, [...front, size * step, ...back]);
  return ops.slice(joined, [{ axis, start: 0, end: (size - 1) * step + 1 }]);
};

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** The cuts of a Slice node, starts within the size. */
const cutsOf = (s: Step): Cut[] => {
  const dims = s.dims();
  const starts = s.integers('starts', 1) ?? [];
  const steps = s.integers('steps', 4) ?? starts.map(() => 1);
  const axes = s.integers('axes', 3) ?? starts.map((_, i) => i);
  return starts.map((from, i) => {
    const [axis, step] = [axisFrom(axes[i] ?? i, dims.length), steps[i] ?? 1];
    const size = dims[axis] ?? 1;
    const start = from < 0 ? from + size : from;
    return { axis, start: step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1), end: 0, step };
  });
};

const slice: Rule = (s) => {
  const { ops } = s;
  const dims = s.dims();
  if (sizeOf(s.result()) === 0) return [ops.zeros(dims)];
  const [begin, end] = [dims.map(() => 0), dims.map(() => 0)];
  let gradient = s.g;
  for (const { axis, start, step = 1 } of cutsOf(s)) {
    const count = s.result()[axis] ?? 1;
    if (step < 0) gradient = ops.reverse(gradient, [axis]);
    gradient = spread(ops, gradient, axis, Math.abs(step));
    const first = step < 0 ? start + (count - 1) * step : start;
    begin[axis] = first;
    end[axis] = (dims[axis] ?? 1) - first - (count - 1) * Math.abs(step) - 1;
  }
  return [ops.pad(gradient, begin, end)];
};

/** The inverse of a permutation; `undefined` for anything else. */
const inverseOf = (picks: readonly number[] | undefined, size: number): readonly number[] | undefined => {
  if (picks?.length !== size) return undefined;
  const inverse = picks.map((_, i) => picks.indexOf(i));
  return inverse.includes(-1) ? undefined : inverse;
};

const gather: Rule = (s) => {
  const { ops } = s;
  const dims = s.dims();
  const axis = axisFrom(s.node.int('axis', 0), dims.length);
  const indices = s.dims(1);
  const { constant } = s.input(1);
  const order = inverseOf(constant === undefined ? undefined : integersOf(constant), dims[axis] ?? 1);
  if (order !== undefined && indices.length === 1) {
    return [ops.op('Gather', [s.g, ops.ints(order)], dims, { axis })];
  }
  // Elements in front, the picked axis, elements behind.
  const [front, back] = [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis + 1))];
  const count = sizeOf(indices);
  const places = ops.expand(ops.reshape(ops.cast(s.x(1), 'int64'), [1, count, 1]), [front, count, back]);
  const updates = ops.reshape(s.g, [front, count, back]);
  const sums = ops.scatterAdd(ops.zeros([front, dims[axis] ?? 1, back]), places, updates, 1);
  return [ops.reshape(sums, dims)];
};

const pad: Rule = (s) => {
  if (s.node.text('mode', 'constant') !== 'constant') throw s.refuse('only the mode constant has one');
  const dims = s.dims();
  const pads = s.integers('pads', 1) ?? [];
  const axes = (s.integers('axes', 3) ?? dims.map((_, i) => i)).map((axis) => axisFrom(axis, dims.length));
  const side = (from: number): number[] =>
    dims.map((_, axis) => (axes.includes(axis) ? -(pads[from + axes.indexOf(axis)] ?? 0) : 0));
  const value = s.has(2) ? s.ops.sub(s.ops.fit(s.g, []), s.ops.fit(padded(s, side), [])) : undefined;
  return [padded(s, side), undefined, value];
};

const padded = (s: Step, side: (from: number) => number[]): Value => {
  const axes = s.integers('axes', 3)?.length ?? s.dims().length;
  return s.ops.pad(s.g, side(0), side(axes));
};

const tile: Rule = (s) => {
  const dims = s.dims();
  const apart = dims.flatMap((dim, i) => [(s.result()[i] ?? dim) / (dim === 0 ? 1 : dim), dim]);
  const sums = s.ops.sum(
    s.ops.reshape(s.g, apart),
    dims.map((_, i) => 2 * i),
  );
  return [s.ops.reshape(sums, dims)];
};

/** Blocks of channels that become pixels: their place among the channels is in front, or behind where the mode is CRD. */
const depthToSpace: Rule = (s) => {
  const [n = 1, c = 1, h = 1, w = 1] = s.dims();
  const block = s.node.int('blocksize', 1);
  const apart = s.ops.reshape(s.g, [n, c / block ** 2, h, block, w, block]);
  const perm = s.node.text('mode', 'DCR') === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4];
  return [s.ops.reshape(s.ops.transpose(apart, perm), s.dims())];
};

const spaceToDepth: Rule = (s) => {
  const [n = 1, c = 1, h = 1, w = 1] = s.dims();
  const block = s.node.int('blocksize', 1);
  const apart = s.ops.reshape(s.g, [n, block, block, c, h / block, w / block]);
  return [s.ops.reshape(s.ops.transpose(apart, [0, 3, 4, 1, 5, 2]), s.dims())];
};

export const LAYOUT: Rules = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  GatherElements: (s) => {
    const axis = axisFrom(s.node.int('axis', 0), s.dims().length);
    return [s.ops.scatterAdd(s.ops.zeros(s.dims()), s.x(1), s.g, axis)];
  },
  GatherND: (s) => {
    if (s.node.int('batch_dims', 0) !== 0) throw s.refuse('only batch_dims 0 has one');
    return [s.ops.op('ScatterND', [s.ops.zeros(s.dims()), s.x(1), s.g], s.dims(), { reduction: 'add' })];
  },
  Pad: pad,
  // Spread by broadcasting: summed back by the walk.
  Expand: ({ g }) => [g],
  Tile: tile,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
