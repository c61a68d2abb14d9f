// What goes into a session and comes out: typed arrays with a shape, and what a graph says of its inputs and outputs.

interface TensorArrays {
  float32: Float32Array;
  float64: Float64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

/** Element types that a session takes and gives. Others (float16, strings, 4-bit) stay inside graphs. */
export type TensorType = keyof TensorArrays;

/** A dense tensor, row-major; `data` holds as many elements as `dims` multiply to. */
export type Tensor = {
  [T in TensorType]: { readonly type: T; readonly dims: readonly number[]; readonly data: TensorArrays[T] };
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

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** True for the element types that a session takes and gives. */
export const isTensorType = (type: string): type is TensorType => Object.hasOwn(ARRAYS, type);

/** A float tensor over `data` (not copied); zeros when it is left out. */
export const floatTensor = (dims: readonly number[], data?: Float32Array): FloatTensor => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (data !== undefined && data.length !== size) {
    throw new TypeError(`a tensor of shape [${dims.join(', ')}] needs ${size} values, not ${data.length}`);
  }
  return { type: 'float32', dims, data: data ?? new Float32Array(size) };
};

/** `float32 [1, 3, 416, 416]`: how a person reads it. */
export const showValue = (value: { type: string; shape: readonly (number | string)[] }): string =>
  `${value.type} [${value.shape.map((dim) => (dim === '' ? '?' : String(dim))).join(', ')}]`;
