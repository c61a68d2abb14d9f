// The SIMD pixel kernels: bilinear sampling of interleaved RGB and planar YUV into three float planes, four pixels at a time.
import {
  assemble,
  type Code,
  doWhile,
  f32x4,
  get,
  i16x8,
  i32,
  i32x4,
  set,
  v128,
  type WasmFunction,
  type WasmMemory,
  WebAssembly,
} from './wasm.js';

/**
 * One column record serves four output pixels: byte offsets of their left source pixels in the row (4 x i32), weights of the
 * left and the right source pixel (4 x 2 x i16, sum 2048), byte offset of the first output pixel in its row (i32).
 */
export const COLUMN_BYTES = 36;
/** One row record: addresses of the upper and the lower source row (2 x i32), their weights over 2048 (2 x f32). */
export const ROW_BYTES = 16;
/** What a kernel may read behind the last source byte. */
export const SOURCE_SLACK = 16;

const [WEIGHTS, DESTINATION] = [16, 32];
const zero = v128.const(Array<number>(16).fill(0));
const bump = (local: number, by: Code): Code => set(local, i32.add(get(local), by));
const sum = (first: Code, ...rest: Code[]): Code => rest.reduce((a, b) => f32x4.add(a, b), first);
/** The `i`-th float of the constants at `base`, in all lanes. */
const constant = (base: number, i: number): Code => v128.load32Splat(get(base), 4 * i);

/** Parameters of both kernels, in order. */
const SHARED = [
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

/** Numbers locals by name: parameters first, then integers, then vectors. */
const numbering = <P extends string, I extends string, V extends string>(
  parameters: readonly P[],
  integers: readonly I[],
  vectors: readonly V[],
): Record<P | I | V, number> =>
  Object.fromEntries([...parameters, ...integers, ...vectors].map((name, index) => [name, index])) as Record<
    P | I | V,
    number
  >;

const rgbKernel = (): WasmFunction => {
  const integers = ['row0', 'row1', 'column', 'left', 'out'] as const;
  const vectors = ['scale', 'bias', 'upper', 'lower', 'p0', 'p1', 'p2', 'p3', 'lo01', 'lo23'] as const;
  const n = numbering(SHARED, integers, vectors);

  // Eight bytes from the left pixel on hold both neighbours: r0 g0 b0 r1 g1 b1. Their swizzle pairs them by channel.
  const pairs = v128.const([0, 255, 3, 255, 1, 255, 4, 255, 2, 255, 5, 255, 255, 255, 255, 255]);
  const sample = (row: number, k: number): Code =>
    f32x4.fromI32(
      i32x4.dot(
        v128.swizzle(v128.load64Zero(i32.add(get(row), i32.load(get(n.column), 4 * k))), pairs),
        v128.load32Splat(get(n.column), WEIGHTS + 4 * k),
      ),
    );
  const pixel = (k: number): Code =>
    sum(get(n.bias), f32x4.mul(sample(n.row0, k), get(n.upper)), f32x4.mul(sample(n.row1, k), get(n.lower)));

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
    bump(n.left, i32.const(-1)),
  ];
  return {
    name: 'rgb',
    parameters: SHARED.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      set(n.scale, v128.load(get(n.constants))),
      set(n.bias, v128.load(get(n.constants), 16)),
      doWhile(
        [
          set(n.row0, i32.load(get(n.rows))),
          set(n.row1, i32.load(get(n.rows), 4)),
          set(n.upper, f32x4.mul(v128.load32Splat(get(n.rows), 8), get(n.scale))),
          set(n.lower, f32x4.mul(v128.load32Splat(get(n.rows), 12), get(n.scale))),
          set(n.column, get(n.columns)),
          set(n.left, get(n.groups)),
          doWhile(group, i32.lt(i32.const(0), get(n.left))),
          bump(n.rows, i32.const(ROW_BYTES)),
          bump(n.outR, get(n.outRow)),
          bump(n.outG, get(n.outRow)),
          bump(n.outB, get(n.outRow)),
          bump(n.height, i32.const(-1)),
        ],
        i32.lt(i32.const(0), get(n.height)),
      ),
    ],
  };
};

/** Order of the floats in the constants of the `yuv` kernel. */
export const YUV_CONSTANTS = [
  'y',
  'rv',
  'gu',
  'gv',
  'bu',
  'r0',
  'g0',
  'b0',
  'scaleR',
  'scaleG',
  'scaleB',
  'biasR',
  'biasG',
  'biasB',
  'white',
] as const;

