// Element types, dimensions and shapes, by the names the rest of bitlane uses for them.

interface TypeInfo {
  /** ONNX's number for it. */
  readonly code: number;
  readonly bits: number;
}

/** Every tensor element type of ONNX: its number there and its width. */
const TYPES = {
  float32: { code: 1, bits: 32 },
  uint8: { code: 2, bits: 8 },
  int8: { code: 3, bits: 8 },
  uint16: { code: 4, bits: 16 },
  int16: { code: 5, bits: 16 },
  int32: { code: 6, bits: 32 },
  int64: { code: 7, bits: 64 },
  string: { code: 8, bits: 0 },
  bool: { code: 9, bits: 8 },
  float16: { code: 10, bits: 16 },
  float64: { code: 11, bits: 64 },
  uint32: { code: 12, bits: 32 },
  uint64: { code: 13, bits: 64 },
  complex64: { code: 14, bits: 64 },
  complex128: { code: 15, bits: 128 },
  bfloat16: { code: 16, bits: 16 },
  float8e4m3fn: { code: 17, bits: 8 },
  float8e4m3fnuz: { code: 18, bits: 8 },
  float8e5m2: { code: 19, bits: 8 },
  float8e5m2fnuz: { code: 20, bits: 8 },
  uint4: { code: 21, bits: 4 },
  int4: { code: 22, bits: 4 },
  float4e2m1: { code: 23, bits: 4 },
  float8e8m0: { code: 24, bits: 8 },
  uint2: { code: 25, bits: 2 },
  int2: { code: 26, bits: 2 },
} as const satisfies Record<string, TypeInfo>;

/** A tensor element type. */
export type DataType = keyof typeof TYPES;

/** Types that are stored several to a byte. */
export type PackedType = 'uint4' | 'int4' | 'float4e2m1' | 'uint2' | 'int2';

const BY_CODE = new Map<number, DataType>(
  (Object.entries(TYPES) as [DataType, TypeInfo][]).map(([type, { code }]) => [code, type]),
);

/** ONNX's number for `type` (what `Cast`'s attribute `to` holds). */
export const codeOf = (type: DataType): number => TYPES[type].code;

/** The type of ONNX's number `code`; `undefined` where there is none. */
export const typeOfCode = (code: number): DataType | undefined => BY_CODE.get(code);

/** Bits of an element; 0 for strings. */
export const bitsOf = (type: DataType): number => TYPES[type].bits;

export const isPackedType = (type: DataType): type is PackedType => {
  const bits = bitsOf(type);
  return bits > 0 && bits < 8;
};

/** A dimension: a number, a name that stands for one, or `''` where nothing is known of it. */
export type Dim = number | string;

/** Dimensions, outermost first. `[]` is a scalar. */
export type Shape = readonly Dim[];

/** True when every dimension is a number. */
export const isStatic = (shape: Shape): shape is readonly number[] =>
  shape.every((dim) => typeof dim === 'number');

/** Elements of a tensor of these dimensions; 1 for a scalar. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** `float32 [1, 3, 416, 416]`, with `?` for what is unknown: how a person reads it. */
export const showType = (type: DataType | undefined, shape: Shape | undefined): string =>
  `${type ?? '?'} ${shape === undefined ? '[...]' : `[${shape.map((dim) => (dim === '' ? '?' : dim)).join(', ')}]`}`;
