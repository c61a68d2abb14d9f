// The SIMD kernels of planar YUV: bilinear sampling and conversion into three float planes or interleaved bytes, four pixels at a time.
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
  zero,
} from './kernel-parts.js';
import { type Code, f32x4, get, i16x8, i32, i32x4, i8x16, set, v128, type WasmFunction } from './wasm.js';

/** Of the constants, those that both kernels use. */
const COLOURS = ['y', 'rv', 'gu', 'gv', 'bu', 'r0', 'g0', 'b0'] as const;
/** And those of floats alone. */
const OF_PLANES = ['white', 'scaleR', 'scaleG', 'scaleB', 'biasR', 'biasG', 'biasB'] as const;

/** Order of the floats in the constants of the kernels. */
export const YUV_CONSTANTS = [...COLOURS, ...OF_PLANES] as const;

// `chromaRows` hold addresses in the U plane; V lies `vDelta` bytes behind it.
const CHROMA = ['chromaRows', 'chromaColumns', 'vDelta'] as const;
const integers = ['y0', 'y1', 'u0', 'u1', 'v0', 'v1', 'column', 'chroma', 'left', 'out'] as const;
const shared = ['yUp', 'yLow', 'cUp', 'cLow', 'taps', 'Y', 'U', 'V', ...COLOURS] as const;
type Local = (typeof CHROMA)[number] | (typeof integers)[number] | (typeof shared)[number];
type Locals = Readonly<Record<Local | 'rows' | 'columns' | 'groups' | 'constants', number>>;

/** The `i`-th float of the constants, in all lanes. */
const constants = (n: Locals, names: readonly (typeof YUV_CONSTANTS)[number][]): Code[] =>
  names.map((name) =>
    set(
      (n as Readonly<Record<string, number>>)[name] ?? 0,
      v128.load32Splat(get(n.constants), 4 * YUV_CONSTANTS.indexOf(name)),
    ),
  );

// Lanes 0..3: two neighbours each of four pixels in the upper row; lanes 4..7: the same in the lower row.
const taps = (upper: number, lower: number, column: number): Code => {
  let gathered = zero;
  for (let k = 0; k < 8; k += 1) {
    const row = k < 4 ? upper : lower;
    gathered = v128.load16Lane(i32.add(get(row), i32.load(get(column), 4 * (k % 4))), gathered, k);
  }
  return gathered;
};

/** Four samples of one plane into `target`. */
const plane = (
  n: Locals,
  target: number,
  rows: readonly [number, number],
  weights: readonly [number, number],
  column: number,
): Code[] => {
  const half = (extended: Code, weight: number): Code =>
    f32x4.mul(f32x4.fromI32(i32x4.dot(extended, v128.load(get(column), WEIGHTS))), get(weight));
  return [
    set(n.taps, taps(rows[0], rows[1], column)),
    set(
      target,
      sum(
        half(i16x8.extendLowU8(get(n.taps)), weights[0]),
        half(i16x8.extendHighU8(get(n.taps)), weights[1]),
      ),
    ),
  ];
};

/** Y, U and V of four pixels, Y times its factor. */
const samples = (n: Locals): Code[] => [
  ...plane(n, n.Y, [n.y0, n.y1], [n.yUp, n.yLow], n.column),
  ...plane(n, n.U, [n.u0, n.u1], [n.cUp, n.cLow], n.chroma),
  ...plane(n, n.V, [n.v0, n.v1], [n.cUp, n.cLow], n.chroma),
  set(n.Y, f32x4.mul(get(n.Y), get(n.y))),
];

/** Red, green and blue of {@link samples}; some outside 0 to 255. */
const colours = (n: Locals): { readonly red: Code; readonly green: Code; readonly blue: Code } => {
  const times = (vector: number, factor: number): Code => f32x4.mul(get(vector), get(factor));
  return {
    red: sum(get(n.Y), times(n.V, n.rv), get(n.r0)),
    green: sum(get(n.Y), times(n.U, n.gu), times(n.V, n.gv), get(n.g0)),
    blue: sum(get(n.Y), times(n.U, n.bu), get(n.b0)),
  };
};

