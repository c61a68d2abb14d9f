// Where pixels become an input: memory for a source picture and a tensor, and the kernel that runs between them.
import type { InputSpec } from '../registry/index.js';
import { type InputData, newInputData } from './input.js';
import { COLUMN_BYTES, CONSTANT_BYTES, ORDER_AT, orderOf, ROW_BYTES, SOURCE_SLACK } from './kernel-parts.js';
import { hasSimd, instantiateKernels, type Kernels } from './kernels.js';
import { type Axis, type Plan, WEIGHT_ONE } from './plan.js';
import { RGB_STEPS } from './rgb-kernels.js';
import { sampleScalar } from './scalar.js';
import { WebAssembly, type WasmMemory } from './wasm.js';
import { YUV_CONSTANTS, YUV_STEPS } from './yuv-kernels.js';

export interface Engine {
  /** Floats [3, height, width], or bytes [height, width, 3]. */
  readonly tensor: InputData;
  /** Most bytes a source picture may have. */
  readonly capacity: number;
  /** Memory to put the next source picture into. */
  source(bytes: number): Uint8Array<ArrayBuffer>;
  /** Samples the source picture into the tensor; leaves the padding alone. */
  sample(plan: Plan): void;
}

const PAGE = 65536;
/** Width of a kernel step: narrower pictures go the scalar way. */
const LANES = 4;
const align = (bytes: number): number => (bytes + 15) & ~15;

/** Plain arrays and JavaScript. */
export class ScalarEngine implements Engine {
  readonly tensor: InputData;
  readonly capacity: number;
  readonly #pixels: Uint8Array<ArrayBuffer>;

  constructor(input: InputSpec, capacity: number) {
    this.tensor = newInputData(input);
    this.capacity = capacity;
    this.#pixels = new Uint8Array(capacity);
  }

  source(bytes: number): Uint8Array<ArrayBuffer> {
    return this.#pixels.subarray(0, bytes);
  }

  sample(plan: Plan): void {
    sampleScalar(plan, this.#pixels, this.tensor);
  }
}

/** WebAssembly memory, in this order: constants, tables, tensor, source picture. Untouched pages cost nothing. */
export class SimdEngine implements Engine {
  readonly tensor: InputData;
  readonly capacity: number;
  readonly #memory: WasmMemory;
  readonly #kernels: Kernels;
  readonly #view: DataView;
  readonly #at: {
    columns: number;
    rows: number;
    chromaColumns: number;
    chromaRows: number;
    tensor: number;
    source: number;
  };
  /** From one pixel of the tensor to the next: of all channels, or of one plane. */
  readonly #pixelBytes: 3 | 4;
  #plan: Plan | undefined;

