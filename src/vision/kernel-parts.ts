// What the SIMD pixel kernels share: the layout of their tables, names for locals, and the way from floats to interleaved bytes.
import { type Code, doWhile, f32x4, get, i32, i32x4, set, v128 } from './wasm.js';

/**
 * One column record serves four output pixels: byte offsets of their left source pixels in the row (4 x i32), weights of the
 * left and the right source pixel (4 x 2 x i16, sum 2048), byte offset of the first output pixel in its row (i32).
 */
export const COLUMN_BYTES = 36;
/** One row record: addresses of the upper and the lower source row (2 x i32), their weights over 2048 (2 x f32). */
export const ROW_BYTES = 16;
/** What a kernel may read behind the last source byte. */
export const SOURCE_SLACK = 16;

/** Of parts in a column record. */
export const [WEIGHTS, DESTINATION] = [16, 32] as const;
export const zero = v128.const(Array<number>(16).fill(0));
export const bump = (local: number, by: Code): Code => set(local, i32.add(get(local), by));
export const sum = (first: Code, ...rest: Code[]): Code => rest.reduce((a, b) => f32x4.add(a, b), first);

/** Parameters of the kernels that write planes, in order. */
export const PLANES = [
  'height',
  'groups',
  'constants',
  'outR',
  'outG',
  'outB',
  'outRow',
  'rows',
  'columns',
] as const;

/** Parameters of the kernels that write interleaved bytes, in order. */
export const BYTES = ['height', 'groups', 'constants', 'outBytes', 'outRow', 'rows', 'columns'] as const;

/** Numbers locals by name: parameters first, then integers, then vectors. */
export const numbering = <P extends string, I extends string, V extends string>(
  parameters: readonly P[],
  integers: readonly I[],
  vectors: readonly V[],
): Record<P | I | V, number> =>
  Object.fromEntries([...parameters, ...integers, ...vectors].map((name, index) => [name, index])) as Record<
    P | I | V,
    number
  >;

/** All rows, `row` for each. */
export const eachRow = (height: number, row: readonly Code[]): Code =>
  doWhile([...row, bump(height, i32.const(-1))], i32.lt(i32.const(0), get(height)));

/** All groups of four pixels of a row, `group` for each. */
export const eachGroup = (left: number, group: readonly Code[]): Code =>
  doWhile([...group, bump(left, i32.const(-1))], i32.lt(i32.const(0), get(left)));

/** 1.5 x 2^23 in all lanes: a float that it is added to has no place for fractions, and ties go to even. */
export const rounder = v128.const([0, 0, 64, 75, 0, 0, 64, 75, 0, 0, 64, 75, 0, 0, 64, 75]);
/** Floats of up to 2^22 as the nearest 32-bit integers: the sum with {@link rounder} counts on from its bits. */
export const rounded = (value: Code, local: number): Code =>
  i32x4.sub(f32x4.add(value, get(local)), get(local));

/** Of constants of kernels that write bytes: which byte of a narrowed group comes where (16 bytes). */
export const ORDER_AT = 64;
/** Bytes of all constants. */
export const CONSTANT_BYTES = ORDER_AT + 16;

/**
 * The bytes of four pixels, one pixel behind the other.
 *
 * @param isRgb whether red comes first
 * @param pixelStep from pixel to pixel in the group
 * @param channelStep from red to green to blue
 */
export const orderOf = (isRgb: boolean, pixelStep: number, channelStep: number): number[] =>
  Array.from({ length: 16 }, (_, at) => {
    const channel = isRgb ? at % 3 : 2 - (at % 3);
    return at < 12 ? pixelStep * Math.floor(at / 3) + channelStep * channel : 255;
  });

/** Writes four pixels to `address`: three bytes each, picked from the lanes of `value` by `order`. */
export const storePixels = (address: Code, value: number, order: number): Code[] => [
  set(value, v128.swizzle(get(value), get(order))),
  v128.store64Lane(address, get(value), 0),
  v128.store32Lane(address, get(value), 2, 8),
];
