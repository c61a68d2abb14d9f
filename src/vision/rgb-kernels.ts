// The SIMD kernels of interleaved RGB: bilinear sampling into three float planes or into interleaved bytes, four pixels at a time.
import {
  bump,
  BYTES,
  COLUMN_BYTES,
  DESTINATION,
  eachGroup,
  eachRow,
  numbering,
  ORDER_AT,
  PLANES,
  ROW_BYTES,
  rounded,
  rounder,
  storePixels,
  sum,
  WEIGHTS,
} from './kernel-parts.js';
import { type Code, f32x4, get, i16x8, i32, i32x4, i8x16, set, v128, type WasmFunction } from './wasm.js';

// Eight bytes from the left pixel on hold both neighbours: r0 g0 b0 r1 g1 b1. Their swizzle pairs them by channel.
const pairs = v128.const([0, 255, 3, 255, 1, 255, 4, 255, 2, 255, 5, 255, 255, 255, 255, 255]);

/** Of the `k`-th pixel of a group in one row, times 2048: red, green, blue, 0. */
const sample = (row: number, column: number, k: number): Code =>
  f32x4.fromI32(
    i32x4.dot(
      v128.swizzle(v128.load64Zero(i32.add(get(row), i32.load(get(column), 4 * k))), pairs),
      v128.load32Splat(get(column), WEIGHTS + 4 * k),
    ),
  );

const integers = ['row0', 'row1', 'column', 'left', 'out'] as const;

/** Where the row is read from. */
const beginRow = (
  n: Readonly<Record<'rows' | 'columns' | 'groups' | 'row0' | 'row1' | 'column' | 'left', number>>,
): Code[] => [
  set(n.row0, i32.load(get(n.rows))),
  set(n.row1, i32.load(get(n.rows), 4)),
  set(n.column, get(n.columns)),
  set(n.left, get(n.groups)),
];

/** Into planes: pixel x scale + bias. */
export const rgbPlanes = (): WasmFunction => {
  const vectors = ['scale', 'bias', 'upper', 'lower', 'p0', 'p1', 'p2', 'p3', 'lo01', 'lo23'] as const;
  const n = numbering(PLANES, integers, vectors);
  const pixel = (k: number): Code =>
    sum(
      get(n.bias),
      f32x4.mul(sample(n.row0, n.column, k), get(n.upper)),
      f32x4.mul(sample(n.row1, n.column, k), get(n.lower)),
    );

  // Transposing four (r, g, b, -) vectors into three planes.
  const [low, high] = [
    [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23],
    [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31],
  ] as const;
  const [firstHalves, secondHalves] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
    [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31],
  ] as const;
  const plane = (base: number, value: Code): Code => v128.store(i32.add(get(base), get(n.out)), value);

  const group = [
    set(n.p0, pixel(0)),
    set(n.p1, pixel(1)),
    set(n.p2, pixel(2)),
    set(n.p3, pixel(3)),
    set(n.out, i32.load(get(n.column), DESTINATION)),
    set(n.lo01, v128.shuffle(get(n.p0), get(n.p1), low)),
    set(n.lo23, v128.shuffle(get(n.p2), get(n.p3), low)),
    plane(n.outR, v128.shuffle(get(n.lo01), get(n.lo23), firstHalves)),
    plane(n.outG, v128.shuffle(get(n.lo01), get(n.lo23), secondHalves)),
    plane(
      n.outB,
      v128.shuffle(
        v128.shuffle(get(n.p0), get(n.p1), high),
        v128.shuffle(get(n.p2), get(n.p3), high),
        firstHalves,
      ),
    ),
    bump(n.column, i32.const(COLUMN_BYTES)),
  ];
  return {
    name: 'rgbPlanes',
    parameters: PLANES.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      set(n.scale, v128.load(get(n.constants))),
      set(n.bias, v128.load(get(n.constants), 16)),
      eachRow(n.height, [
        ...beginRow(n),
        set(n.upper, f32x4.mul(v128.load32Splat(get(n.rows), 8), get(n.scale))),
        set(n.lower, f32x4.mul(v128.load32Splat(get(n.rows), 12), get(n.scale))),
        eachGroup(n.left, group),
        bump(n.rows, i32.const(ROW_BYTES)),
        bump(n.outR, get(n.outRow)),
        bump(n.outG, get(n.outRow)),
        bump(n.outB, get(n.outRow)),
      ]),
    ],
  };
};

/** Of the groups that {@link rgbBytes} narrows: from pixel to pixel, from channel to channel. */
export const RGB_STEPS = [4, 1] as const;

/** Into bytes: pixels rounded to nearest, ties to even. */
export const rgbBytes = (): WasmFunction => {
  const vectors = ['order', 'rounder', 'upper', 'lower', 'pixels'] as const;
  const n = numbering(BYTES, integers, vectors);
  const pixel = (k: number): Code =>
    rounded(
      sum(
        f32x4.mul(sample(n.row0, n.column, k), get(n.upper)),
        f32x4.mul(sample(n.row1, n.column, k), get(n.lower)),
      ),
      n.rounder,
    );
  const group = [
    set(n.pixels, i8x16.narrowU(i16x8.narrow(pixel(0), pixel(1)), i16x8.narrow(pixel(2), pixel(3)))),
    set(n.out, i32.add(get(n.outBytes), i32.load(get(n.column), DESTINATION))),
    ...storePixels(get(n.out), n.pixels, n.order),
    bump(n.column, i32.const(COLUMN_BYTES)),
  ];
  return {
    name: 'rgbBytes',
    parameters: BYTES.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      set(n.order, v128.load(get(n.constants), ORDER_AT)),
      set(n.rounder, rounder),
      eachRow(n.height, [
        ...beginRow(n),
        set(n.upper, v128.load32Splat(get(n.rows), 8)),
        set(n.lower, v128.load32Splat(get(n.rows), 12)),
        eachGroup(n.left, group),
        bump(n.rows, i32.const(ROW_BYTES)),
        bump(n.outBytes, get(n.outRow)),
      ]),
    ],
  };
};
