// What a convolution sees: first and second moments of its input patches, from activations as they stream by.
import { BitlaneError } from '../errors.js';

/** A two-dimensional convolution's view of its input. */
export interface PatchShape {
  /** Input channels. */
  readonly channels: number;
  /** Height, width. */
  readonly kernel: readonly [number, number];
  /** Default 1, 1. */
  readonly stride?: readonly [number, number];
  /** Top, left, bottom, right (ONNX's order); default 0. */
  readonly pads?: readonly [number, number, number, number];
  /** Default 1, 1. */
  readonly dilation?: readonly [number, number];
  /** Default 1. */
  readonly groups?: number;
}

export interface PatchMomentsOptions {
  /** Most output positions of a picture that are looked at (default 128), evenly spread; others at the next picture. */
  readonly positions?: number;
}

const DEFAULT_POSITIONS = 128;
const GOLDEN = 0.6180339887498949;
/** Patches gathered before they are multiplied: a block of them stays in the cache. */
const BLOCK = 64;

/**
 * Second moments H = E[x x^T] of the input patches of each group, x ordered as the weights are: input channel, kernel row, kernel
 * column. Deterministic: the same calls give the same moments.
 */
export class PatchMoments {
  readonly shape: Required<PatchShape>;
  /** Values of a patch of one group. */
  readonly size: number;
  readonly #positions: number;
  readonly #sums: Float64Array;
  readonly #products: Float64Array;
  readonly #block: Float64Array;
  #filled = 0;
  #count = 0;
  #pictures = 0;

  /** @throws BitlaneError `INTERNAL` for channels that do not fall into the groups */
  constructor(shape: PatchShape, options: PatchMomentsOptions = {}) {
    this.shape = {
      channels: shape.channels,
      kernel: shape.kernel,
      stride: shape.stride ?? [1, 1],
      pads: shape.pads ?? [0, 0, 0, 0],
      dilation: shape.dilation ?? [1, 1],
      groups: shape.groups ?? 1,
    };
    const { channels, kernel, groups } = this.shape;
    this.size = (channels / groups) * kernel[0] * kernel[1];
    if (!Number.isInteger(channels / groups) || !(this.size > 0)) {
      throw new BitlaneError('INTERNAL', `${channels} channels do not fall into ${groups} groups`);
    }
    this.#positions = Math.max(1, Math.floor(options.positions ?? DEFAULT_POSITIONS));
    this.#sums = new Float64Array(groups * this.size);
    this.#products = new Float64Array(groups * this.size * this.size);
    this.#block = new Float64Array(groups * this.size * BLOCK);
  }

  /** Patches looked at. */
  get count(): number {
    return this.#count;
  }

