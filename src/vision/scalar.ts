// The pixel kernels in plain JavaScript: for engines without WebAssembly SIMD, and for pictures under four pixels wide.
import type { InputData } from './input.js';
import { type Axis, type Plan, WEIGHT_ONE } from './plan.js';

/** One 8-bit channel of a source picture: where it starts, bytes from sample to sample and from row to row. */
interface SourceChannel {
  readonly first: number;
  readonly step: number;
  readonly rowBytes: number;
  readonly columns: Axis;
  readonly rows: Axis;
}

/** Samples `from` into the picture's place in the plane of `tensor` that starts at `start`, times `scale`, plus `bias`. */
const samplePlane = (
  plan: Plan,
  source: Uint8Array,
  from: SourceChannel,
  tensor: Float32Array,
  start: number,
  scale: number,
  bias: number,
): void => {
  const { placement, input } = plan;
  const { first, step, rowBytes, columns, rows } = from;
  const { low, weight } = columns;
  const lastColumn = columns.length - 1;
  const unit = scale / (WEIGHT_ONE * WEIGHT_ONE);
  for (let y = 0; y < placement.height; y += 1) {
    const upper = rows.low[y] ?? 0;
    const row0 = first + upper * rowBytes;
    const row1 = first + Math.min(upper + 1, rows.length - 1) * rowBytes;
    const wy = rows.weight[y] ?? 0;
    let out = start + (placement.top + y) * input.width + placement.left;
    for (let x = 0; x < placement.width; x += 1, out += 1) {
      const left = low[x] ?? 0;
      const a = left * step;
      const b = left < lastColumn ? a + step : a;
      const wx = weight[x] ?? 0;
      const p = source[row0 + a] ?? 0;
      const q = source[row1 + a] ?? 0;
      const top = p * WEIGHT_ONE + ((source[row0 + b] ?? 0) - p) * wx;
      const bottom = q * WEIGHT_ONE + ((source[row1 + b] ?? 0) - q) * wx;
      tensor[out] = (top * WEIGHT_ONE + (bottom - top) * wy) * unit + bias;
    }
  }
};

const clamp = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : value);

/** The picture's place in the three planes holds Y, U, V (in the order red, green, blue) and becomes R, G, B. */
const convertInPlace = (plan: Plan, yuv: NonNullable<Plan['yuv']>, tensor: Float32Array): void => {
  const { placement, input, red, green, blue } = plan;
  const m = yuv.matrix;
  for (let row = 0; row < placement.height; row += 1) {
    const first = (placement.top + row) * input.width + placement.left;
    for (let at = first; at < first + placement.width; at += 1) {
      const y = (tensor[red.start + at] ?? 0) * m.y;
      const u = tensor[green.start + at] ?? 0;
      const v = tensor[blue.start + at] ?? 0;
      tensor[red.start + at] = clamp(y + v * m.rv + m.r0) * red.scale + red.bias;
      tensor[green.start + at] = clamp(y + u * m.gu + v * m.gv + m.g0) * green.scale + green.bias;
      tensor[blue.start + at] = clamp(y + u * m.bu + m.b0) * blue.scale + blue.bias;
    }
  }
};

const { fround } = Math;

/** See `rounder` of the SIMD kernels: a 32-bit float from here on has no place for fractions, and ties go to even. */
const ROUNDER = 1.5 * 2 ** 23;

/** One channel at a pixel of the picture's place, in the very 32-bit floats of the SIMD kernels: both give the same bytes. */
const sampleAt = (
  source: Uint8Array,
  { first, step, rowBytes, columns, rows }: SourceChannel,
  x: number,
  y: number,
): number => {
  const [upper, left] = [rows.low[y] ?? 0, columns.low[x] ?? 0];
  const wx = columns.weight[x] ?? 0;
  const wy = (rows.weight[y] ?? 0) / WEIGHT_ONE;
  const a = first + left * step;
  const b = left < columns.length - 1 ? a + step : a;
  const mixed = (row: number): number =>
    (source[row + a] ?? 0) * (WEIGHT_ONE - wx) + (source[row + b] ?? 0) * wx;
  return fround(
    fround(mixed(upper * rowBytes) * ((1 - wy) / WEIGHT_ONE)) +
      fround(mixed(Math.min(upper + 1, rows.length - 1) * rowBytes) * (wy / WEIGHT_ONE)),
  );
};

