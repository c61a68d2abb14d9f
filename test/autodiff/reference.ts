// What ONNX operators compute, done the slow way in double precision: no line of it is shared with the rules it judges.
import type { Model, Node, Tensor, Value } from '../../src/onnx/index.js';

export interface Array64 {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

type Dims = readonly number[];
type Inputs = readonly (Array64 | undefined)[];
type Operator = (node: Node, inputs: Inputs, frozen: Frozen) => Array64 | readonly Array64[];

/** What QuantizeLinear added by rounding, kept while inputs are moved a little: rounding itself has no slope. */
export type Frozen = Map<Node, Float64Array>;

const product = (dims: Dims): number => dims.reduce((a, b) => a * b, 1);

/** Every index of a shape, row-major. */
export const indices = (dims: Dims): number[][] =>
  Array.from({ length: product(dims) }, (_, flat) => {
    let rest = flat;
    const index: number[] = [];
    for (let i = dims.length - 1; i >= 0; i--) {
      const dim = dims[i] ?? 1;
      index[i] = rest % dim;
      rest = Math.floor(rest / dim);
    }
    return index;
  });

const flatOf = (dims: Dims, index: Dims): number =>
  dims.reduce((flat, dim, i) => flat * dim + (index[i] ?? 0), 0);

/** The element at an index; `outside` where it is none. */
const at = (array: Array64, index: Dims, outside = 0): number =>
  array.dims.every((dim, i) => (index[i] ?? 0) >= 0 && (index[i] ?? 0) < dim)
    ? (array.data[flatOf(array.dims, index)] ?? 0)
    : outside;

/** The element that meets `index` when the array is broadcast. */
const meets = (array: Array64, index: Dims): number =>
  at(
    array,
    array.dims.map((dim, i) => (dim === 1 ? 0 : (index[index.length - array.dims.length + i] ?? 0))),
  );

const make = (dims: Dims, rule: (index: number[]) => number): Array64 => ({
  dims: [...dims],
  data: Float64Array.from(indices(dims), rule),
});

const need = (inputs: Inputs, i: number): Array64 => {
  const value = inputs[i];
  if (value === undefined) throw new Error(`input ${i} is missing`);
  return value;
};

const joint = (arrays: readonly Array64[]): number[] => {
  const rank = Math.max(...arrays.map(({ dims }) => dims.length));
  return Array.from({ length: rank }, (_, i) =>
    Math.max(...arrays.map(({ dims }) => dims[dims.length - rank + i] ?? 1)),
  );
};

const present = (inputs: Inputs): Array64[] => inputs.flatMap((value) => value ?? []);

const map =
  (rule: (x: number, node: Node) => number): Operator =>
  (node, inputs) => {
    const { dims, data } = need(inputs, 0);
    return { dims, data: data.map((x) => rule(x, node)) };
  };

const together =
  (rule: (...values: number[]) => number): Operator =>
  (_, inputs) => {
    const all = present(inputs);
    return make(joint(all), (index) => rule(...all.map((array) => meets(array, index))));
  };

const ints = (node: Node, name: string, inputs: Inputs, i: number): number[] | undefined => {
  const attribute = node.ints(name);
  return attribute !== undefined
    ? [...attribute]
    : inputs[i] === undefined
      ? undefined
      : [...(inputs[i]?.data ?? [])];
};

const positive = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

interface Window {
  readonly kernel: Dims;
  readonly strides: Dims;
  readonly dilations: Dims;
  readonly begin: Dims;
  readonly out: Dims;
}

const windowOf = (node: Node, size: Dims, kernel: Dims): Window => {
  const n = kernel.length;
  const strides = node.ints('strides') ?? kernel.map(() => 1);
  const dilations = node.ints('dilations') ?? kernel.map(() => 1);
  const auto = node.text('auto_pad', 'NOTSET');
  const begin: number[] = [];
  const out: number[] = [];
  for (let i = 0; i < n; i++) {
    const [x, k, s, d] = [size[i] ?? 1, kernel[i] ?? 1, strides[i] ?? 1, dilations[i] ?? 1];
    const reach = (k - 1) * d + 1;
    if (auto.startsWith('SAME')) {
      out[i] = Math.ceil(x / s);
      const total = Math.max(0, ((out[i] ?? 1) - 1) * s + reach - x);
      begin[i] = auto === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
      continue;
    }
    const pads = node.ints('pads') ?? [];
    const [b, e] = auto === 'VALID' ? [0, 0] : [pads[i] ?? 0, pads[n + i] ?? 0];
    begin[i] = b;
    const steps = (x + b + e - reach) / s;
    let count = (node.int('ceil_mode', 0) === 1 ? Math.ceil(steps) : Math.floor(steps)) + 1;
    if (node.int('ceil_mode', 0) === 1 && (count - 1) * s >= x + b) count -= 1;
    out[i] = count;
  }
  return { kernel, strides, dilations, begin, out };
};

const placeIn = (w: Window, stop: Dims, tap: Dims): number[] =>
  tap.map((t, i) => (stop[i] ?? 0) * (w.strides[i] ?? 1) - (w.begin[i] ?? 0) + t * (w.dilations[i] ?? 1));

const conv: Operator = (node, inputs) => {
  const [x, w, bias] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const [outputs = 1, perGroup = 1, ...kernel] = w.dims;
  const window = windowOf(node, x.dims.slice(2), kernel);
  const groupSize = outputs / node.int('group', 1);
  const taps = indices(kernel);
  return make([x.dims[0] ?? 1, outputs, ...window.out], ([n = 0, o = 0, ...stop]) => {
    let sum = bias?.data[o] ?? 0;
    const first = Math.floor(o / groupSize) * perGroup;
    for (let c = 0; c < perGroup; c++) {
      for (const tap of taps)
        sum += at(x, [n, first + c, ...placeIn(window, stop, tap)]) * at(w, [o, c, ...tap]);
    }
    return sum;
  });
};

const convTranspose: Operator = (node, inputs) => {
  const [x, w, bias] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const [channels = 1, perGroup = 1, ...kernel] = w.dims;
  const groups = node.int('group', 1);
  const of = (name: string, fallback: number): Dims => node.ints(name) ?? kernel.map(() => fallback);
  const [strides, dilations, extra] = [of('strides', 1), of('dilations', 1), of('output_padding', 0)];
  const pads = node.ints('pads') ?? [...kernel, ...kernel].map(() => 0);
  const out = kernel.map(
    (k, i) =>
      (strides[i] ?? 1) * ((x.dims[i + 2] ?? 1) - 1) +
      (extra[i] ?? 0) +
      (k - 1) * (dilations[i] ?? 1) +
      1 -
      (pads[i] ?? 0) -
      (pads[kernel.length + i] ?? 0),
  );
  const result = make([x.dims[0] ?? 1, perGroup * groups, ...out], ([, o = 0]) => bias?.data[o] ?? 0);
  for (const [n = 0, c = 0, ...place] of indices(x.dims)) {
    const group = Math.floor(c / (channels / groups));
    for (let o = 0; o < perGroup; o++) {
      for (const tap of indices(kernel)) {
        const to = tap.map(
          (t, i) => (place[i] ?? 0) * (strides[i] ?? 1) + t * (dilations[i] ?? 1) - (pads[i] ?? 0),
        );
        if (to.some((p, i) => p < 0 || p >= (out[i] ?? 0))) continue;
        const flat = flatOf(result.dims, [n, group * perGroup + o, ...to]);
        result.data[flat] = (result.data[flat] ?? 0) + at(x, [n, c, ...place]) * at(w, [c, o, ...tap]);
      }
    }
  }
  return result;
};

const pooled =
  (join: (values: readonly number[], area: number) => number): Operator =>
  (node, inputs) => {
    const x = need(inputs, 0);
    const window = windowOf(node, x.dims.slice(2), node.ints('kernel_shape') ?? []);
    const pads = node.ints('pads') ?? [];
    const n = window.kernel.length;
    return make([...x.dims.slice(0, 2), ...window.out], ([b = 0, c = 0, ...stop]) => {
      const values: number[] = [];
      let padded = 0;
      for (const tap of indices(window.kernel)) {
        const place = placeIn(window, stop, tap);
        const value = at(x, [b, c, ...place], NaN);
        if (!Number.isNaN(value)) values.push(value);
        else if (place.every((p, i) => p < (x.dims[i + 2] ?? 1) + (pads[n + i] ?? 0))) padded += 1;
      }
      return join(values, node.int('count_include_pad', 0) === 1 ? values.length + padded : values.length);
    });
  };

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const batchNorm: Operator = (node, inputs) => {
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((i) => need(inputs, i));
  if (x === undefined || scale === undefined || bias === undefined) throw new Error('inputs');
  const channels = x.dims[1] ?? 1;
  let [means, variances] = [mean?.data ?? [], variance?.data ?? []].map((list) => [...list]);
  if (node.int('training_mode', 0) === 1) {
    const of = Array.from({ length: channels }, (_, c) =>
      indices(x.dims).flatMap((index) => (index[1] === c ? [at(x, index)] : [])),
    );
    means = of.map((list) => sumOf(list) / list.length);
    variances = of.map((list, c) => sumOf(list.map((v) => (v - (means?.[c] ?? 0)) ** 2)) / list.length);
  }
  const y = make(x.dims, (index) => {
    const c = index[1] ?? 0;
    const normal =
      (at(x, index) - (means?.[c] ?? 0)) / Math.sqrt((variances?.[c] ?? 0) + node.float('epsilon', 1e-5));
    return normal * (scale.data[c] ?? 0) + (bias.data[c] ?? 0);
  });
  return y;
};

/** The values along an axis that an index lies on. */
const line = (x: Array64, index: Dims, axis: number): number[] =>
  Array.from({ length: x.dims[axis] ?? 1 }, (_, i) =>
    at(
      x,
      index.map((place, k) => (k === axis ? i : place)),
    ),
  );

const softmax =
  (isLog: boolean): Operator =>
  (node, inputs) => {
    const x = need(inputs, 0);
    const axis = positive(node.int('axis', -1), x.dims.length);
    return make(x.dims, (index) => {
      const log = at(x, index) - Math.log(sumOf(line(x, index, axis).map(Math.exp)));
      return isLog ? log : Math.exp(log);
    });
  };

const reduced =
  (join: (values: readonly number[]) => number): Operator =>
  (node, inputs) => {
    const x = need(inputs, 0);
    const axes = ints(node, 'axes', inputs, 1)?.map((axis) => positive(axis, x.dims.length));
    const isAll = (axes === undefined || axes.length === 0) && node.int('noop_with_empty_axes', 0) === 0;
    const gone = isAll ? x.dims.map((_, i) => i) : (axes ?? []);
    const kept = x.dims.map((dim, i) => (gone.includes(i) ? 1 : dim));
    const groups: number[][] = Array.from({ length: product(kept) }, () => []);
    for (const index of indices(x.dims)) {
      const place = index.map((value, i) => (gone.includes(i) ? 0 : value));
      groups[flatOf(kept, place)]?.push(at(x, index));
    }
    const dims = node.int('keepdims', 1) === 1 ? kept : kept.filter((_, i) => !gone.includes(i));
    return { dims, data: Float64Array.from(groups, join) };
  };

const matMul: Operator = (_, inputs) => {
  const [x, y] = [need(inputs, 0), need(inputs, 1)];
  const a = x.dims.length === 1 ? { dims: [1, ...x.dims], data: x.data } : x;
  const b = y.dims.length === 1 ? { dims: [...y.dims, 1], data: y.data } : y;
  const inner = a.dims.at(-1) ?? 1;
  const stack = joint([
    { dims: a.dims.slice(0, -2), data: a.data },
    { dims: b.dims.slice(0, -2), data: b.data },
  ]);
  const full = make([...stack, a.dims.at(-2) ?? 1, b.dims.at(-1) ?? 1], (index) => {
    const [row = 0, column = 0] = index.slice(-2);
    const front = index.slice(0, -2);
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += meets(a, [...front, row, k]) * meets(b, [...front, k, column]);
    return sum;
  });
  const dims = [
    ...stack,
    ...(x.dims.length === 1 ? [] : [a.dims.at(-2) ?? 1]),
    ...(y.dims.length === 1 ? [] : [b.dims.at(-1) ?? 1]),
  ];
  return { dims, data: full.data };
};

const gemm: Operator = (node, inputs) => {
  const [a, b, c] = [need(inputs, 0), need(inputs, 1), inputs[2]];
  const [ta, tb] = [node.int('transA', 0) === 1, node.int('transB', 0) === 1];
  const inner = a.dims[ta ? 0 : 1] ?? 1;
  return make([a.dims[ta ? 1 : 0] ?? 1, b.dims[tb ? 0 : 1] ?? 1], ([i = 0, j = 0]) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += at(a, ta ? [k, i] : [i, k]) * at(b, tb ? [j, k] : [k, j]);
    return node.float('alpha', 1) * sum + (c === undefined ? 0 : node.float('beta', 1) * meets(c, [i, j]));
  });
};

