// Gradient rules of poolings and of Resize.
import { sizeOf, type Value } from '../../onnx/index.js';
import { dimsOf, type Ops } from '../ops.js';
import type { Rule, Rules } from '../step.js';
import { inputGradient } from './convolution.js';
import { extent, geometryOf, tapsOf } from './geometry.js';
import { resizeMatrices } from './resize.js';

type Dims = readonly number[];

/**
 * Each output's gradient goes to the element it was taken from; where windows overlap, they add up. Large windows are pooled along
 * one axis after the other, which finds the same elements with a fraction of the comparisons.
 */
const maxPool: Rule = (s) => {
  const { ops, node } = s;
  const dims = s.dims();
  const [result, count] = [s.result(), sizeOf(s.result())];
  const geometry = geometryOf(node, node.ints('kernel_shape') ?? [], dims.slice(2), result.slice(2));
  // Asked for again, with the places: the forward node stays as it is, in whatever layout the engine likes best.
  let [x, places] = [s.x(), undefined as Value | undefined];
  for (const only of sizeOf(geometry.kernel) > LARGE ? geometry.kernel.keys() : [undefined]) {
    const [values, found] = ops.pooled(x, result, geometry, node.int('ceil_mode', 0), only);
    const flat = ops.reshape(found, [sizeOf(dimsOf(found))]);
    places = places === undefined ? flat : ops.op('Gather', [places, flat], dimsOf(flat), { axis: 0 });
    x = values;
  }
  if (places === undefined) throw s.refuse('it has no window');
  const sums = ops.scatterAdd(ops.zeros([sizeOf(dims)]), places, ops.reshape(s.g, [count]), 0);
  return [ops.reshape(sums, dims)];
};

/** Elements of a window from which on it pays to pool along one axis after the other. */
const LARGE = 9;

/** How many elements each window averages; one number where all average as many. */
const countsOf = (
  size: Dims,
  result: Dims,
  geometry: ReturnType<typeof geometryOf>,
  withPadding: boolean,
): { readonly dims: Dims; readonly counts: readonly number[] } => {
  const { kernel, strides, dilations, begin, end } = geometry;
  const perAxis = kernel.map((k, axis) =>
    Array.from({ length: result[axis] ?? 1 }, (_, at) => {
      const first = at * (strides[axis] ?? 1) - (begin[axis] ?? 0);
      const low = withPadding ? -(begin[axis] ?? 0) : 0;
      const high = (size[axis] ?? 1) + (withPadding ? (end[axis] ?? 0) : 0);
      return Array.from({ length: k }, (_, i) => first + i * (dilations[axis] ?? 1)).filter(
        (place) => place >= low && place < high,
      ).length;
    }),
  );
  const counts = tapsOf(result).map((at) =>
    at.reduce((product, place, axis) => product * (perAxis[axis]?.[place] ?? 1), 1),
  );
  const [first = 1] = counts;
  return counts.every((count) => count === first) ? { dims: [], counts: [first] } : { dims: result, counts };
};

const averagePool: Rule = (s) => {
  const { ops, node } = s;
  const [input, result] = [s.dims(), s.result()];
  const [batch = 1, channels = 1, ...size] = input;
  const geometry = geometryOf(node, node.ints('kernel_shape') ?? [], size, result.slice(2));
  const { dims, counts } = countsOf(size, result.slice(2), geometry, node.int('count_include_pad', 0) === 1);
  const share = ops.mul(
    s.g,
    ops.floats(
      dims,
      counts.map((count) => 1 / count),
    ),
  );
  // Every plane by itself is a convolution with ones.
  const planes = batch * channels;
  const gradient = inputGradient(
    {
      ops,
      groups: 1,
      // Where the pooling rounds up, the last window reaches further than the padding says.
      geometry: {
        ...geometry,
        end: geometry.end.map((pad, i) => {
          const reach = ((result[i + 2] ?? 1) - 1) * (geometry.strides[i] ?? 1) + extent(geometry, i);
          return Math.max(pad, reach - (size[i] ?? 1) - (geometry.begin[i] ?? 0));
        }),
      },
      input: [planes, 1, ...size],
      weight: [1, 1, ...geometry.kernel],
      result: [planes, 1, ...result.slice(2)],
    },
    ops.reshape(share, [planes, 1, ...result.slice(2)]),
    ops.floats([1, 1, ...geometry.kernel], new Float32Array(sizeOf(geometry.kernel)).fill(1)),
  );
  return [ops.reshape(gradient, input)];
};

/** n where every input is repeated n times in a row, as in enlarging by nearest neighbours. */
const repeats = (matrix: readonly Float64Array[], size: number): number | undefined => {
  const times = matrix.length / size;
  if (!Number.isInteger(times)) return undefined;
  return matrix.every((row, out) => row[Math.floor(out / times)] === 1) ? times : undefined;
};

/** Along the axis before the last, then along the last: each is one matrix product. */
const along = (ops: Ops, g: Value, axis: number, matrix: readonly Float64Array[], size: number): Value => {
  const dims = dimsOf(g);
  const flat = matrix.flatMap((row) => Array.from(row));
  if (axis === dims.length - 1) return ops.matmul(g, ops.floats([matrix.length, size], flat));
  const turned = Array.from({ length: size }, (_, i) => matrix.map((row) => row[i] ?? 0)).flat();
  const rest = sizeOf(dims.slice(axis + 1));
  const columns = ops.reshape(g, [...dims.slice(0, axis), matrix.length, rest]);
  const product = ops.matmul(ops.floats([size, matrix.length], turned), columns);
  return ops.reshape(product, [...dims.slice(0, axis), size, ...dims.slice(axis + 1)]);
};

const resize: Rule = (s) => {
  const { ops } = s;
  const dims = s.dims();
  const matrices = resizeMatrices(s);
  const times = dims.map((dim, axis) => {
    const matrix = matrices.get(axis);
    return matrix === undefined ? 1 : repeats(matrix, dim);
  });
  const [batch, channels, ...spatial] = times;
  if (batch === 1 && channels === 1 && spatial.length > 0 && spatial.every((n) => n !== undefined)) {
    const area = sizeOf(spatial);
    const mean = ops.op('AveragePool', [s.g], dims, { kernel_shape: spatial, strides: spatial });
    return [ops.mul(mean, area)];
  }
  let gradient = s.g;
  for (const [axis, matrix] of matrices) gradient = along(ops, gradient, axis, matrix, dims[axis] ?? 1);
  return [gradient];
};

export const WINDOWS: Rules = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: (s) => [s.ops.div(s.g, sizeOf(s.dims().slice(2)))],
  GlobalMaxPool: (s) => {
    const axes = s.dims().flatMap((_, i) => (i < 2 ? [] : [i]));
    const mask = s.ops.mask(s.ops.compare('Equal', s.x(), s.y()));
    return [s.ops.mul(s.ops.div(s.g, s.ops.sum(mask, axes)), mask)];
  },
  Resize: resize,
};