/** Where the row is read from, and its weights. */
const beginRow = (n: Locals): Code[] => [
  set(n.y0, i32.load(get(n.rows))),
  set(n.y1, i32.load(get(n.rows), 4)),
  set(n.yUp, v128.load32Splat(get(n.rows), 8)),
  set(n.yLow, v128.load32Splat(get(n.rows), 12)),
  set(n.u0, i32.load(get(n.chromaRows))),
  set(n.u1, i32.load(get(n.chromaRows), 4)),
  set(n.v0, i32.add(get(n.u0), get(n.vDelta))),
  set(n.v1, i32.add(get(n.u1), get(n.vDelta))),
  set(n.cUp, v128.load32Splat(get(n.chromaRows), 8)),
  set(n.cLow, v128.load32Splat(get(n.chromaRows), 12)),
  set(n.column, get(n.columns)),
  set(n.chroma, get(n.chromaColumns)),
  set(n.left, get(n.groups)),
];

const nextColumns = (n: Locals): Code[] => [
  bump(n.column, i32.const(COLUMN_BYTES)),
  bump(n.chroma, i32.const(COLUMN_BYTES)),
];
const nextRows = (n: Locals): Code[] => [
  bump(n.rows, i32.const(ROW_BYTES)),
  bump(n.chromaRows, i32.const(ROW_BYTES)),
];

/** Into planes: pixel x scale + bias. */
export const yuvPlanes = (): WasmFunction => {
  const parameters = [...PLANES, ...CHROMA] as const;
  const vectors = [...shared, ...OF_PLANES] as const;
  const n = numbering(parameters, integers, vectors);
  const { red, green, blue } = colours(n);
  const clamp = (value: Code): Code => f32x4.pmin(f32x4.pmax(value, zero), get(n.white));
  const store = (base: number, value: Code, scale: number, bias: number): Code =>
    v128.store(i32.add(get(base), get(n.out)), sum(f32x4.mul(clamp(value), get(scale)), get(bias)));
  const group = [
    ...samples(n),
    set(n.out, i32.load(get(n.column), DESTINATION)),
    store(n.outR, red, n.scaleR, n.biasR),
    store(n.outG, green, n.scaleG, n.biasG),
    store(n.outB, blue, n.scaleB, n.biasB),
    ...nextColumns(n),
  ];
  return {
    name: 'yuvPlanes',
    parameters: parameters.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      ...constants(n, YUV_CONSTANTS),
      eachRow(n.height, [
        ...beginRow(n),
        eachGroup(n.left, group),
        ...nextRows(n),
        bump(n.outR, get(n.outRow)),
        bump(n.outG, get(n.outRow)),
        bump(n.outB, get(n.outRow)),
      ]),
    ],
  };
};

/** Of the groups that {@link yuvBytes} narrows: from pixel to pixel, from channel to channel. */
export const YUV_STEPS = [1, 4] as const;

/** Into bytes: pixels rounded to nearest, ties to even, saturated. */
export const yuvBytes = (): WasmFunction => {
  const parameters = [...BYTES, ...CHROMA] as const;
  const vectors = [...shared, 'order', 'rounder', 'blue', 'pixels'] as const;
  const n = numbering(parameters, integers, vectors);
  const { red, green, blue } = colours(n);
  const group = [
    ...samples(n),
    set(n.out, i32.add(get(n.outBytes), i32.load(get(n.column), DESTINATION))),
    set(n.blue, rounded(blue, n.rounder)),
    set(
      n.pixels,
      i8x16.narrowU(
        i16x8.narrow(rounded(red, n.rounder), rounded(green, n.rounder)),
        i16x8.narrow(get(n.blue), get(n.blue)),
      ),
    ),
    ...storePixels(get(n.out), n.pixels, n.order),
    ...nextColumns(n),
  ];
  return {
    name: 'yuvBytes',
    parameters: parameters.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      ...constants(n, COLOURS),
      set(n.order, v128.load(get(n.constants), ORDER_AT)),
      set(n.rounder, rounder),
      eachRow(n.height, [
        ...beginRow(n),
        eachGroup(n.left, group),
        ...nextRows(n),
        bump(n.outBytes, get(n.outRow)),
      ]),
    ],
  };
};
