// What goes into a session and comes out: typed arrays with a shape, and what a graph says of its inputs and outputs.

import type { DenseTensorOf, DenseType } from '../onnx/index.js';

const TYPES = [
  'float32',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
] as const satisfies readonly DenseType[];

/** Element types that a session takes and gives. Others (float16, strings, 4-bit) stay inside graphs. */
export type TensorType = (typeof TYPES)[number];

/** A dense tensor, row-major; `data` holds as many elements as `dims` multiply to. */
export type Tensor = {
  [T in TensorType]: {
    readonly type: T;
    readonly dims: readonly number[];
    readonly data: DenseTensorOf<T>['data'];
  };
}[TensorType];

/** A tensor of 32-bit floats. */
export type FloatTensor = Extract<Tensor, { type: 'float32' }>;

export type Tensors = Readonly<Record<string, Tensor>>;

/** An input or output as the graph declares it. */
export interface ValueInfo {
  readonly name: string;
  /** Element type (`float32`, `float16`, ...); `unknown` for a value that is no tensor. */
  readonly type: string;
  /** A number for a fixed dimension; a name, possibly empty, for a dynamic one. */
  readonly shape: readonly (number | string)[];
}

/** True for the element types that a session takes and gives. */
export const isTensorType = (type: string): type is TensorType => (TYPES as readonly string[]).includes(type);

/** A float tensor over `data` (not copied); zeros when it is left out. */
export const floatTensor = (dims: readonly number[], data?: Float32Array): FloatTensor => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (data !== undefined && data.length !== size) {
    throw new TypeError(`a tensor of shape [${dims.join(', ')}] needs ${size} values, not ${data.length}`);
  }
  return { type: 'float32', dims, data: data ?? new Float32Array(size) };
};

/**
 * A picture of nothing: 8-bit values, all of them, the same each time. For what depends on shapes alone, such as times; no layer
 * computes with zeros only.
 */
export const noiseTensor = (dims: readonly number[]): FloatTensor => {
  const tensor = floatTensor(dims);
  let state = 1;
  for (let i = 0; i < tensor.data.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    tensor.data[i] = state >>> 24;
  }
  return tensor;
};

/** {@link noiseTensor} in bytes. */
export const noiseBytes = (dims: readonly number[]): Tensor => ({
  type: 'uint8',
  dims,
  data: Uint8Array.from(noiseTensor(dims).data),
});

/** `float32 [1, 3, 416, 416]`: how a person reads it. */
export const showValue = (value: { type: string; shape: readonly (number | string)[] }): string =>
  `${value.type} [${value.shape.map((dim) => (dim === '' ? '?' : String(dim))).join(', ')}]`;