  /**
   * Looks at activations.
   *
   * @param values [pictures, channels, height, width], row-major
   * @throws BitlaneError `INTERNAL` for a shape that does not fit
   */
  observe(values: Float32Array, height: number, width: number): void {
    const { channels, kernel, stride, pads, dilation } = this.shape;
    const picture = channels * height * width;
    const rows = Math.floor((height + pads[0] + pads[2] - dilation[0] * (kernel[0] - 1) - 1) / stride[0]) + 1;
    const columns =
      Math.floor((width + pads[1] + pads[3] - dilation[1] * (kernel[1] - 1) - 1) / stride[1]) + 1;
    if (!(rows > 0 && columns > 0 && values.length % picture === 0)) {
      throw new BitlaneError(
        'INTERNAL',
        `${values.length} activations are no pictures of ${channels} x ${height} x ${width} under this kernel`,
      );
    }
    const total = rows * columns;
    const taken = Math.min(total, this.#positions);
    for (let start = 0; start < values.length; start += picture) {
      const offset = taken === total ? 0 : (this.#pictures * GOLDEN) % 1;
      this.#pictures++;
      for (let n = 0; n < taken; n++) {
        const position = Math.floor(((n + offset) * total) / taken);
        const y = Math.floor(position / columns) * stride[0] - pads[0];
        const x = (position % columns) * stride[1] - pads[1];
        this.#gather(values, start, height, width, y, x);
      }
    }
  }

  #gather(values: Float32Array, start: number, height: number, width: number, y0: number, x0: number): void {
    const { channels, kernel, dilation } = this.shape;
    const block = this.#block;
    let to = this.#filled;
    for (let channel = 0; channel < channels; channel++) {
      const plane = start + channel * height * width;
      for (let ky = 0; ky < kernel[0]; ky++) {
        const y = y0 + ky * dilation[0];
        const inside = y >= 0 && y < height;
        const row = plane + y * width;
        for (let kx = 0; kx < kernel[1]; kx++, to += BLOCK) {
          const x = x0 + kx * dilation[1];
          block[to] = inside && x >= 0 && x < width ? (values[row + x] ?? 0) : 0;
        }
      }
    }
    this.#count++;
    if (++this.#filled === BLOCK) this.#flush();
  }

  #flush(): void {
    if (this.#filled === 0) return;
    const { size } = this;
    const { groups } = this.shape;
    const block = this.#block;
    // Columns left empty hold patches of the block before.
    if (this.#filled < BLOCK) {
      for (let row = 0; row < groups * size; row++)
        block.fill(0, row * BLOCK + this.#filled, (row + 1) * BLOCK);
    }
    for (let row = 0; row < groups * size; row++) {
      let sum = 0;
      for (let p = row * BLOCK; p < (row + 1) * BLOCK; p++) sum += block[p] ?? 0;
      this.#sums[row] = (this.#sums[row] ?? 0) + sum;
    }
    for (let group = 0; group < groups; group++) {
      const products = this.#products.subarray(group * size * size, (group + 1) * size * size);
      addProducts(block, group * size * BLOCK, size, products);
    }
    this.#filled = 0;
  }

  /** H for each group, [groups, size, size]: means of the products. Zeros where nothing was seen. */
  second(): Float64Array {
    this.#flush();
    const { size } = this;
    const result = new Float64Array(this.#products.length);
    const count = Math.max(1, this.#count);
    for (let group = 0; group < this.shape.groups; group++) {
      const start = group * size * size;
      for (let i = 0; i < size; i++) {
        for (let j = 0; j <= i; j++) {
          const mean = (this.#products[start + i * size + j] ?? 0) / count;
          result[start + i * size + j] = mean;
          result[start + j * size + i] = mean;
        }
      }
    }
    return result;
  }

  /** E[x] for each group, [groups, size]: what bias correction needs, padding included. */
  first(): Float64Array {
    this.#flush();
    const count = Math.max(1, this.#count);
    return this.#sums.map((sum) => sum / count);
  }
}

/**
 * Adds the products of all pairs of rows of a block to the lower triangle of `products` (and to some values above it, in tiles
 * that cross the diagonal). Tiles of 2 x 4: eight sums stay in registers and each value loaded is used more than once.
 */
const addProducts = (block: Float64Array, start: number, size: number, products: Float64Array): void => {
  const evenRows = size & ~1;
  for (let i = 0; i < evenRows; i += 2) {
    const a0 = start + i * BLOCK;
    const a1 = a0 + BLOCK;
    let j = 0;
    for (; j + 3 < size && j <= i + 1; j += 4) {
      const b = start + j * BLOCK;
      let s00 = 0;
      let s01 = 0;
      let s02 = 0;
      let s03 = 0;
      let s10 = 0;
      let s11 = 0;
      let s12 = 0;
      let s13 = 0;
      for (let p = 0; p < BLOCK; p++) {
        const x0 = block[a0 + p] ?? 0;
        const x1 = block[a1 + p] ?? 0;
        const y0 = block[b + p] ?? 0;
        const y1 = block[b + BLOCK + p] ?? 0;
        const y2 = block[b + 2 * BLOCK + p] ?? 0;
        const y3 = block[b + 3 * BLOCK + p] ?? 0;
        s00 += x0 * y0;
        s01 += x0 * y1;
        s02 += x0 * y2;
        s03 += x0 * y3;
        s10 += x1 * y0;
        s11 += x1 * y1;
        s12 += x1 * y2;
        s13 += x1 * y3;
      }
      const r0 = i * size + j;
      const r1 = r0 + size;
      products[r0] = (products[r0] ?? 0) + s00;
      products[r0 + 1] = (products[r0 + 1] ?? 0) + s01;
      products[r0 + 2] = (products[r0 + 2] ?? 0) + s02;
      products[r0 + 3] = (products[r0 + 3] ?? 0) + s03;
      products[r1] = (products[r1] ?? 0) + s10;
      products[r1 + 1] = (products[r1 + 1] ?? 0) + s11;
      products[r1 + 2] = (products[r1 + 2] ?? 0) + s12;
      products[r1 + 3] = (products[r1 + 3] ?? 0) + s13;
    }
    for (; j <= i + 1; j++) {
      addProduct(block, start, size, products, i, j);
      addProduct(block, start, size, products, i + 1, j);
    }
  }
  if (evenRows < size) for (let j = 0; j < size; j++) addProduct(block, start, size, products, evenRows, j);
};

const addProduct = (
  block: Float64Array,
  start: number,
  size: number,
  products: Float64Array,
  i: number,
  j: number,
): void => {
  const a = start + i * BLOCK;
  const b = start + j * BLOCK;
  let sum = 0;
  for (let p = 0; p < BLOCK; p++) sum += (block[a + p] ?? 0) * (block[b + p] ?? 0);
  products[i * size + j] = (products[i * size + j] ?? 0) + sum;
};
