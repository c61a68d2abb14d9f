// Constant tensors: dense ones over typed arrays, packed sub-byte ones, strings. Immutable: replace, never write into.
import { BitlaneError } from '../errors.js';
import { packBits, packedBytes, unpackBits } from './packed.js';
import { bitsOf, type DataType, isPackedType, type PackedType, sizeOf } from './types.js';

/** How the elements of each dense type are held: little-endian, 16- and 8-bit floats as their bits, complex as pairs. */
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
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float8e4m3fn: Uint8Array,
  float8e4m3fnuz: Uint8Array,
  float8e5m2: Uint8Array,
  float8e5m2fnuz: Uint8Array,
  float8e8m0: Uint8Array,
  complex64: Float32Array,
  complex128: Float64Array,
} as const;

export type DenseType = keyof typeof ARRAYS;

/** The array type of each; whatever memory it lies in. */
interface Arrays {
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
  float16: Uint16Array;
  bfloat16: Uint16Array;
  float8e4m3fn: Uint8Array;
  float8e4m3fnuz: Uint8Array;
  float8e5m2: Uint8Array;
  float8e5m2fnuz: Uint8Array;
  float8e8m0: Uint8Array;
  complex64: Float32Array;
  complex128: Float64Array;
}
type ArrayOf<T extends DenseType> = Arrays[T];

/** A dense tensor, row-major. */
export type DenseTensorOf<T extends DenseType> = {
  readonly kind: 'dense';
  readonly type: T;
  readonly dims: readonly number[];
  readonly data: ArrayOf<T>;
};
export type DenseTensor = { [T in DenseType]: DenseTensorOf<T> }[DenseType];

/** A sub-byte tensor, row-major, several elements to a byte; `unpack` gives them one by one. */
export interface PackedTensor {
  readonly kind: 'packed';
  readonly type: PackedType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

export interface StringTensor {
  readonly kind: 'string';
  readonly type: 'string';
  readonly dims: readonly number[];
  readonly strings: readonly Uint8Array[];
}

export type Tensor = DenseTensor | PackedTensor | StringTensor;

const isDense = (type: DataType): type is DenseType => Object.hasOwn(ARRAYS, type);

/** Bytes that a tensor of `type` and `dims` takes in a file; 0 for strings. */
export const byteSizeOf = (type: DataType, dims: readonly number[]): number =>
  isPackedType(type) ? packedBytes(type, sizeOf(dims)) : (sizeOf(dims) * bitsOf(type)) / 8;

const wrongSize = (type: DataType, dims: readonly number[], has: number, unit: string): BitlaneError =>
  new BitlaneError('INTERNAL', `a ${type} tensor of shape [${dims.join(', ')}] does not hold ${has} ${unit}`);

/**
 * A dense tensor over `data` (not copied).
 *
 * @param data as many elements as `dims` multiply to
 */
export const tensorOf = <T extends DenseType>(
  type: T,
  dims: readonly number[],
  data: ArrayOf<T>,
): DenseTensorOf<T> => {
  if (data.byteLength !== byteSizeOf(type, dims)) throw wrongSize(type, dims, data.length, 'values');
  return { kind: 'dense', type, dims: [...dims], data };
};

/** An int64 vector, or a scalar for a single number: what shapes, axes and the like are held in. */
export const intsTensor = (values: number | readonly number[]): DenseTensorOf<'int64'> =>
  typeof values === 'number'
    ? tensorOf('int64', [], BigInt64Array.of(BigInt(values)))
    : tensorOf('int64', [values.length], BigInt64Array.from(values, BigInt));

/** Packs `values`, as many as `dims` multiply to, into a sub-byte tensor. */
export const packTensor = (
  type: PackedType,
  dims: readonly number[],
  values: ArrayLike<number>,
): PackedTensor => {
  if (values.length !== sizeOf(dims)) throw wrongSize(type, dims, values.length, 'values');
  return { kind: 'packed', type, dims: [...dims], bytes: packBits(type, values) };
};

/** The elements of a packed tensor, row-major. */
export const unpackTensor = (tensor: PackedTensor): Int8Array | Uint8Array =>
  unpackBits(tensor.type, tensor.bytes, sizeOf(tensor.dims));

/** A tensor from the bytes that a file holds (copied where they are not aligned). Not for strings. */
export const tensorOfBytes = (
  type: Exclude<DataType, 'string'>,
  dims: readonly number[],
  bytes: Uint8Array,
): Tensor => {
  if (bytes.byteLength !== byteSizeOf(type, dims)) throw wrongSize(type, dims, bytes.byteLength, 'bytes');
  if (!isDense(type)) return { kind: 'packed', type, dims: [...dims], bytes };
  const Held = ARRAYS[type];
  const aligned = bytes.byteOffset % Held.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  const data = new Held(
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / Held.BYTES_PER_ELEMENT,
  );
  return { kind: 'dense', type, dims: [...dims], data } as DenseTensor;
};

/** The bytes of a tensor as a file holds them. Not for strings. */
export const bytesOfTensor = (tensor: DenseTensor | PackedTensor): Uint8Array =>
  tensor.kind === 'packed'
    ? tensor.bytes
    : new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);

const INTEGERS: ReadonlySet<DataType> = new Set<DataType>([
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
]);

/** The numbers of an integer or bool tensor (rounded beyond 2^53); `undefined` for other types and above `limit`. */
export const integersOf = (tensor: Tensor, limit = Infinity): number[] | undefined => {
  if (sizeOf(tensor.dims) > limit) return undefined;
  if (tensor.kind === 'packed') {
    return tensor.type === 'float4e2m1' ? undefined : Array.from(unpackTensor(tensor));
  }
  if (tensor.kind === 'string' || !INTEGERS.has(tensor.type)) return undefined;
  return Array.from<number | bigint, number>(tensor.data, Number);
};