  constructor(input: InputSpec, capacity: number) {
    const columnBytes = align(Math.ceil(input.width / LANES) * COLUMN_BYTES);
    const rowBytes = input.height * ROW_BYTES;
    const columns = CONSTANT_BYTES;
    const rows = columns + columnBytes;
    const chromaColumns = rows + rowBytes;
    const chromaRows = chromaColumns + columnBytes;
    const tensor = chromaRows + rowBytes;
    const size = 3 * input.width * input.height;
    const isBytes = input.format === 'bytes';
    const source = align(tensor + (isBytes ? size : 4 * size));
    const pages = Math.ceil((source + capacity + SOURCE_SLACK) / PAGE);
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const kernels = instantiateKernels(this.#memory);
    if (kernels === undefined) throw new Error('WebAssembly SIMD is missing');
    this.#kernels = kernels;
    this.#at = { columns, rows, chromaColumns, chromaRows, tensor, source };
    this.#view = new DataView(this.#memory.buffer);
    this.capacity = capacity;
    const { buffer } = this.#memory;
    this.tensor = isBytes ? new Uint8Array(buffer, tensor, size) : new Float32Array(buffer, tensor, size);
    this.#pixelBytes = isBytes ? 3 : 4;
  }

  source(bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer, this.#at.source, bytes);
  }

  sample(plan: Plan): void {
    const { input, placement, yuv } = plan;
    if (placement.width < LANES) {
      sampleScalar(plan, this.source(plan.sourceBytes), this.tensor);
      return;
    }
    if (this.#plan !== plan) {
      this.#writeTables(plan);
      this.#plan = plan;
    }
    const at = this.#at;
    const corner = at.tensor + this.#pixelBytes * (placement.top * input.width + placement.left);
    const rowBytes = this.#pixelBytes * input.width;
    const size = [placement.height, Math.ceil(placement.width / LANES), 0] as const;
    const tables = [rowBytes, at.rows, at.columns] as const;
    const chroma = [at.chromaRows, at.chromaColumns, yuv?.chromaBytes ?? 0] as const;
    const { rgbBytes, rgbPlanes, yuvBytes, yuvPlanes } = this.#kernels;
    if (this.tensor instanceof Uint8Array) {
      if (yuv === undefined) rgbBytes(...size, corner, ...tables);
      else yuvBytes(...size, corner, ...tables, ...chroma);
      return;
    }
    const planes = [plan.red, plan.green, plan.blue].map(({ start }) => corner + 4 * start);
    if (yuv === undefined) rgbPlanes(...size, ...planes, ...tables);
    else yuvPlanes(...size, ...planes, ...tables, ...chroma);
  }

  #writeTables(plan: Plan): void {
    const { yuv, red, green, blue } = plan;
    const at = this.#at;
    const [pixelStep, channelStep] = yuv === undefined ? RGB_STEPS : YUV_STEPS;
    orderOf(plan.input.colourOrder === 'rgb', pixelStep, channelStep).forEach((from, index) =>
      this.#view.setUint8(ORDER_AT + index, from),
    );
    this.#writeColumns(at.columns, plan.columns, yuv === undefined ? 3 : 1);
    this.#writeRows(at.rows, plan.rows, at.source, plan.rowBytes);
    if (yuv === undefined) {
      this.#writeFloats([red.scale, green.scale, blue.scale, 0, red.bias, green.bias, blue.bias, 0]);
      return;
    }
    this.#writeColumns(at.chromaColumns, yuv.columns, 1);
    this.#writeRows(at.chromaRows, yuv.rows, at.source + yuv.lumaBytes, yuv.rowBytes);
    const constants: Record<(typeof YUV_CONSTANTS)[number], number> = {
      ...yuv.matrix,
      scaleR: red.scale,
      scaleG: green.scale,
      scaleB: blue.scale,
      biasR: red.bias,
      biasG: green.bias,
      biasB: blue.bias,
      white: 255,
    };
    this.#writeFloats(YUV_CONSTANTS.map((name) => constants[name]));
  }

  #writeFloats(values: readonly number[]): void {
    values.forEach((value, index) => this.#view.setFloat32(4 * index, value, true));
  }

  #writeColumns(address: number, axis: Axis, pixelBytes: number): void {
    const outputs = axis.low.length;
    for (let group = 0; group * LANES < outputs; group += 1) {
      // The last group overlaps the one before it, so that nothing is written behind the picture.
      const first = Math.min(group * LANES, outputs - LANES);
      const record = address + group * COLUMN_BYTES;
      for (let lane = 0; lane < LANES; lane += 1) {
        const weight = axis.weight[first + lane] ?? 0;
        this.#view.setInt32(record + 4 * lane, (axis.low[first + lane] ?? 0) * pixelBytes, true);
        this.#view.setInt16(record + 16 + 4 * lane, WEIGHT_ONE - weight, true);
        this.#view.setInt16(record + 18 + 4 * lane, weight, true);
      }
      this.#view.setInt32(record + 32, this.#pixelBytes * first, true);
    }
  }

  #writeRows(address: number, axis: Axis, plane: number, rowBytes: number): void {
    axis.low.forEach((upper, index) => {
      const record = address + index * ROW_BYTES;
      const weight = (axis.weight[index] ?? 0) / WEIGHT_ONE;
      this.#view.setInt32(record, plane + upper * rowBytes, true);
      this.#view.setInt32(record + 4, plane + Math.min(upper + 1, axis.length - 1) * rowBytes, true);
      this.#view.setFloat32(record + 8, (1 - weight) / WEIGHT_ONE, true);
      this.#view.setFloat32(record + 12, weight / WEIGHT_ONE, true);
    });
  }
}

/** The fastest engine that works here. */
export const makeEngine = (input: InputSpec, capacity: number, simd: boolean): Engine => {
  if (simd && hasSimd()) {
    try {
      return new SimdEngine(input, capacity);
    } catch {
      // Address space may be too scarce for WebAssembly's guard regions; plain memory still does.
    }
  }
  return new ScalarEngine(input, capacity);
};