/** Red, green, blue of sampled Y, U, V, as the SIMD kernels compute them. */
const convert = (yuv: NonNullable<Plan['yuv']>): ((y: number, u: number, v: number) => number[]) => {
  const [ky, rv, gu, gv, bu] = [yuv.matrix.y, yuv.matrix.rv, yuv.matrix.gu, yuv.matrix.gv, yuv.matrix.bu].map(
    fround,
  ) as [number, number, number, number, number];
  const [r0, g0, b0] = [yuv.matrix.r0, yuv.matrix.g0, yuv.matrix.b0].map(fround) as [number, number, number];
  return (y, u, v) => {
    const luma = fround(y * ky);
    return [
      clamp(fround(fround(luma + fround(v * rv)) + r0)),
      clamp(fround(fround(fround(luma + fround(u * gu)) + fround(v * gv)) + g0)),
      clamp(fround(fround(luma + fround(u * bu)) + b0)),
    ];
  };
};

/** The channels of a source picture: red, green, blue, or Y, U, V. */
const channelsOf = ({
  columns,
  rows,
  rowBytes,
  yuv,
}: Plan): [SourceChannel, SourceChannel, SourceChannel] => {
  if (yuv === undefined) {
    const channel = (first: number): SourceChannel => ({ first, step: 3, rowBytes, columns, rows });
    return [channel(0), channel(1), channel(2)];
  }
  const chroma = { step: 1, rowBytes: yuv.rowBytes, columns: yuv.columns, rows: yuv.rows };
  return [
    { first: 0, step: 1, rowBytes, columns, rows },
    { ...chroma, first: yuv.lumaBytes },
    { ...chroma, first: yuv.lumaBytes + yuv.chromaBytes },
  ];
};

const sampleBytes = (plan: Plan, source: Uint8Array, bytes: Uint8Array): void => {
  const { placement, input, yuv } = plan;
  const [a, b, c] = channelsOf(plan);
  const toRgb = yuv === undefined ? (...rgb: number[]) => rgb : convert(yuv);
  const isRgb = input.colourOrder === 'rgb';
  for (let y = 0; y < placement.height; y += 1) {
    let out = 3 * ((placement.top + y) * input.width + placement.left);
    for (let x = 0; x < placement.width; x += 1, out += 3) {
      const rgb = toRgb(sampleAt(source, a, x, y), sampleAt(source, b, x, y), sampleAt(source, c, x, y));
      rgb.forEach((value, channel) => {
        bytes[out + (isRgb ? channel : 2 - channel)] = fround(value + ROUNDER) - ROUNDER;
      });
    }
  }
};

const samplePlanes = (plan: Plan, source: Uint8Array, tensor: Float32Array): void => {
  const { red, green, blue, yuv } = plan;
  const targets = [red, green, blue] as const;
  channelsOf(plan).forEach((from, index) => {
    const { start, scale, bias } = targets[index] ?? red;
    if (yuv === undefined) samplePlane(plan, source, from, tensor, start, scale, bias);
    else samplePlane(plan, source, from, tensor, start, 1, 0);
  });
  if (yuv !== undefined) convertInPlace(plan, yuv, tensor);
};

/** Samples `source` (interleaved RGB, or planes Y, U, V) into the picture's place in `tensor`: float planes, or interleaved bytes. */
export const sampleScalar = (plan: Plan, source: Uint8Array, tensor: InputData): void => {
  if (tensor instanceof Uint8Array) sampleBytes(plan, source, tensor);
  else samplePlanes(plan, source, tensor);
};
