// Gradient rules of Conv and ConvTranspose. Which formulation is used where was measured.
import { sizeOf, type Value } from '../../onnx/index.js';
import { dimsOf, type Ops } from '../ops.js';
import type { Rule, Rules, Step } from '../step.js';
import { extent, type Geometry, geometryOf, tapsOf } from './geometry.js';

type Dims = readonly number[];

/** A convolution of an input [N, C, ...] with a weight [O, C / groups, ...] to a result [N, O, ...]. */
interface Layer {
  readonly ops: Ops;
  readonly groups: number;
  readonly geometry: Geometry;
  readonly input: Dims;
  readonly weight: Dims;
  readonly result: Dims;
}

const isOne = (dims: Dims): boolean => dims.every((dim) => dim === 1);
const isZero = (dims: Dims): boolean => dims.every((dim) => dim === 0);
const range = (from: number, length: number): number[] => Array.from({ length }, (_, i) => from + i);

const attributesOf = ({ groups, geometry }: Layer): Record<string, number | Dims> => ({
  group: groups,
  kernel_shape: geometry.kernel,
  strides: geometry.strides,
  dilations: geometry.dilations,
});

/** What ConvTranspose must add behind for the result to be as large as the input was. */
const missing = ({ geometry, input, result }: Layer): number[] =>
  geometry.kernel.map((_, i) => {
    const { strides, begin, end } = geometry;
    const reached = ((result[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + extent(geometry, i);
    return (input[i + 2] ?? 1) - (reached - (begin[i] ?? 0) - (end[i] ?? 0));
  });

/** The weight of the convolution backwards: inputs and outputs of each group change places, the window is turned round. */
const turned = ({ ops, groups, weight, geometry }: Layer, w: Value): Value => {
  const [outputs = 1, perGroup = 1] = weight;
  const apart = ops.reshape(w, [groups, outputs / groups, perGroup, ...geometry.kernel]);
  const spatial = range(3, geometry.kernel.length);
  const swapped = ops.reshape(ops.transpose(apart, [0, 2, 1, ...spatial]), [
    perGroup * groups,
    outputs / groups,
    ...geometry.kernel,
  ]);
  return ops.reverse(swapped, range(2, geometry.kernel.length));
};

/** The gradient of a convolution's input. */
export const inputGradient = (layer: Layer, g: Value, w: Value): Value => {
  const { ops, geometry, input, result } = layer;
  const { strides, dilations, begin, end } = geometry;
  const pads = [...begin, ...end].map((pad, i) => extent(geometry, i % begin.length) - 1 - pad);
  if (isOne(strides) && pads.every((pad) => pad >= 0)) {
    return ops.op('Conv', [g, turned(layer, w)], input, { ...attributesOf(layer), pads });
  }
  const extra = missing(layer);
  if (extra.every((count, i) => count >= 0 && count < Math.max(strides[i] ?? 1, dilations[i] ?? 1))) {
    return ops.op('ConvTranspose', [g, w], input, {
      ...attributesOf(layer),
      pads: [...begin, ...end],
      output_padding: extra,
    });
  }
  // Without its padding, which is then cut off; what no window reached is added.
  const whole = geometry.kernel.map(
    (_, i) => ((result[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + extent(geometry, i),
  );
  const full = ops.op('ConvTranspose', [g, w], [...input.slice(0, 2), ...whole], attributesOf(layer));
  return ops.pad(
    full,
    [0, 0, ...begin.map((pad) => -pad)],
    [0, 0, ...whole.map((size, i) => (input[i + 2] ?? 1) - size + (begin[i] ?? 0))],
  );
};

/**
 * The input with its padding, as far as windows reach.
 *
 * @param more rows of padding behind
 */
const reached = ({ ops, geometry, input, result }: Layer, x: Value, more = 0): Value => {
  const { strides, begin } = geometry;
  const behind = begin.map((pad, i) => {
    const needed = ((result[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + extent(geometry, i);
    return needed - (input[i + 2] ?? 1) - pad + (i === 0 ? more : 0);
  });
  return ops.pad(x, [0, 0, ...begin], [0, 0, ...behind]);
};

/** What the element `tap` of the window meets, everywhere the window stops; `first` is the first spatial axis of `x`. */
const metBy = ({ ops, geometry, result }: Layer, x: Value, tap: Dims, first: number): Value =>
  ops.slice(
    x,
    tap.map((at, i) => {
      const [start, step] = [at * (geometry.dilations[i] ?? 1), geometry.strides[i] ?? 1];
      return { axis: first + i, start, end: start + ((result[i + 2] ?? 1) - 1) * step + 1, step };
    }),
  );

/** 1x1: a product a picture, then their sum. */
const pointwise = ({ ops, input, weight, result }: Layer, x: Value, g: Value): Value => {
  const [batch = 1, inputs = 1] = input;
  const [outputs = 1] = weight;
  const area = sizeOf(result.slice(2));
  const products = ops.matmul(
    ops.reshape(g, [batch, outputs, area]),
    ops.flip(ops.reshape(x, [batch, inputs, area])),
  );
  return ops.reshape(ops.sum(products, [0], false), weight);
};

/** What stride 1 makes simple: see {@link alongLine}. */
interface Line {
  /** The gradient's planes, each a line: [N * O, 1, length]. */
  readonly gradient: Value;
  readonly length: number;
  /** What the element `tap` of the window meets: [N * C, 1, length]. */
  readonly metBy: (tap: Dims) => Value;
}

/**
 * With stride 1 every plane of the padded input is taken as one line, so that what an element of the window meets is a part of the line
 * as it lies in memory, where cutting out the window copies row by row. At the ends of rows stands what is in the padding or in the next
 * row: the gradient is zero there.
 */
const alongLine = (layer: Layer, x: Value, g: Value): Line => {
  const { ops, geometry, input, result } = layer;
  const [batch = 1, channels = 1] = input;
  const around = reached(layer, x, 1);
  const size = dimsOf(around).slice(2);
  const rows = [result[2] ?? 1, ...size.slice(1)];
  const length = sizeOf(rows);
  const behind = rows.map((count, i) => count - (result[i + 2] ?? 1));
  const line = ops.reshape(around, [batch * channels, 1, sizeOf(size)]);
  return {
    gradient: ops.reshape(ops.pad(g, [0, 0, ...behind.map(() => 0)], [0, 0, ...behind]), [
      batch * (result[1] ?? 1),
      1,
      length,
    ]),
    length,
    metBy: (tap) => {
      const start = tap.reduce((sum, at, i) => sum * (size[i] ?? 1) + at * (geometry.dilations[i] ?? 1), 0);
      return ops.slice(line, [{ axis: 2, start, end: start + length }]);
    },
  };
};

/** Depthwise with stride 1: one product a plane and element of the window. */
const depthwise = (layer: Layer, x: Value, g: Value): Value => {
  const { ops, geometry, weight, input } = layer;
  const [batch = 1, channels = 1] = input;
  const { gradient, metBy } = alongLine(layer, x, g);
  const products = tapsOf(geometry.kernel).map((tap) =>
    ops.reshape(ops.matmul(gradient, ops.flip(metBy(tap))), [batch, channels, 1]),
  );
  return ops.reshape(ops.sum(ops.concat(products, 2), [0]), weight);
};

/** Depthwise with strides: each picture's gradient is the kernel, and the strides are its dilations. */
const depthwiseStrided = (layer: Layer, x: Value, g: Value): Value => {
  const { ops, geometry, weight, input, result } = layer;
  const [batch = 1, channels = 1] = input;
  const around = reached(layer, x);
  const size = dimsOf(around).slice(2);
  const planes = batch * channels;
  const products = ops.op(
    'Conv',
    [ops.reshape(around, [1, planes, ...size]), ops.reshape(g, [planes, 1, ...result.slice(2)])],
    [1, planes, ...geometry.kernel],
    {
      group: planes,
      kernel_shape: result.slice(2),
      strides: geometry.dilations,
      dilations: geometry.strides,
    },
  );
  return ops.reshape(ops.sum(ops.reshape(products, [batch, ...weight]), [0]), weight);
};

/** A large picture with stride 1: as it lies, without turning it; one product a picture and element of the window. */
const large = (layer: Layer, x: Value, g: Value): Value => {
  const { ops, geometry, weight, result } = layer;
  const [batch = 1, outputs = 1] = result;
  const [, inputs = 1] = weight;
  const { gradient, length, metBy } = alongLine(layer, x, g);
  const rows = ops.reshape(gradient, [batch, outputs, length]);
  const products = tapsOf(geometry.kernel).map((tap) => {
    const columns = ops.flip(ops.reshape(metBy(tap), [batch, inputs, length]));
    return ops.reshape(ops.sum(ops.matmul(rows, columns), [0]), [outputs, inputs, 1]);
  });
  return ops.reshape(ops.concat(products, 2), weight);
};

/** Places from which on a picture is large: turning it costs more than it saves. */
const LARGE = 400;

/** Any convolution: channels last, one matrix product an element of the window. */
const general = (layer: Layer, x: Value, g: Value): Value => {
  const { ops, geometry, groups, weight, result } = layer;
  const [batch = 1] = result;
  const [outputs = 1, perGroup = 1] = weight;
  const n = geometry.kernel.length;
  const places = batch * sizeOf(result.slice(2));
  const around = reached(layer, x);
  const last = ops.transpose(ops.reshape(around, [batch, groups, perGroup, ...dimsOf(around).slice(2)]), [
    1,
    0,
    ...range(3, n),
    2,
  ]);
  const rows = ops.reshape(
    ops.transpose(ops.reshape(g, [batch, groups, outputs / groups, sizeOf(result.slice(2))]), [1, 2, 0, 3]),
    [groups, outputs / groups, places],
  );
  const products = tapsOf(geometry.kernel).map((tap) =>
    ops.reshape(ops.matmul(rows, ops.reshape(metBy(layer, last, tap, 2), [groups, places, perGroup])), [
      outputs,
      perGroup,
      1,
    ]),
  );
  return ops.reshape(ops.concat(products, 2), weight);
};

/** Channels of a folded input at most: more are no longer cheap to turn. */
const FOLDED = 64;

const isFoldable = ({ groups, geometry, weight }: Layer): boolean =>
  groups === 1 && isOne(geometry.dilations) && (weight[1] ?? 1) * sizeOf(geometry.strides) <= FOLDED;

/**
 * Few channels and strides, as a first layer has: blocks of the strides' size become channels, and few elements of a smaller
 * window are left, with stride 1.
 */
const folded = ({ ops, geometry, input, weight, result }: Layer, x: Value, g: Value): Value => {
  const { kernel, strides, begin } = geometry;
  const [batch = 1, inputs = 1] = input;
  const [outputs = 1] = weight;
  const n = kernel.length;
  const stops = result.slice(2);
  const small = kernel.map((size, i) => Math.ceil(size / (strides[i] ?? 1)));
  const blocks = stops.map((count, i) => count - 1 + (small[i] ?? 1));
  const behind = blocks.map((count, i) => count * (strides[i] ?? 1) - (input[i + 2] ?? 1) - (begin[i] ?? 0));
  const around = ops.pad(x, [0, 0, ...begin], [0, 0, ...behind]);
  const apart = ops.reshape(around, [
    batch,
    inputs,
    ...blocks.flatMap((count, i) => [count, strides[i] ?? 1]),
  ]);
  const places = range(0, n).map((i) => 2 + 2 * i);
  const within = places.map((axis) => axis + 1);
  const channels = inputs * sizeOf(strides);
  const last = ops.reshape(ops.transpose(apart, [0, ...places, 1, ...within]), [batch, ...blocks, channels]);
  const area = batch * sizeOf(stops);
  const rows = ops.reshape(ops.transpose(ops.reshape(g, [batch, outputs, sizeOf(stops)]), [1, 0, 2]), [
    outputs,
    area,
  ]);
  const products = tapsOf(small).map((tap) => {
    const met = ops.slice(
      last,
      tap.map((start, i) => ({ axis: 1 + i, start, end: start + (stops[i] ?? 1) })),
    );
    return ops.reshape(ops.matmul(rows, ops.reshape(met, [area, channels])), [outputs, 1, channels]);
  });
  const joined = ops.reshape(ops.concat(products, 1), [outputs, ...small, inputs, ...strides]);
  const whole = ops.reshape(
    ops.transpose(joined, [0, 1 + n, ...range(0, n).flatMap((i) => [1 + i, 2 + n + i])]),
    [outputs, inputs, ...small.map((count, i) => count * (strides[i] ?? 1))],
  );
  return ops.slice(
    whole,
    kernel.map((end, i) => ({ axis: 2 + i, start: 0, end })),
  );
};

/** The gradient of a convolution's weight. */
export const weightGradient = (layer: Layer, x: Value, g: Value): Value => {
  const { groups, geometry, input, weight } = layer;
  const { kernel, strides, begin, end } = geometry;
  const isPlain = isOne(strides) && isZero(begin) && isZero(end);
  if (groups === 1 && isOne(kernel) && isPlain) return pointwise(layer, x, g);
  if (groups > 1 && groups === input[1] && groups === weight[0]) {
    return isOne(strides) ? depthwise(layer, x, g) : depthwiseStrided(layer, x, g);
  }
  if (!isOne(strides) && isFoldable(layer)) return folded(layer, x, g);
  const isLarge = groups === 1 && isOne(strides) && sizeOf(layer.result.slice(2)) >= LARGE;
  return isLarge ? large(layer, x, g) : general(layer, x, g);
};

const conv: Rule = (s) => {
  const { ops, node, g } = s;
  const [input, weight, result] = [s.dims(0), s.dims(1), s.result()];
  const geometry = geometryOf(node, weight.slice(2), input.slice(2), result.slice(2));
  const layer: Layer = { ops, groups: node.int('group', 1), geometry, input, weight, result };
  return [
    inputGradient(layer, g, s.x(1)),
    weightGradient(layer, s.x(0), g),
    s.has(2) ? biasGradient(s) : undefined,
  ];
};

const biasGradient = (s: Step): Value => s.ops.sum(s.g, [0, ...range(2, s.result().length - 2)], false);

/** The convolution whose input gradient it computes, with its roles changed. */
const convTranspose: Rule = (s) => {
  const { ops, node, g } = s;
  const [result, weight, input] = [s.dims(0), s.dims(1), s.result()];
  const kernel = weight.slice(2);
  const written = geometryOf(node, kernel, input.slice(2), result.slice(2));
  const extra = kernel.map((_, i) => node.ints('output_padding')?.[i] ?? 0);
  const isGiven =
    node.ints('output_shape') !== undefined || node.text('auto_pad', 'NOTSET').startsWith('SAME');
  const totals = kernel.map((_, i) => {
    const { strides } = written;
    const whole = ((result[i + 2] ?? 1) - 1) * (strides[i] ?? 1) + extent(written, i) + (extra[i] ?? 0);
    return whole - (input[i + 2] ?? 1);
  });
  // Where the output's size is given, the padding follows from it: the odd one in front only where the node says so.
  const isUpper = node.text('auto_pad', 'NOTSET') === 'SAME_UPPER';
  const begin = isGiven
    ? totals.map((total) => (isUpper ? Math.floor(total / 2) : total - Math.floor(total / 2)))
    : written.begin;
  const end = isGiven ? totals.map((total, i) => total - (begin[i] ?? 0)) : written.end;
  // Zeros that were added behind are reached by no window.
  const geometry = { ...written, begin, end: end.map((pad, i) => pad - (extra[i] ?? 0)) };
  const layer: Layer = { ops, groups: node.int('group', 1), geometry, input, weight, result };
  return [
    forward(layer, g, s.x(1)),
    weightGradient(layer, g, s.x(0)),
    s.has(2) ? biasGradient(s) : undefined,
  ];
};

/** The convolution itself; padding below zero cuts. */
const forward = (layer: Layer, x: Value, w: Value): Value =>
  layer.ops.op('Conv', [reached(layer, x), w], layer.result, attributesOf(layer));

export const CONVOLUTION: Rules = { Conv: conv, ConvTranspose: convTranspose };