const yuvKernel = (): WasmFunction => {
  // `chromaRows` hold addresses in the U plane; V lies `vDelta` bytes behind it.
  const parameters = [...SHARED, 'chromaRows', 'chromaColumns', 'vDelta'] as const;
  const integers = ['y0', 'y1', 'u0', 'u1', 'v0', 'v1', 'column', 'chroma', 'left', 'out'] as const;
  const vectors = ['yUp', 'yLow', 'cUp', 'cLow', 'taps', 'Y', 'U', 'V', ...YUV_CONSTANTS] as const;
  const n = numbering(parameters, integers, vectors);

  // Lanes 0..3: two neighbours each of four pixels in the upper row; lanes 4..7: the same in the lower row.
  const taps = (upper: number, lower: number, column: number): Code => {
    let gathered = zero;
    for (let k = 0; k < 8; k += 1) {
      const row = k < 4 ? upper : lower;
      gathered = v128.load16Lane(i32.add(get(row), i32.load(get(column), 4 * (k % 4))), gathered, k);
    }
    return gathered;
  };
  const plane = (
    target: number,
    rows: [number, number],
    weights: [number, number],
    column: number,
  ): Code[] => [
    set(n.taps, taps(rows[0], rows[1], column)),
    set(
      target,
      sum(
        f32x4.mul(
          f32x4.fromI32(i32x4.dot(i16x8.extendLowU8(get(n.taps)), v128.load(get(column), WEIGHTS))),
          get(weights[0]),
        ),
        f32x4.mul(
          f32x4.fromI32(i32x4.dot(i16x8.extendHighU8(get(n.taps)), v128.load(get(column), WEIGHTS))),
          get(weights[1]),
        ),
      ),
    ),
  ];
  const clamp = (value: Code): Code => f32x4.pmin(f32x4.pmax(value, zero), get(n.white));
  const store = (base: number, value: Code, scale: number, bias: number): Code =>
    v128.store(i32.add(get(base), get(n.out)), sum(f32x4.mul(clamp(value), get(scale)), get(bias)));
  const times = (vector: number, factor: number): Code => f32x4.mul(get(vector), get(factor));

  const group = [
    ...plane(n.Y, [n.y0, n.y1], [n.yUp, n.yLow], n.column),
    ...plane(n.U, [n.u0, n.u1], [n.cUp, n.cLow], n.chroma),
    ...plane(n.V, [n.v0, n.v1], [n.cUp, n.cLow], n.chroma),
    set(n.out, i32.load(get(n.column), DESTINATION)),
    set(n.Y, times(n.Y, n.y)),
    store(n.outR, sum(get(n.Y), times(n.V, n.rv), get(n.r0)), n.scaleR, n.biasR),
    store(n.outG, sum(get(n.Y), times(n.U, n.gu), times(n.V, n.gv), get(n.g0)), n.scaleG, n.biasG),
    store(n.outB, sum(get(n.Y), times(n.U, n.bu), get(n.b0)), n.scaleB, n.biasB),
    bump(n.column, i32.const(COLUMN_BYTES)),
    bump(n.chroma, i32.const(COLUMN_BYTES)),
    bump(n.left, i32.const(-1)),
  ];
  return {
    name: 'yuv',
    parameters: parameters.length,
    i32Locals: integers.length,
    v128Locals: vectors.length,
    body: [
      ...YUV_CONSTANTS.map((name, index) => set(n[name], constant(n.constants, index))),
      doWhile(
        [
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
          doWhile(group, i32.lt(i32.const(0), get(n.left))),
          bump(n.rows, i32.const(ROW_BYTES)),
          bump(n.chromaRows, i32.const(ROW_BYTES)),
          bump(n.outR, get(n.outRow)),
          bump(n.outG, get(n.outRow)),
          bump(n.outB, get(n.outRow)),
          bump(n.height, i32.const(-1)),
        ],
        i32.lt(i32.const(0), get(n.height)),
      ),
    ],
  };
};

/** Parameters: height, groups, constants, outR, outG, outB, outRow, rows, columns (addresses and strides in bytes). */
export type RgbKernel = (...parameters: number[]) => void;
/** The same, then chromaRows, chromaColumns, vDelta. */
export type YuvKernel = RgbKernel;

export interface Kernels {
  readonly rgb: RgbKernel;
  readonly yuv: YuvKernel;
}

let compiled: object | undefined | null;

/** The compiled kernels, or `undefined` where the engine has no WebAssembly SIMD. */
const kernelModule = (): object | undefined => {
  if (compiled === undefined) {
    const code = assemble([rgbKernel(), yuvKernel()]);
    compiled =
      typeof WebAssembly === 'object' && WebAssembly.validate(code) ? new WebAssembly.Module(code) : null;
  }
  return compiled ?? undefined;
};

/** True where the SIMD kernels can run. */
export const hasSimd = (): boolean => kernelModule() !== undefined;

/** The kernels over `memory`; `undefined` where the engine has no WebAssembly SIMD. */
export const instantiateKernels = (memory: WasmMemory): Kernels | undefined => {
  const program = kernelModule();
  if (program === undefined) return undefined;
  const { rgb, yuv } = new WebAssembly.Instance(program, { env: { memory } }).exports;
  if (typeof rgb !== 'function' || typeof yuv !== 'function') return undefined;
  return { rgb: rgb as RgbKernel, yuv: yuv as YuvKernel };
};
