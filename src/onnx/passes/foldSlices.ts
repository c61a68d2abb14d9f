// Folds the slices in front of a first layer ("Focus": every second row and column) into a larger kernel that takes larger steps.
import { ints } from '../graph/attribute.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { type DenseTensorOf, integersOf, tensorOf } from '../tensor.js';
import { isStatic, type Shape } from '../types.js';
import type { Pass } from './pass.js';

/** Rows and columns of a picture: the first one that is taken, and how many further the next is. */
interface Grid {
  readonly source: Value;
  readonly start: readonly [number, number];
  readonly step: readonly [number, number];
}

const integersIn = (value: Value | undefined): readonly number[] | undefined =>
  value?.constant === undefined ? undefined : integersOf(value.constant);

const plane = (shape: Shape | undefined): readonly [number, number] | undefined => {
  if (shape?.length !== 4 || !isStatic(shape)) return undefined;
  return [shape[2] ?? 0, shape[3] ?? 0];
};

/** `value` as a grid over what its slices began with; `undefined` where they are more than that. */
const gridOf = (value: Value): Grid | undefined => {
  const node = value.producer;
  if (node?.is('Slice') !== true) return { source: value, start: [0, 0], step: [1, 1] };
  const input = node.input(0);
  const before = input === undefined ? undefined : gridOf(input);
  const [starts, ends, axes] = [1, 2, 3].map((index) => integersIn(node.input(index)));
  const steps = node.input(4) === undefined ? starts?.map(() => 1) : integersIn(node.input(4));
  const size = plane(input?.shape);
  if (before === undefined || size === undefined || !starts || !ends || !axes || !steps) return undefined;
  const [start, step] = [[...before.start], [...before.step]];
  for (const [i, raw] of axes.entries()) {
    const axis = raw < 0 ? raw + 4 : raw;
    const [from, by, whole] = [starts[i] ?? -1, steps[i] ?? 0, size[axis - 2] ?? 0];
    // All of the picture, in equal shares for every place to start at: else the last rows would not meet.
    if (axis < 2 || from < 0 || from >= by || by < 1 || (ends[i] ?? 0) < whole || whole % by !== 0)
      return undefined;
    start[axis - 2] = (start[axis - 2] ?? 0) + from * (step[axis - 2] ?? 1);
    step[axis - 2] = (step[axis - 2] ?? 1) * by;
  }
  return { source: before.source, start: [start[0] ?? 0, start[1] ?? 0], step: [step[0] ?? 1, step[1] ?? 1] };
};

/** The grids that a Concat along the channels joins: all over one picture, equally far spread. */
const gridsOf = (join: Node): readonly Grid[] | undefined => {
  if (!join.is('Concat') || join.int('axis', 0) !== 1 || join.inputs.length < 2) return undefined;
  const grids = join.inputs.map((value) => (value === undefined ? undefined : gridOf(value)));
  const [first] = grids;
  const same = grids.flatMap((grid) =>
    grid !== undefined &&
    grid.source === first?.source &&
    grid.step[0] === first.step[0] &&
    grid.step[1] === first.step[1]
      ? [grid]
      : [],
  );
  if (same.length !== grids.length || first === undefined) return undefined;
  return first.step[0] * first.step[1] > 1 ? same : undefined;
};

const spread = (
  weight: DenseTensorOf<'float32'>,
  grids: readonly Grid[],
  channels: number,
  [rows, columns]: readonly [number, number],
): Float32Array => {
  const [outputs = 0, inputs = 0, height = 0, width = 0] = weight.dims;
  const data = new Float32Array(outputs * channels * height * rows * width * columns);
  let from = 0;
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      const [dy = 0, dx = 0] = grids[Math.floor(i / channels)]?.start ?? [];
      const plane = (o * channels + (i % channels)) * height * rows;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++, from++) {
          const at = (plane + y * rows + dy) * width * columns + x * columns + dx;
          data[at] = (data[at] ?? 0) + (weight.data[from] ?? 0);
        }
      }
    }
  }
  return data;
};

const fold = (graph: Graph, conv: Node): boolean => {
  const [input, weightValue] = [conv.input(0), conv.input(1)];
  const join = input?.producer;
  const weight = weightValue?.constant;
  if (input === undefined || weightValue === undefined || join === undefined || input.isOutput) return false;
  if (weight?.kind !== 'dense' || weight.type !== 'float32' || weight.dims.length !== 4) return false;
  const grids = input.users.length === 1 ? gridsOf(join) : undefined;
  const [first] = grids ?? [];
  const channels = first?.source.shape?.[1];
  if (grids === undefined || first === undefined || typeof channels !== 'number') return false;
  const [outputs = 0, inputs = 0, height = 0, width = 0] = weight.dims;
  const isPlain =
    conv.int('group', 1) === 1 &&
    conv.text('auto_pad', 'NOTSET') === 'NOTSET' &&
    (conv.ints('dilations') ?? []).every((dilation) => dilation === 1) &&
    inputs === channels * grids.length;
  if (!isPlain) return false;
  const { step } = first;
  const kernel = [height * step[0], width * step[1]] as const;
  const scaled = (name: string, fallback: readonly number[]) =>
    ints((conv.ints(name) ?? fallback).map((value, i) => value * (step[i % 2] ?? 1)));
  conv.setAttribute('strides', scaled('strides', [1, 1]));
  conv.setAttribute('pads', scaled('pads', [0, 0, 0, 0]));
  conv.setAttribute('kernel_shape', ints(kernel));
  const data = spread(weight, grids, channels, step);
  conv.setInput(0, first.source);
  conv.setInput(
    1,
    graph.addInitializer(
      `${weightValue.name}.spread`,
      tensorOf('float32', [outputs, channels, ...kernel], data),
    ),
  );
  return true;
};

/**
 * A convolution over slices of a picture as one over the picture: the same sums. Shapes must be known (`inferShapes`); the slices
 * go with the dead nodes. In FP32 that saves the slicing; integer kernels are slower so.
 */
export const foldSlices: Pass = {
  name: 'fold slices',
  call: ({ graph }) => {
    let changed = false;
    for (const node of graph.nodes()) if (node.is('Conv') && fold(graph, node)) changed = true;
    return changed;
  },
};
