// Affine uniform grids, r = scale (q - zero): what they hold, how they are made from ranges, and rounding onto them.
import { BitlaneError } from '../errors.js';

/** A grid for one tensor (`axis` null: one scale) or for each slice along `axis`. Codes are `low`..`high`, held in 8 bits. */
export interface Grid {
  readonly bits: number;
  readonly signed: boolean;
  readonly low: number;
  readonly high: number;
  /** Positive, finite. */
  readonly scale: Float32Array;
  /** As many as scales, each in `low`..`high`: zero is always on the grid. */
  readonly zeroPoint: Int32Array;
  readonly axis: number | null;
}

/** The grid of one output channel: channels of one layer may differ in bits. */
export interface ChannelGrid {
  readonly bits: number;
  readonly signed: boolean;
  readonly low: number;
  readonly high: number;
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Codes of a grid: Int8Array of a signed one, Uint8Array of an unsigned one. */
export type Codes = Int8Array | Uint8Array;

/** Which codes a grid of some bits has. */
export interface LevelOptions {
  /** 2 to 8. */
  readonly bits: number;
  readonly signed: boolean;
  /** Zero in the middle of the codes (default false). */
  readonly symmetric?: boolean;
  /** 7 bits where 8 were asked for: what engines without exact 8-bit dot products need. Default false. */
  readonly reduceRange?: boolean;
  /**
   * Whether a symmetric grid leaves its lowest code out (-7..7 for -8..7). Default: for 7 and 8 bits only. There a code more
   * is worth nothing and -128 is the one weight that can overflow paired 16-bit sums; at 4 bits it is a fifteenth more levels
   * and at 2 bits a third (-2..1 for -1..1), and a grid with it is never coarser, since the longer side sets no scale alone.
   */
  readonly narrow?: boolean;
}

export interface GridOptions extends LevelOptions {
  /** The dimension that the ranges belong to; null or left out for one range. */
  readonly axis?: number | null;
  /** No scale is smaller than this: keeps biases of integer kernels (scale = input's x weight's) within 32 bits. */
  readonly minScale?: number;
}

/** Ranges narrower than this are empty: their scale would be no normal 32-bit float. */
const EMPTY = 1e-30;

const checkBits = (bits: number): void => {
  if (!Number.isInteger(bits) || bits < 2 || bits > 8) {
    throw new BitlaneError('INTERNAL', `a grid has 2 to 8 bits, not ${bits}`);
  }
};

/**
 * Codes of a grid.
 *
 * @throws BitlaneError `INTERNAL` for bits that are not 2 to 8
 */
export const levelsOf = (
  options: LevelOptions,
): { readonly bits: number; readonly low: number; readonly high: number; readonly middle: number } => {
  checkBits(options.bits);
  const bits = options.reduceRange === true ? Math.min(options.bits, 7) : options.bits;
  const half = 2 ** (bits - 1);
  const narrow = options.symmetric === true && (options.narrow ?? bits >= 7);
  const middle = options.signed ? 0 : half;
  return { bits, low: middle - half + (narrow ? 1 : 0), high: middle + half - 1, middle };
};

/**
 * The finest grid that covers the range and zero.
 *
 * @param min may be positive: zero is added to the range
 * @param max may be negative
 */
export const channelGrid = (
  min: number,
  max: number,
  options: LevelOptions & { readonly minScale?: number },
): ChannelGrid => {
  if (!Number.isFinite(min) || !Number.isFinite(max) || min > max) {
    throw new BitlaneError('INTERNAL', `a grid needs a finite range with min <= max, not ${min} to ${max}`);
  }
  const { bits, low, high, middle } = levelsOf(options);
  const from = Math.min(min, 0);
  const to = Math.max(max, 0);
  const symmetric = options.symmetric === true;
  const wanted = symmetric
    ? Math.max(to / (high - middle), from / (low - middle))
    : (to - from) / (high - low);
  const floor = options.minScale ?? 0;
  const scale = Math.fround(
    wanted < EMPTY ? Math.max(floor, floor > 0 ? EMPTY : 1) : Math.max(wanted, floor),
  );
  const zeroPoint = symmetric ? middle : Math.min(high, Math.max(low, roundHalfEven(low - from / scale)));
  return { bits, signed: options.signed, low, high, scale, zeroPoint };
};

/**
 * Grids that cover ranges (zero included).
 *
 * @param ranges one, or one for each slice along `options.axis`
 * @throws BitlaneError `INTERNAL` for bits that are not 2 to 8 and for ranges that are not finite
 */
export const gridOfRanges = (
  ranges: readonly { readonly min: number; readonly max: number }[],
  options: GridOptions,
): Grid => {
  const grids = ranges.map(({ min, max }) => channelGrid(min, max, options));
  return joinGrids(grids, options.axis ?? null);
};

/**
 * One grid of channels that have the same codes.
 *
 * @param axis null for a single one
 * @throws BitlaneError `INTERNAL` where their bits or codes differ
 */
export const joinGrids = (channels: readonly ChannelGrid[], axis: number | null): Grid => {
  const [first] = channels;
  if (first === undefined || (axis === null && channels.length !== 1)) {
    throw new BitlaneError('INTERNAL', `a grid without an axis has one scale, not ${channels.length}`);
  }
  const { bits, signed, low, high } = first;
  for (const other of channels) {
    if (other.bits !== bits || other.signed !== signed || other.low !== low || other.high !== high) {
      throw new BitlaneError('INTERNAL', 'channels of one grid must have the same codes');
    }
  }
  return {
    bits,
    signed,
    low,
    high,
    scale: Float32Array.from(channels, ({ scale }) => scale),
    zeroPoint: Int32Array.from(channels, ({ zeroPoint }) => zeroPoint),
    axis,
  };
};

/** The grid of each slice. */
export const splitGrid = ({ bits, signed, low, high, scale, zeroPoint }: Grid): ChannelGrid[] =>
  Array.from(scale, (s, index) => ({ bits, signed, low, high, scale: s, zeroPoint: zeroPoint[index] ?? 0 }));

/** 1.5 x 2^52: a sum with it has no place for fractions, and the processor rounds ties to even. */
const ROUNDER = 6755399441055744;

/** To the nearest integer, ties to the even one; for magnitudes below 2^51. */
export const roundHalfEven = (value: number): number => value + ROUNDER - ROUNDER;

/** How a tensor falls into slices that share a scale: `outer` times `slices` times `inner` values. */
const slicesOf = (grid: Grid, size: number, shape: readonly number[]): { slices: number; inner: number } => {
  const product = shape.reduce((a, b) => a * b, 1);
  if (product !== size) {
    throw new BitlaneError('INTERNAL', `shape [${shape.join(', ')}] does not hold ${size} values`);
  }
  if (grid.axis === null) return { slices: 1, inner: size };
  const slices = shape[grid.axis];
  if (slices !== grid.scale.length) {
    throw new BitlaneError(
      'INTERNAL',
      `a grid of ${grid.scale.length} scales does not fit dimension ${grid.axis} of [${shape.join(', ')}]`,
    );
  }
  return { slices, inner: shape.slice(grid.axis + 1).reduce((a, b) => a * b, 1) };
};

const newCodes = (signed: boolean, size: number): Codes =>
  signed ? new Int8Array(size) : new Uint8Array(size);

/**
 * What ONNX `QuantizeLinear` computes (and `Clip` to the grid's codes where it has fewer than 8 bits): the quotient in 32-bit
 * floats, ties to even, saturated. NaN becomes the lowest code, as in onnxruntime.
 *
 * @param shape of `values`; may be left out of a grid without axis
 */
export const quantize = (
  values: Float32Array,
  grid: Grid,
  shape: readonly number[] = [values.length],
): Codes => {
  const { slices, inner } = slicesOf(grid, values.length, shape);
  const codes = newCodes(grid.signed, values.length);
  const block = slices * inner;
  for (
    let start = 0, slice = 0;
    start < values.length;
    start += inner, slice = start % block === 0 ? 0 : slice + 1
  ) {
    const scale = grid.scale[slice] ?? 1;
    const zero = grid.zeroPoint[slice] ?? 0;
    const low = grid.low - zero;
    const high = grid.high - zero;
    for (let i = start; i < start + inner; i++) {
      const ratio = Math.fround((values[i] ?? 0) / scale);
      codes[i] = (ratio > low ? (ratio < high ? ratio + ROUNDER - ROUNDER : high) : low) + zero;
    }
  }
  return codes;
};

/** What ONNX `DequantizeLinear` computes: scale (q - zero) in 32-bit floats. */
export const dequantize = (
  codes: Codes,
  grid: Grid,
  shape: readonly number[] = [codes.length],
): Float32Array => {
  const { slices, inner } = slicesOf(grid, codes.length, shape);
  const values = new Float32Array(codes.length);
  const block = slices * inner;
  for (
    let start = 0, slice = 0;
    start < codes.length;
    start += inner, slice = start % block === 0 ? 0 : slice + 1
  ) {
    const scale = grid.scale[slice] ?? 1;
    const zero = grid.zeroPoint[slice] ?? 0;
    for (let i = start; i < start + inner; i++) values[i] = ((codes[i] ?? 0) - zero) * scale;
  }
  return values;
};

/** `values` as the grid has them: quantized and dequantized. */
export const fakeQuantize = (
  values: Float32Array,
  grid: Grid,
  shape: readonly number[] = [values.length],
): Float32Array => dequantize(quantize(values, grid, shape), grid, shape);

/** The code of one value. */
export const codeOnGrid = (value: number, { scale, zeroPoint, low, high }: ChannelGrid): number => {
  const ratio = Math.fround(value / scale);
  if (!(ratio > low - zeroPoint)) return low;
  return ratio < high - zeroPoint ? roundHalfEven(ratio) + zeroPoint : high;
};

/**
 * Rounds each output channel onto its own grid, which may differ in bits; all are signed or all are unsigned.
 *
 * @param weights [channels, ...], row-major
 */
export const quantizeChannels = (weights: Float32Array, grids: readonly ChannelGrid[]): Codes => {
  const inner = rowLength(weights.length, grids.length);
  const codes = newCodes(signedOf(grids), weights.length);
  grids.forEach((grid, channel) => {
    for (let i = channel * inner; i < (channel + 1) * inner; i++)
      codes[i] = codeOnGrid(weights[i] ?? 0, grid);
  });
  return codes;
};

/** The values of codes whose channels have grids of their own. */
export const dequantizeChannels = (codes: Codes, grids: readonly ChannelGrid[]): Float32Array => {
  const inner = rowLength(codes.length, grids.length);
  const values = new Float32Array(codes.length);
  grids.forEach(({ scale, zeroPoint }, channel) => {
    for (let i = channel * inner; i < (channel + 1) * inner; i++)
      values[i] = ((codes[i] ?? 0) - zeroPoint) * scale;
  });
  return values;
};

/** True for signed channels, false for unsigned ones. @throws BitlaneError `INTERNAL` for a mixture */
export const signedOf = (grids: readonly ChannelGrid[]): boolean => {
  const signed = grids[0]?.signed ?? true;
  if (grids.some((grid) => grid.signed !== signed)) {
    throw new BitlaneError('INTERNAL', 'channels of one layer are all signed or all unsigned');
  }
  return signed;
};

/** Values of one channel. @throws BitlaneError `INTERNAL` where `size` does not fall into `channels` equal rows */
export const rowLength = (size: number, channels: number): number => {
  const inner = size / channels;
  if (!Number.isInteger(inner)) {
    throw new BitlaneError('INTERNAL', `${size} weights do not fall into ${channels} channels`);
  }
  return inner;
};
