// Builds expressions over a graph: one method an operator, shapes worked out on the way. What gradient rules are written in.
import { BitlaneError } from '../errors.js';
import {
  type Attribute,
  codeOf,
  type DataType,
  float,
  type Graph,
  int,
  ints,
  intsTensor,
  isStatic,
  sizeOf,
  type Tensor,
  tensorOf,
  text,
  type Value,
} from '../onnx/index.js';

type Dims = readonly number[];

/** An attribute as a rule writes it: integers, integer lists, names; floats as `{ f: 0.1 }`. */
export type Plain = number | string | readonly number[] | { readonly f: number };

const attributeOf = (value: Plain): Attribute =>
  typeof value === 'number'
    ? int(value)
    : typeof value === 'string'
      ? text(value)
      : 'f' in value
        ? float(value.f)
        : ints(value);

/** Dimensions of a value. Throws `BAD_MODEL` where they are not all known. */
export const dimsOf = (value: Value): Dims => {
  const { shape } = value;
  if (shape === undefined || !isStatic(shape)) {
    throw new BitlaneError(
      'BAD_MODEL',
      `the shape of ${value.name} is not known: a gradient needs every shape fixed`,
    );
  }
  return shape;
};

/** Two shapes broadcast as ONNX does; `INTERNAL` where they do not fit. */
export const broadcast = (a: Dims, b: Dims): number[] => {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) {
      throw new BitlaneError('INTERNAL', `shapes [${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
    }
    return x === 1 ? y : x;
  });
};

/** `axis`, which may count from the end, from the start. */
export const axisFrom = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** One cut of {@link Ops.slice}. */
export interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step?: number;
}

/** A window: one number each a spatial axis. */
export interface Window {
  readonly kernel: Dims;
  readonly strides: Dims;
  readonly dilations: Dims;
  readonly begin: Dims;
  readonly end: Dims;
}

/** The same expression is built once: asking twice gives the same value. */
export class Ops {
  readonly #graph: Graph;
  readonly #built = new Map<string, readonly Value[]>();
  readonly #serials = new Map<Value, number>();
  /** What names of new nodes begin with. */
  scope = 'gradient';

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  #serial(value: Value | undefined): number {
    if (value === undefined) return -1;
    const serial = this.#serials.get(value) ?? this.#serials.size;
    this.#serials.set(value, serial);
    return serial;
  }

  /** A node of any operator; its outputs have the shapes `results`, all of one type. */
  node(
    opType: string,
    inputs: readonly (Value | undefined)[],
    results: readonly Dims[],
    attributes: Readonly<Record<string, Plain>> = {},
    type: DataType | undefined = inputs[0]?.type,
  ): readonly Value[] {
    const key = JSON.stringify([
      opType,
      inputs.map((value) => this.#serial(value)),
      attributes,
      type,
      results,
    ]);
    const known = this.#built.get(key);
    if (known !== undefined) return known;
    const node = this.#graph.addNode({
      opType,
      name: this.#graph.uniqueName(`${this.scope}/${opType}`),
      inputs,
      outputs: results.length,
      attributes: Object.fromEntries(
        Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)]),
      ),
    });
    const values = node.outputs.flatMap((value) => value ?? []);
    values.forEach((value, i) => {
      value.type = type;
      value.shape = results[i] ?? [];
    });
    this.#built.set(key, values);
    return values;
  }

  /** A node of one output. */
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    dims: Dims,
    attributes: Readonly<Record<string, Plain>> = {},
    type?: DataType,
  ): Value {
    const [value] = this.node(opType, inputs, [dims], attributes, type);
    if (value === undefined) throw new BitlaneError('INTERNAL', `${opType} was built without an output`);
    return value;
  }

  #constant(key: string, tensor: Tensor): Value {
    const known = this.#built.get(key)?.[0];
    if (known !== undefined) return known;
    const value = this.#graph.addInitializer('gradient/constant', tensor);
    this.#built.set(key, [value]);
    return value;
  }

  /** A scalar of 32-bit float. */
  scalar(value: number): Value {
    return this.#constant(`scalar ${value}`, tensorOf('float32', [], Float32Array.of(value)));
  }

  /** A constant of 32-bit floats. */
  floats(dims: Dims, values: ArrayLike<number>): Value {
    const data = Float32Array.from(values);
    return this.#constant(`floats ${dims.join()} ${data.join()}`, tensorOf('float32', dims, data));
  }

  zeros(dims: Dims): Value {
    return this.op('Expand', [this.scalar(0), this.ints(dims)], dims);
  }

  /** A constant vector of int64. */
  ints(values: Dims): Value {
    return this.#constant(`ints ${values.join()}`, intsTensor(values));
  }

  /** An operator that works element by element. */
  map(opType: string, x: Value, attributes?: Readonly<Record<string, Plain>>): Value {
    return this.op(opType, [x], dimsOf(x), attributes);
  }

  #both(opType: string, a: Value | number, b: Value | number, type?: DataType): Value {
    const [x, y] = [a, b].map((value) => (typeof value === 'number' ? this.scalar(value) : value));
    if (x === undefined || y === undefined) throw new BitlaneError('INTERNAL', `${opType} needs two values`);
    return this.op(opType, [x, y], broadcast(dimsOf(x), dimsOf(y)), {}, type);
  }

  add(a: Value | number, b: Value | number): Value {
    return this.#both('Add', a, b);
  }

  sub(a: Value | number, b: Value | number): Value {
    return this.#both('Sub', a, b);
  }

  /** A factor of exactly 1 is left out. */
  mul(a: Value | number, b: Value | number): Value {
    if (b === 1 && typeof a !== 'number') return a;
    return this.#both('Mul', a, b);
  }

  div(a: Value | number, b: Value | number): Value {
    if (b === 1 && typeof a !== 'number') return a;
    return this.#both('Div', a, b);
  }

  pow(a: Value | number, b: Value | number): Value {
    return this.#both('Pow', a, b);
  }

  neg(x: Value): Value {
    return this.map('Neg', x);
  }

  /** `Greater`, `LessOrEqual`, `Equal`, ...: a bool. */
  compare(opType: string, a: Value | number, b: Value | number): Value {
    return this.#both(opType, a, b, 'bool');
  }

  and(a: Value, b: Value): Value {
    return this.#both('And', a, b, 'bool');
  }

  where(condition: Value, a: Value | number, b: Value | number): Value {
    const [x, y] = [a, b].map((value) => (typeof value === 'number' ? this.scalar(value) : value));
    if (x === undefined || y === undefined) throw new BitlaneError('INTERNAL', 'Where needs two values');
    const dims = broadcast(dimsOf(condition), broadcast(dimsOf(x), dimsOf(y)));
    return this.op('Where', [condition, x, y], dims, {}, x.type);
  }

  cast(x: Value, type: DataType): Value {
    return x.type === type ? x : this.op('Cast', [x], dimsOf(x), { to: codeOf(type) }, type);
  }

  /** 1 where `condition` holds, 0 elsewhere. */
  mask(condition: Value): Value {
    return this.cast(condition, 'float32');
  }

  /** `x` where `condition` holds, 0 elsewhere. */
  only(x: Value, condition: Value): Value {
    return this.mul(x, this.mask(condition));
  }

  sum(x: Value, axes: Dims, keepDims = true): Value {
    return this.#reduce('ReduceSum', x, axes, keepDims);
  }

  mean(x: Value, axes: Dims, keepDims = true): Value {
    return this.#reduce('ReduceMean', x, axes, keepDims);
  }

  #reduce(opType: string, x: Value, axes: Dims, keepDims: boolean): Value {
    const dims = dimsOf(x);
    if (axes.length === 0) return x;
    const gone = new Set(axes);
    const result = keepDims
      ? dims.map((dim, i) => (gone.has(i) ? 1 : dim))
      : dims.filter((_, i) => !gone.has(i));
    return this.op(opType, [x, this.ints(axes)], result, { keepdims: keepDims ? 1 : 0 });
  }

  reshape(x: Value, dims: Dims): Value {
    const from = dimsOf(x);
    if (from.length === dims.length && from.every((dim, i) => dim === dims[i])) return x;
    // A 0 would mean "as before".
    return this.op('Reshape', [x, this.ints(dims)], dims, { allowzero: 1 });
  }

  transpose(x: Value, perm: Dims): Value {
    if (perm.every((axis, i) => axis === i)) return x;
    const dims = dimsOf(x);
    return this.op(
      'Transpose',
      [x],
      perm.map((axis) => dims[axis] ?? 1),
      { perm },
    );
  }

  /** The last two axes change places. */
  flip(x: Value): Value {
    const rank = dimsOf(x).length;
    return this.transpose(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
  }

  /** Cuts along axes, with ONNX's rules; ends must be within the size, or below 0 for "to the first" with a step below 0. */
  slice(x: Value, cuts: readonly Cut[]): Value {
    const from = dimsOf(x);
    const needed = cuts.filter(
      ({ axis, start, end, step = 1 }) => start !== 0 || end !== from[axis] || step !== 1,
    );
    if (needed.length === 0) return x;
    const dims = [...from];
    for (const { axis, start, end, step = 1 } of needed)
      dims[axis] = Math.max(0, Math.ceil((end - start) / step));
    const list = (pick: (cut: Cut) => number): Value => this.ints(needed.map(pick));
    return this.op(
      'Slice',
      [
        x,
        list(({ start }) => start),
        // Below the first element: further down than any size.
        list(({ end }) => (end < 0 ? -(2 ** 40) : end)),
        list(({ axis }) => axis),
        list(({ step = 1 }) => step),
      ],
      dims,
    );
  }

  /** `axis` the other way round. */
  reverse(x: Value, axes: Dims): Value {
    const dims = dimsOf(x);
    return this.slice(
      x,
      axes
        .filter((axis) => (dims[axis] ?? 1) > 1)
        .map((axis) => ({ axis, start: (dims[axis] ?? 1) - 1, end: -1, step: -1 })),
    );
  }

  /** Zeros around; negative numbers cut. `begin` and `end` hold one number an axis. */
  pad(x: Value, begin: Dims, end: Dims): Value {
    if ([...begin, ...end].every((count) => count === 0)) return x;
    const dims = dimsOf(x).map((dim, i) => dim + (begin[i] ?? 0) + (end[i] ?? 0));
    return this.op('Pad', [x, this.ints([...begin, ...end])], dims);
  }

  concat(parts: readonly Value[], axis: number): Value {
    const [first, ...others] = parts;
    if (first === undefined) throw new BitlaneError('INTERNAL', 'Concat needs a value');
    if (others.length === 0) return first;
    const dims = [...dimsOf(first)];
    dims[axis] = parts.reduce((sum, part) => sum + (dimsOf(part)[axis] ?? 0), 0);
    return this.op('Concat', parts, dims, { axis });
  }

  split(x: Value, axis: number, sizes: Dims): readonly Value[] {
    const dims = dimsOf(x);
    const shapes = sizes.map((size) => dims.map((dim, i) => (i === axis ? size : dim)));
    return this.node('Split', [x, this.ints(sizes)], shapes, { axis });
  }

  expand(x: Value, dims: Dims): Value {
    return this.op('Expand', [x, this.ints(dims)], dims);
  }

  /** A matrix product of two values of two or more axes; those in front broadcast. */
  matmul(a: Value, b: Value): Value {
    const [x, y] = [dimsOf(a), dimsOf(b)];
    const dims = [...broadcast(x.slice(0, -2), y.slice(0, -2)), x.at(-2) ?? 1, y.at(-1) ?? 1];
    return this.op('MatMul', [a, b], dims);
  }

  /**
   * The largest of each window, and where in `x` (as one row) it is.
   *
   * @param dims of the result
   * @param only the spatial axis that is pooled; all where it is left out
   */
  pooled(x: Value, dims: Dims, window: Window, ceil: number, only?: number): readonly [Value, Value] {
    const pick = (list: Dims, otherwise: number): number[] =>
      list.map((value, i) => (only === undefined || i === only ? value : otherwise));
    const result = dimsOf(x).map((dim, i) =>
      i < 2 || (only !== undefined && i - 2 !== only) ? dim : (dims[i] ?? 1),
    );
    const [values, places] = this.node('MaxPool', [x], [result, result], {
      kernel_shape: pick(window.kernel, 1),
      strides: pick(window.strides, 1),
      dilations: pick(window.dilations, 1),
      pads: [...pick(window.begin, 0), ...pick(window.end, 0)],
      ceil_mode: ceil,
    });
    if (values === undefined || places === undefined)
      throw new BitlaneError('INTERNAL', 'MaxPool has two outputs');
    places.type = 'int64';
    return [values, places];
  }

  /** Adds `updates` to `x` at `indices` along `axis`; indices that occur twice add twice. */
  scatterAdd(x: Value, indices: Value, updates: Value, axis: number): Value {
    return this.op('ScatterElements', [x, indices, updates], dimsOf(x), { axis, reduction: 'add' });
  }

  /** Sums along broadcast axes, or spreads, until `x` has the shape `dims`. */
  fit(x: Value, dims: Dims): Value {
    const from = dimsOf(x);
    const extra = Math.max(0, from.length - dims.length);
    const axes = from.flatMap((dim, i) =>
      i < extra || ((dims[i - extra] ?? 1) === 1 && dim !== 1) ? [i] : [],
    );
    let fitted = this.sum(x, axes);
    if (sizeOf(dimsOf(fitted)) === sizeOf(dims)) return this.reshape(fitted, dims);
    if (extra > 0) fitted = this.reshape(fitted, dimsOf(fitted).slice(extra));
    return this.expand(fitted, dims);
  }
}