const slice: Operator = (node, inputs) => {
  const x = need(inputs, 0);
  const starts = ints(node, 'starts', inputs, 1) ?? [];
  const ends = ints(node, 'ends', inputs, 2) ?? [];
  const axes = ints(node, 'axes', inputs, 3) ?? starts.map((_, i) => i);
  const steps = ints(node, 'steps', inputs, 4) ?? starts.map(() => 1);
  const picks = x.dims.map((dim) => Array.from({ length: dim }, (_, i) => i));
  axes.forEach((axis, i) => {
    const k = positive(axis, x.dims.length);
    const [dim, step] = [x.dims[k] ?? 1, steps[i] ?? 1];
    const fromEnd = (value: number): number => (value < 0 ? value + dim : value);
    const [start, end] = [fromEnd(starts[i] ?? 0), fromEnd(ends[i] ?? 0)];
    const list: number[] = [];
    if (step > 0) for (let p = Math.max(0, start); p < Math.min(dim, end); p += step) list.push(p);
    else for (let p = Math.min(dim - 1, start); p > Math.max(-1, end); p += step) list.push(p);
    picks[k] = list;
  });
  return make(
    picks.map((list) => list.length),
    (index) =>
      at(
        x,
        index.map((p, i) => picks[i]?.[p] ?? 0),
      ),
  );
};

