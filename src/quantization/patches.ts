// Input patches of a layer: which values of its input make one place of its output, and samples of them as a matrix.
import { BitlaneError } from '../errors.js';
import { isStatic, type Node } from '../onnx/index.js';
import type { Component } from './components.js';

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

type Four = [number, number, number, number];

const padsOf = (
  node: Node,
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): Four | undefined => {
  const mode = node.text('auto_pad', 'NOTSET');
  if (mode === 'NOTSET') {
    const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? [];
    return [top, left, bottom, right];
  }
  if (mode === 'VALID') return [0, 0, 0, 0];
  const shape = node.input(0)?.shape;
  if (shape === undefined || !isStatic(shape)) return undefined;
  const [y, x] = [2, 3].map((axis, i) => {
    const [size, step] = [shape[axis] ?? 0, stride[i] ?? 1];
    const all = (Math.ceil(size / step) - 1) * step + ((kernel[i] ?? 1) - 1) * (dilation[i] ?? 1) + 1 - size;
    const [less, more] = [Math.floor(Math.max(0, all) / 2), Math.ceil(Math.max(0, all) / 2)];
    return mode === 'SAME_UPPER' ? [less, more] : [more, less];
  });
  return [y?.[0] ?? 0, x?.[0] ?? 0, y?.[1] ?? 0, x?.[1] ?? 0];
};

/** A layer's view of its input; `undefined` where it is no two-dimensional convolution or matrix product. */
export const patchOf = (node: Node, component: Component): PatchShape | undefined => {
  const { weightDims: dims, groups, kernel } = component;
  if (component.kind !== 'Conv') return { channels: dims[1 - component.axis] ?? 0, kernel: [1, 1] };
  const [height, width] = kernel;
  if (kernel.length !== 2 || height === undefined || width === undefined) return undefined;
  const pair = (name: string): [number, number] => {
    const [a = 1, b = 1] = node.ints(name) ?? [];
    return [a, b];
  };
  const [stride, dilation] = [pair('strides'), pair('dilations')];
  const pads = padsOf(node, kernel, stride, dilation);
  if (pads === undefined) return undefined;
  return { channels: (dims[1] ?? 0) * groups, kernel: [height, width], stride, dilation, pads, groups };
};

const GOLDEN = 0.6180339887498949;

/**
 * Samples of patches, one column each: [channels x kernel rows x kernel columns, samples]. What is sampled depends on the shapes
 * and the order of calls alone, so that two matrices filled alike hold the same places.
 */
export class PatchMatrix {
  readonly shape: Required<PatchShape>;
  /** Rows. */
  readonly size: number;
  readonly samples: number;
  readonly values: Float32Array;
  readonly #positions: number;
  #filled = 0;
  #calls = 0;

  /**
   * @param samples columns in all
   * @param positions of one call, evenly spread over its places; others at the next call
   * @param memory to hold the values; new where it is left out or too small
   */
  constructor(shape: PatchShape, samples: number, positions: number, memory?: Float32Array) {
    this.shape = {
      channels: shape.channels,
      kernel: shape.kernel,
      stride: shape.stride ?? [1, 1],
      pads: shape.pads ?? [0, 0, 0, 0],
      dilation: shape.dilation ?? [1, 1],
      groups: shape.groups ?? 1,
    };
    this.size = shape.channels * shape.kernel[0] * shape.kernel[1];
    this.samples = samples;
    const length = this.size * samples;
    this.values =
      memory !== undefined && memory.length >= length
        ? memory.subarray(0, length).fill(0)
        : new Float32Array(length);
    this.#positions = positions;
  }

  /** Columns filled so far. */
  get filled(): number {
    return this.#filled;
  }

  /**
   * @param values [pictures, channels, height, width], row-major
   * @throws BitlaneError `INTERNAL` for a shape that does not fit
   */
  observe(values: Float32Array, height: number, width: number): void {
    const { channels, kernel, stride, pads, dilation } = this.shape;
    const picture = channels * height * width;
    const rows = Math.floor((height + pads[0] + pads[2] - dilation[0] * (kernel[0] - 1) - 1) / stride[0]) + 1;
    const columns =
      Math.floor((width + pads[1] + pads[3] - dilation[1] * (kernel[1] - 1) - 1) / stride[1]) + 1;
    if (!(rows > 0 && columns > 0 && picture > 0 && values.length % picture === 0)) {
      throw new BitlaneError(
        'INTERNAL',
        `${values.length} activations are no pictures of ${channels} x ${height} x ${width} under this kernel`,
      );
    }
    const area = rows * columns;
    const total = area * (values.length / picture);
    const taken = Math.min(total, this.#positions, this.samples - this.#filled);
    const offset = taken === total ? 0 : (this.#calls++ * GOLDEN) % 1;
    const isPoint = kernel[0] === 1 && kernel[1] === 1 && pads.every((pad) => pad === 0);
    const starts = new Int32Array(taken);
    const ys = new Int32Array(taken);
    const xs = new Int32Array(taken);
    for (let n = 0; n < taken; n++) {
      const place = Math.floor(((n + offset) * total) / taken);
      const within = place % area;
      const y = Math.floor(within / columns) * stride[0] - pads[0];
      const x = (within % columns) * stride[1] - pads[1];
      ys[n] = y;
      xs[n] = x;
      starts[n] = ((place - within) / area) * picture + y * width + x;
    }
    const to = this.values;
    let row = this.#filled;
    for (let channel = 0; channel < channels; channel++) {
      const plane = channel * height * width;
      for (let ky = 0; ky < kernel[0]; ky++) {
        for (let kx = 0; kx < kernel[1]; kx++, row += this.samples) {
          const [dy, dx] = [ky * dilation[0], kx * dilation[1]];
          const from = plane + dy * width + dx;
          for (let n = 0; n < taken; n++) {
            if (!isPoint) {
              const y = (ys[n] ?? 0) + dy;
              const x = (xs[n] ?? 0) + dx;
              if (y < 0 || y >= height || x < 0 || x >= width) continue;
            }
            to[row + n] = values[from + (starts[n] ?? 0)] ?? 0;
          }
        }
      }
    }
    this.#filled += taken;
  }

  /** Takes the mean off each row and returns the means. */
  centre(): Float64Array {
    const { samples, size, values } = this;
    const means = new Float64Array(size);
    for (let row = 0; row < size; row++) {
      const [start, end] = [row * samples, row * samples + this.#filled];
      let sum = 0;
      for (let i = start; i < end; i++) sum += values[i] ?? 0;
      const mean = sum / Math.max(1, this.#filled);
      means[row] = mean;
      for (let i = start; i < end; i++) values[i] = (values[i] ?? 0) - mean;
    }
    return means;
  }
}
