// How a window slides over an input: what convolutions and poolings have in common.
import type { Node } from '../../onnx/index.js';

type Dims = readonly number[];

/** One number each a spatial axis. */
export interface Geometry {
  readonly kernel: Dims;
  readonly strides: Dims;
  readonly dilations: Dims;
  /** Padding in front and behind; where a pooling rounds up, the last window may reach further. */
  readonly begin: Dims;
  readonly end: Dims;
}

/**
 * A window's geometry, automatic padding resolved.
 *
 * @param size what the window slides over, spatial axes only
 * @param result how often it stops
 */
export const geometryOf = (node: Node, kernel: Dims, size: Dims, result: Dims): Geometry => {
  const of = (name: string): number[] => kernel.map((_, i) => node.ints(name)?.[i] ?? 1);
  const [strides, dilations] = [of('strides'), of('dilations')];
  const auto = node.text('auto_pad', 'NOTSET');
  const pads = node.ints('pads') ?? [];
  const both = kernel.map((k, i): [number, number] => {
    if (auto === 'VALID') return [0, 0];
    if (auto === 'NOTSET') return [pads[i] ?? 0, pads[kernel.length + i] ?? 0];
    const reach = ((result[i] ?? 1) - 1) * (strides[i] ?? 1) + (k - 1) * (dilations[i] ?? 1) + 1;
    const total = Math.max(0, reach - (size[i] ?? 1));
    const less = Math.floor(total / 2);
    return auto === 'SAME_UPPER' ? [less, total - less] : [total - less, less];
  });
  return { kernel, strides, dilations, begin: both.map(([b]) => b), end: both.map(([, e]) => e) };
};

/** How far a window reaches from its first to its last element, both counted. */
export const extent = ({ kernel, dilations }: Geometry, axis: number): number =>
  ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1;

/** Every place in the kernel, row-major. */
export const tapsOf = (kernel: Dims): readonly Dims[] =>
  kernel.reduce<Dims[]>(
    (taps, size) => taps.flatMap((tap) => Array.from({ length: size }, (_, i) => [...tap, i])),
    [[]],
  );