const gather: Operator = (node, inputs) => {
  const [x, picks] = [need(inputs, 0), need(inputs, 1)];
  const axis = positive(node.int('axis', 0), x.dims.length);
  const dims = [...x.dims.slice(0, axis), ...picks.dims, ...x.dims.slice(axis + 1)];
  return make(dims, (index) => {
    const pick = at(picks, index.slice(axis, axis + picks.dims.length));
    const place = positive(pick, x.dims[axis] ?? 1);
    return at(x, [...index.slice(0, axis), place, ...index.slice(axis + picks.dims.length)]);
  });
};

const pad: Operator = (node, inputs) => {
  const x = need(inputs, 0);
  const axes =
    ints(node, 'axes', inputs, 3)?.map((axis) => positive(axis, x.dims.length)) ?? x.dims.map((_, i) => i);
  const pads = ints(node, 'pads', inputs, 1) ?? [];
  const of = (axis: number, side: number): number =>
    axes.includes(axis) ? (pads[axes.indexOf(axis) + side * axes.length] ?? 0) : 0;
  return make(
    x.dims.map((dim, i) => dim + of(i, 0) + of(i, 1)),
    (index) =>
      at(
        x,
        index.map((place, i) => place - of(i, 0)),
        inputs[2]?.data[0] ?? 0,
      ),
  );
};

