// The pixel kernels in plain JavaScript: for engines without WebAssembly SIMD, and for pictures under four pixels wide.
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

/** Samples `source` (interleaved RGB, or planes Y, U, V) into the picture's place in `tensor` (three float planes). */
export const sampleScalar = (plan: Plan, source: Uint8Array, tensor: Float32Array): void => {
  const { red, green, blue, columns, rows, rowBytes, yuv } = plan;
  if (yuv === undefined) {
    [red, green, blue].forEach(({ start, scale, bias }, first) =>
      samplePlane(plan, source, { first, step: 3, rowBytes, columns, rows }, tensor, start, scale, bias),
    );
    return;
  }
  const luma = { first: 0, step: 1, rowBytes, columns, rows };
  const u = { ...luma, first: yuv.lumaBytes, rowBytes: yuv.rowBytes, columns: yuv.columns, rows: yuv.rows };
  const v = { ...u, first: yuv.lumaBytes + yuv.chromaBytes };
  samplePlane(plan, source, luma, tensor, red.start, 1, 0);
  samplePlane(plan, source, u, tensor, green.start, 1, 0);
  samplePlane(plan, source, v, tensor, blue.start, 1, 0);
  convertInPlace(plan, yuv, tensor);
};
