// Shape rules of operators that slide a window: convolutions and poolings; and of resizing.
import type { DataType, Dim, Shape } from '../types.js';
import { compute, dimOf, type Known, type Rule, type RuleContext } from './context.js';

/** Output sizes of a window over `spatial`. */
const windowed = (
  node: RuleContext,
  spatial: Shape,
  kernel: readonly Dim[],
  ceil: boolean,
): Dim[] | undefined => {
  const n = spatial.length;
  const { node: at } = node;
  const strides = at.ints('strides') ?? [];
  const dilations = at.ints('dilations') ?? [];
  const pads = at.ints('pads') ?? [];
  const auto = at.text('auto_pad', 'NOTSET');
  if (kernel.length !== n) return undefined;
  return spatial.map((size, i): Dim => {
    const [stride, dilation] = [strides[i] ?? 1, dilations[i] ?? 1];
    const [begin, end] = [pads[i] ?? 0, pads[n + i] ?? 0];
    if (stride < 1) return '';
    if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') return compute([size], (x) => Math.ceil(x / stride));
    return compute([size, kernel[i] ?? ''], (x, k) => {
      const padded = auto === 'VALID' ? x : x + begin + end;
      const steps = (padded - ((k - 1) * dilation + 1)) / stride;
      if (!ceil) return Math.floor(steps) + 1;
      const out = Math.ceil(steps) + 1;
      // A window that would begin in the padding at the end is left out.
      return (out - 1) * stride >= x + (auto === 'VALID' ? 0 : begin) ? out - 1 : out;
    });
  });
};

const conv = (node: RuleContext, x: number, w: number, type: DataType | undefined): Known[] => {
  const [shape, weight] = [node.shape(x), node.shape(w)];
  if (shape === undefined || weight === undefined || shape.length < 3) return [{ type }];
  const kernel = node.node.ints('kernel_shape') ?? weight.slice(2);
  const spatial = windowed(node, shape.slice(2), kernel, false);
  return [{ type, shape: spatial === undefined ? undefined : [shape[0] ?? '', weight[0] ?? '', ...spatial] }];
};

const convTranspose: Rule = (node) => {
  const type = node.type(0);
  const [shape, weight] = [node.shape(0), node.shape(1)];
  if (shape === undefined || weight === undefined || shape.length < 3) return [{ type }];
  const { node: at } = node;
  const n = shape.length - 2;
  const kernel: readonly Dim[] = at.ints('kernel_shape') ?? weight.slice(2);
  const strides = at.ints('strides') ?? [];
  const dilations = at.ints('dilations') ?? [];
  const pads = at.ints('pads') ?? [];
  const extra = at.ints('output_padding') ?? [];
  const given = at.ints('output_shape');
  const auto = at.text('auto_pad', 'NOTSET');
  const spatial = shape.slice(2).map((size, i): Dim => {
    if (given !== undefined) return dimOf(given[given.length - n + i] ?? -1);
    const stride = strides[i] ?? 1;
    if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') return compute([size], (x) => x * stride);
    const padding = (pads[i] ?? 0) + (pads[n + i] ?? 0);
    return compute(
      [size, kernel[i] ?? ''],
      (x, k) => stride * (x - 1) + (extra[i] ?? 0) + (k - 1) * (dilations[i] ?? 1) + 1 - padding,
    );
  });
  const channels = compute([weight[1] ?? ''], (perGroup) => perGroup * at.int('group', 1));
  return [{ type, shape: [shape[0] ?? '', channels, ...spatial] }];
};

const pool: Rule = (node) => {
  const shape = node.shape(0);
  const kernel = node.node.ints('kernel_shape');
  const type = node.type(0);
  if (shape === undefined || shape.length < 3 || kernel === undefined) return [{ type }, { type: 'int64' }];
  const spatial = windowed(node, shape.slice(2), kernel, node.node.int('ceil_mode', 0) === 1);
  const result = spatial === undefined ? undefined : [shape[0] ?? '', shape[1] ?? '', ...spatial];
  return [
    { type, shape: result },
    { type: 'int64', shape: result },
  ];
};

const globalPool: Rule = (node) => {
  const shape = node.shape(0);
  return [{ type: node.type(0), shape: shape?.map((dim, i) => (i < 2 ? dim : 1)) }];
};

const resize: Rule = (node) => {
  const type = node.type(0);
  const shape = node.shape(0);
  if (shape === undefined) return [{ type }];
  const axes = node.node.ints('axes') ?? shape.map((_, i) => i);
  const unknown = [{ type, shape: shape.map((dim, i): Dim => (axes.includes(i) ? '' : dim)) }];
  // Another policy than stretching makes the sizes depend on each other.
  if (node.node.text('keep_aspect_ratio_policy', 'stretch') !== 'stretch') return unknown;
  const [scales, sizes] = [node.floats(2), node.content(3)];
  const result: Dim[] = [...shape];
  for (const [i, axis] of axes.entries()) {
    const dim = shape[axis];
    if (dim === undefined) return [{ type }];
    if (sizes !== undefined && sizes.length > 0) result[axis] = sizes[i] ?? '';
    else if (scales !== undefined && scales.length > 0) {
      const scale = scales[i] ?? NaN;
      result[axis] = scale === 1 ? dim : compute([dim], (x) => Math.floor(x * scale));
    } else return unknown;
  }
  return [{ type, shape: result }];
};

export const WINDOWS: Readonly<Record<string, Rule>> = {
  Conv: (node) => conv(node, 0, 1, node.type(0)),
  FusedConv: (node) => conv(node, 0, 1, node.type(0)),
  ConvInteger: (node) => conv(node, 0, 1, 'int32'),
  QLinearConv: (node) => conv(node, 0, 3, node.type(7)),
  ConvTranspose: convTranspose,
  MaxPool: pool,
  AveragePool: (node) => pool(node).slice(0, 1),
  LpPool: (node) => pool(node).slice(0, 1),
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  QLinearGlobalAveragePool: globalPool,
  Resize: resize,
};