const resize: Operator = (node, inputs) => {
  const x = need(inputs, 0);
  const [scales, sizes] = [inputs[2]?.data ?? [], inputs[3]?.data ?? []];
  const dims = x.dims.map((dim, i) =>
    sizes.length > 0 ? (sizes[i] ?? dim) : Math.floor(dim * (scales[i] ?? 1)),
  );
  const mode = node.text('coordinate_transformation_mode', 'half_pixel');
  const place = (to: number, axis: number): number => {
    const [from, out] = [x.dims[axis] ?? 1, dims[axis] ?? 1];
    const scale = sizes.length > 0 ? out / from : (scales[axis] ?? 1);
    if (mode === 'asymmetric') return to / scale;
    if (mode === 'align_corners') return out === 1 ? 0 : (to * (from - 1)) / (out - 1);
    if (mode === 'pytorch_half_pixel' && out <= 1) return 0;
    return (to + 0.5) / scale - 0.5;
  };
  const clamp = (value: number, axis: number): number =>
    Math.min(Math.max(value, 0), (x.dims[axis] ?? 1) - 1);
  const rounding: Record<string, (value: number) => number> = {
    floor: Math.floor,
    ceil: Math.ceil,
    round_prefer_floor: (value) => Math.ceil(value - 0.5),
    round_prefer_ceil: (value) => Math.floor(value + 0.5),
  };
  const near = rounding[node.text('nearest_mode', 'round_prefer_floor')] ?? Math.floor;
  return make(dims, (index) => {
    const places = index.map((to, axis) => place(to, axis));
    if (node.text('mode', 'nearest') === 'nearest') {
      return at(
        x,
        places.map((value, axis) => clamp(near(value), axis)),
      );
    }
    const inside = places.map(clamp);
    let sum = 0;
    for (const corner of indices(inside.map(() => 2))) {
      const shares = inside.map((value, i) =>
        corner[i] === 1 ? value - Math.floor(value) : 1 - value + Math.floor(value),
      );
      const share = shares.reduce((a, b) => a * b, 1);
      if (share > 0) {
        sum +=
          share *
          at(
            x,
            inside.map((value, i) => Math.floor(value) + (corner[i] ?? 0)),
          );
      }
    }
    return sum;
  });
};

const viewed =
  (rule: (x: Array64, node: Node, inputs: Inputs) => number[]): Operator =>
  (node, inputs) => {
    const x = need(inputs, 0);
    return { dims: rule(x, node, inputs), data: x.data };
  };

const reshape = viewed((x, _, inputs) => {
  const target = [...need(inputs, 1).data].map((dim, i) => (dim === 0 ? (x.dims[i] ?? 1) : dim));
  const known = product(target.filter((dim) => dim >= 0));
  return target.map((dim) => (dim < 0 ? x.data.length / known : dim));
});

const along = (node: Node, value: Array64, rank: number): Array64 =>
  value.data.length === 1
    ? { dims: [], data: value.data }
    : {
        dims: Array.from({ length: rank }, (_, i) =>
          i === positive(node.int('axis', 1), rank) ? value.data.length : 1,
        ),
        data: value.data,
      };

const LOW: Record<string, number> = { int8: -128, uint8: 0, int4: -8, uint4: 0 };
const HIGH: Record<string, number> = { int8: 127, uint8: 255, int4: 7, uint4: 15 };

const quantize: Operator = (node, inputs, frozen) => {
  const x = need(inputs, 0);
  const scale = along(node, need(inputs, 1), x.dims.length);
  const zero = along(node, inputs[2] ?? { dims: [], data: Float64Array.of(0) }, x.dims.length);
  const type = node.output()?.type ?? 'uint8';
  const ratio = make(x.dims, (index) => at(x, index) / meets(scale, index) + meets(zero, index));
  const even = (value: number): number => {
    const floor = Math.floor(value);
    return value - floor > 0.5 || (value - floor === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  };
  const [low, high] = [LOW[type] ?? 0, HIGH[type] ?? 0];
  const isInside = (value: number): boolean => value >= low && value <= high;
  const added = frozen.get(node) ?? ratio.data.map((value) => even(value) - value);
  frozen.set(node, added);
  return {
    dims: x.dims,
    // Outside the grid is flat, from its very end on.
    data: ratio.data.map(
      (value, i) => Math.min(Math.max(value, low), high) + (isInside(value) ? (added[i] ?? 0) : 0),
    ),
  };
};

const dequantize: Operator = (node, inputs) => {
  const q = need(inputs, 0);
  const scale = along(node, need(inputs, 1), q.dims.length);
  const zero = along(node, inputs[2] ?? { dims: [], data: Float64Array.of(0) }, q.dims.length);
  return make(q.dims, (index) => (at(q, index) - meets(zero, index)) * meets(scale, index));
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const hard = (x: number, alpha: number, beta: number): number => Math.min(1, Math.max(0, alpha * x + beta));

/** Abramowitz and Stegun's series, summed until nothing more comes. */
const erf = (x: number): number => {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};

const OPERATORS: Record<string, Operator> = {
  Relu: map((x) => Math.max(0, x)),
  LeakyRelu: map((x, node) => (x > 0 ? x : x * node.float('alpha', 0.01))),
  Elu: map((x, node) => (x > 0 ? x : node.float('alpha', 1) * Math.expm1(x))),
  Sigmoid: map(sigmoid),
  HardSigmoid: map((x, node) => hard(x, node.float('alpha', 0.2), node.float('beta', 0.5))),
  HardSwish: map((x) => x * hard(x, 1 / 6, 0.5)),
  Softplus: map((x) => Math.log1p(Math.exp(x))),
  ThresholdedRelu: map((x, node) => (x > node.float('alpha', 1) ? x : 0)),
  Tanh: map(Math.tanh),
  Erf: map(erf),
  Exp: map(Math.exp),
  Log: map(Math.log),
  Sqrt: map(Math.sqrt),
  Reciprocal: map((x) => 1 / x),
  Neg: map((x) => -x),
  Abs: map(Math.abs),
  Sin: map(Math.sin),
  Cos: map(Math.cos),
  Atan: map(Math.atan),
  Identity: map((x) => x),
  Cast: map((x) => x),
  Floor: map(Math.floor),
  Add: together((a = 0, b = 0) => a + b),
  Sub: together((a = 0, b = 0) => a - b),
  Mul: together((a = 0, b = 0) => a * b),
  Div: together((a = 0, b = 0) => a / b),
  Pow: together((a = 0, b = 0) => a ** b),
  PRelu: together((a = 0, b = 0) => (a > 0 ? a : a * b)),
  Greater: together((a = 0, b = 0) => Number(a > b)),
  Less: together((a = 0, b = 0) => Number(a < b)),
  Where: together((c = 0, a = 0, b = 0) => (c !== 0 ? a : b)),
  Max: together(Math.max),
  Min: together(Math.min),
  Sum: together((...values) => sumOf(values)),
  Mean: together((...values) => sumOf(values) / values.length),
  Clip: (_, inputs) => {
    const [low, high] = [inputs[1]?.data[0] ?? -Infinity, inputs[2]?.data[0] ?? Infinity];
    const { dims, data } = need(inputs, 0);
    return { dims, data: data.map((x) => Math.min(Math.max(x, low), high)) };
  },
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pooled((values) => Math.max(...values)),
  AveragePool: pooled((values, area) => sumOf(values) / area),
  GlobalAveragePool: (_, inputs) => {
    const x = need(inputs, 0);
    const area = product(x.dims.slice(2));
    return make([...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)], ([n = 0, c = 0]) =>
      sumOf(indices(x.dims.slice(2)).map((place) => at(x, [n, c, ...place]) / area)),
    );
  },
  GlobalMaxPool: (_, inputs) => {
    const x = need(inputs, 0);
    return make([...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)], ([n = 0, c = 0]) =>
      Math.max(...indices(x.dims.slice(2)).map((place) => at(x, [n, c, ...place]))),
    );
  },
  BatchNormalization: batchNorm,
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
  ReduceSum: reduced(sumOf),
  ReduceMean: reduced((values) => sumOf(values) / values.length),
  ReduceMax: reduced((values) => Math.max(...values)),
  ReduceMin: reduced((values) => Math.min(...values)),
  ReduceL1: reduced((values) => sumOf(values.map(Math.abs))),
  ReduceL2: reduced((values) => Math.hypot(...values)),
  ReduceSumSquare: reduced((values) => sumOf(values.map((v) => v * v))),
  ReduceLogSum: reduced((values) => Math.log(sumOf(values))),
  ReduceLogSumExp: reduced((values) => Math.log(sumOf(values.map(Math.exp)))),
  MatMul: matMul,
  Gemm: gemm,
  Resize: resize,
  Slice: slice,
  Gather: gather,
  GatherElements: (node, inputs) => {
    const [x, picks] = [need(inputs, 0), need(inputs, 1)];
    const axis = positive(node.int('axis', 0), x.dims.length);
    return make(picks.dims, (index) =>
      at(
        x,
        index.map((p, i) => (i === axis ? positive(at(picks, index), x.dims[axis] ?? 1) : p)),
      ),
    );
  },
  GatherND: (_, inputs) => {
    const [x, picks] = [need(inputs, 0), need(inputs, 1)];
    const depth = picks.dims.at(-1) ?? 0;
    const front = picks.dims.slice(0, -1);
    return make([...front, ...x.dims.slice(depth)], (index) => {
      const place = Array.from({ length: depth }, (_, i) => at(picks, [...index.slice(0, front.length), i]));
      return at(x, [...place, ...index.slice(front.length)]);
    });
  },
  Pad: pad,
  Concat: (node, inputs) => {
    const all = present(inputs);
    const axis = positive(node.int('axis', 0), all[0]?.dims.length ?? 1);
    const dims = [...(all[0]?.dims ?? [])];
    dims[axis] = sumOf(all.map((array) => array.dims[axis] ?? 1));
    return make(dims, (index) => {
      let place = index[axis] ?? 0;
      for (const array of all) {
        const size = array.dims[axis] ?? 1;
        if (place < size) {
          return at(
            array,
            index.map((p, i) => (i === axis ? place : p)),
          );
        }
        place -= size;
      }
      return NaN;
    });
  },
  Split: (node, inputs) => {
    const x = need(inputs, 0);
    const axis = positive(node.int('axis', 0), x.dims.length);
    const count = node.outputs.length;
    const each = Math.ceil((x.dims[axis] ?? 1) / count);
    const sizes =
      ints(node, 'split', inputs, 1) ??
      Array.from({ length: count }, (_, i) => Math.min(each, (x.dims[axis] ?? 1) - i * each));
    let start = 0;
    return sizes.map((size) => {
      const first = start;
      start += size;
      return make(
        x.dims.map((dim, i) => (i === axis ? size : dim)),
        (index) =>
          at(
            x,
            index.map((p, i) => (i === axis ? p + first : p)),
          ),
      );
    });
  },
  Transpose: (node, inputs) => {
    const x = need(inputs, 0);
    const perm = node.ints('perm') ?? x.dims.map((_, i) => x.dims.length - 1 - i);
    return make(
      perm.map((axis) => x.dims[axis] ?? 1),
      (index) =>
        at(
          x,
          x.dims.map((_, axis) => index[perm.indexOf(axis)] ?? 0),
        ),
    );
  },
  Reshape: reshape,
  Flatten: viewed((x, node) => {
    const axis = positive(node.int('axis', 1), x.dims.length);
    return [product(x.dims.slice(0, axis)), product(x.dims.slice(axis))];
  }),
  Squeeze: viewed((x, node, inputs) => {
    const axes = ints(node, 'axes', inputs, 1)?.map((axis) => positive(axis, x.dims.length));
    return x.dims.filter((dim, i) => (axes === undefined ? dim !== 1 : !axes.includes(i)));
  }),
  Unsqueeze: viewed((x, node, inputs) => {
    const axes = ints(node, 'axes', inputs, 1) ?? [];
    const rank = x.dims.length + axes.length;
    const added = axes.map((axis) => positive(axis, rank));
    const rest = [...x.dims];
    return Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : (rest.shift() ?? 1)));
  }),
  Expand: (_, inputs) => {
    const x = need(inputs, 0);
    const target: Array64 = { dims: [...need(inputs, 1).data], data: new Float64Array() };
    return make(joint([x, target]), (index) => meets(x, index));
  },
  Tile: (_, inputs) => {
    const [x, times] = [need(inputs, 0), need(inputs, 1).data];
    return make(
      x.dims.map((dim, i) => dim * (times[i] ?? 1)),
      (index) =>
        at(
          x,
          index.map((p, i) => p % (x.dims[i] ?? 1)),
        ),
    );
  },
  DepthToSpace: (node, inputs) => {
    const x = need(inputs, 0);
    const [n = 1, c = 1, h = 1, w = 1] = x.dims;
    const b = node.int('blocksize', 1);
    const out = c / (b * b);
    return make([n, out, h * b, w * b], ([i = 0, k = 0, y = 0, z = 0]) => {
      const inner = (y % b) * b + (z % b);
      const channel = node.text('mode', 'DCR') === 'DCR' ? inner * out + k : k * b * b + inner;
      return at(x, [i, channel, Math.floor(y / b), Math.floor(z / b)]);
    });
  },
  SpaceToDepth: (node, inputs) => {
    const x = need(inputs, 0);
    const [n = 1, c = 1, h = 1, w = 1] = x.dims;
    const b = node.int('blocksize', 1);
    return make([n, c * b * b, h / b, w / b], ([i = 0, k = 0, y = 0, z = 0]) => {
      const inner = Math.floor(k / c);
      return at(x, [i, k % c, y * b + Math.floor(inner / b), z * b + (inner % b)]);
    });
  },
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
};

const held = (tensor: Tensor): Array64 => {
  if (tensor.kind !== 'dense') throw new Error('a dense tensor was expected');
  return { dims: tensor.dims, data: Float64Array.from(tensor.data as ArrayLike<number | bigint>, Number) };
};

/** Every value that the nodes compute. `given` stands in for inputs and initializers. */
export const evaluate = (
  model: Model,
  given: ReadonlyMap<string, Array64>,
  frozen: Frozen = new Map(),
): ReadonlyMap<string, Array64> => {
  const known = new Map(given);
  const valueOf = (value: Value): Array64 => {
    const array = known.get(value.name);
    if (array !== undefined) return array;
    if (value.tensor === undefined) throw new Error(`${value.name} is not known`);
    const constant = held(value.tensor);
    known.set(value.name, constant);
    return constant;
  };
  for (const node of model.graph.nodes()) {
    const operator = OPERATORS[node.opType];
    if (operator === undefined) throw new Error(`no reference for ${node.opType}`);
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : valueOf(value)));
    const results = operator(node, inputs, frozen);
    const list = Array.isArray(results) ? (results as readonly Array64[]) : [results as Array64];
    node.outputs.forEach((value, i) => {
      const result = list[i];
      if (value !== undefined && result !== undefined) known.set(value.name, result);
    });
  }
  return known;
};
