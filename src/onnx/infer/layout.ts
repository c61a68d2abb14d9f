// Shape rules of operators that rearrange: reshape, transpose, join, cut, pick, pad, spread.
import { integersOf } from '../tensor.js';
import { type Dim, isStatic, type Shape, sizeOf } from '../types.js';
import {
  axesOf,
  CONTENT_LIMIT,
  axisOf,
  broadcast,
  compute,
  dimOf,
  type Known,
  type Rule,
  type RuleContext,
} from './context.js';
import { sliceRule, splitRule } from './cutting.js';

/** One known output of the same type as input 0. */
const only = (node: RuleContext, shape: Shape | undefined, content?: readonly Dim[]): Known[] => [
  { type: node.type(0), shape, content },
];

/** Product of dimensions; symbolic where it is just one symbol. */
const product = (dims: Shape): Dim => {
  const symbols = dims.filter((dim) => typeof dim === 'string');
  const numbers = dims.filter((dim) => typeof dim === 'number');
  const known = sizeOf(numbers);
  if (symbols.length === 0 || known === 0) return dimOf(known);
  return symbols.length === 1 && known === 1 ? (symbols[0] ?? '') : '';
};

const reshape: Rule = (node) => {
  const input = node.shape(0);
  const target = node.content(1);
  const content = node.content(0);
  if (target === undefined) {
    const rank = node.shape(1)?.[0];
    return only(node, typeof rank === 'number' && rank <= 64 ? Array<Dim>(rank).fill('') : undefined);
  }
  const copies = node.node.int('allowzero', 0) === 0;
  const shape = target.map((dim, i): Dim => (dim === 0 && copies ? (input?.[i] ?? '') : dim));
  const open = shape.indexOf(-1);
  if (open < 0) return only(node, shape.map(checked), content);
  const others = shape.filter((_, i) => i !== open);
  let missing: Dim = '';
  if (input !== undefined) {
    // What stands on both sides cancels, whatever it is.
    const left = [...input];
    const right = others.filter((dim) => {
      const at = dim === '' ? -1 : left.indexOf(dim);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    missing = right.length === 0 ? product(left) : compute([product(left), product(right)], (a, b) => a / b);
  }
  shape[open] = missing;
  return only(node, shape.map(checked), content);
};

const checked = (dim: Dim): Dim => (typeof dim === 'number' ? dimOf(dim) : dim);

const transpose: Rule = (node) => {
  const shape = node.shape(0);
  if (shape === undefined) return only(node, undefined);
  const order = node.node.ints('perm') ?? shape.map((_, i) => shape.length - 1 - i);
  return only(node, order.length === shape.length ? order.map((axis) => shape[axis] ?? '') : undefined);
};

const flatten: Rule = (node) => {
  const shape = node.shape(0);
  const axis = node.node.int('axis', 1);
  if (shape === undefined) return only(node, ['', '']);
  const at = axis < 0 ? axis + shape.length : axis;
  return only(node, [product(shape.slice(0, at)), product(shape.slice(at))]);
};

/** The elements of all inputs; a chain of joins could double them for ever. */
const joined = (node: RuleContext, count: number): Dim[] | undefined => {
  const all: Dim[] = [];
  for (let i = 0; i < count; i++) {
    const content = node.content(i);
    if (content === undefined || all.length + content.length > CONTENT_LIMIT) return undefined;
    all.push(...content);
  }
  return all;
};

const concat: Rule = (node) => {
  const count = node.node.inputs.length;
  const shapes = Array.from({ length: count }, (_, i) => node.shape(i));
  const first = shapes.find((shape) => shape !== undefined);
  if (first === undefined) return only(node, undefined);
  const axis = axisOf(node.node.int('axis', 0), first.length);
  if (axis === undefined || shapes.some((shape) => shape !== undefined && shape.length !== first.length)) {
    return only(node, undefined);
  }
  const shape = first.map((_, i): Dim => {
    const dims = shapes.map((each) => each?.[i] ?? '');
    if (i === axis) return compute(dims, (...values) => values.reduce((sum, value) => sum + value, 0));
    return dims.find((dim) => typeof dim === 'number') ?? dims.find((dim) => dim !== '') ?? '';
  });
  return only(node, shape, first.length === 1 ? joined(node, count) : undefined);
};

const squeeze: Rule = (node) => {
  const shape = node.shape(0);
  const axes = node.list('axes', 1);
  if (shape === undefined || axes === undefined) return only(node, undefined);
  if (axes === 'absent') {
    return only(node, isStatic(shape) ? shape.filter((dim) => dim !== 1) : undefined, node.content(0));
  }
  const gone = axesOf(axes, shape.length);
  return only(node, gone === undefined ? undefined : shape.filter((_, i) => !gone.has(i)), node.content(0));
};

const unsqueeze: Rule = (node) => {
  const shape = node.shape(0);
  const axes = node.list('axes', 1);
  if (shape === undefined || axes === undefined || axes === 'absent') return only(node, undefined);
  const rank = shape.length + axes.length;
  const added = axesOf(axes, rank);
  if (added?.size !== axes.length) return only(node, undefined);
  const rest = [...shape];
  const result = Array.from({ length: rank }, (_, i): Dim => (added.has(i) ? 1 : (rest.shift() ?? '')));
  return only(node, result, node.content(0));
};

const gather: Rule = (node) => {
  const [shape, indices] = [node.shape(0), node.shape(1)];
  if (shape === undefined || indices === undefined) return only(node, undefined);
  const axis = axisOf(node.node.int('axis', 0), shape.length);
  if (axis === undefined) return only(node, undefined);
  const [content, picks] = [node.content(0), node.numbers(1)];
  const picked =
    shape.length === 1 && content !== undefined && picks !== undefined
      ? picks.map((pick): Dim => content[pick < 0 ? pick + content.length : pick] ?? '')
      : undefined;
  return only(node, [...shape.slice(0, axis), ...indices, ...shape.slice(axis + 1)], picked);
};

const gatherND: Rule = (node) => {
  const [shape, indices] = [node.shape(0), node.shape(1)];
  const depth = indices?.at(-1);
  const batch = node.node.int('batch_dims', 0);
  if (shape === undefined || indices === undefined || typeof depth !== 'number') return only(node, undefined);
  return only(node, [...indices.slice(0, -1), ...shape.slice(batch + depth)]);
};

const pad: Rule = (node) => {
  const shape = node.shape(0);
  const pads = node.list('pads', 1);
  if (shape === undefined) return only(node, undefined);
  const axes = node.has(3) ? node.numbers(3) : shape.map((_, i) => i);
  if (pads === undefined || pads === 'absent' || axes === undefined)
    return only(
      node,
      shape.map(() => ''),
    );
  const result = [...shape];
  for (const [i, axis] of axes.entries()) {
    const at = axisOf(axis, shape.length);
    if (at === undefined) return only(node, undefined);
    const more = (pads[i] ?? 0) + (pads[axes.length + i] ?? 0);
    if (more !== 0) result[at] = compute([shape[at] ?? ''], (dim) => dim + more);
  }
  return only(node, result);
};

const expand: Rule = (node) => only(node, broadcast([node.shape(0), node.content(1)]));

const tile: Rule = (node) => {
  const [shape, repeats] = [node.shape(0), node.content(1)];
  return only(
    node,
    shape?.map((dim, i): Dim => {
      const times = repeats?.[i] ?? '';
      return times === 1 ? dim : compute([dim, times], (a, b) => a * b);
    }),
  );
};

const shapeOf: Rule = (node) => {
  const shape = node.shape(0);
  if (shape === undefined) return [{ type: 'int64', shape: [''] }];
  const bound = (value: number): number => Math.max(0, value < 0 ? value + shape.length : value);
  const content = shape.slice(bound(node.node.int('start', 0)), bound(node.node.int('end', shape.length)));
  return [{ type: 'int64', shape: [content.length], content }];
};

const constantOfShape: Rule = (node) => {
  const fill = node.node.tensor('value');
  const shape = node.content(0)?.map(checked);
  const length = shape?.length === 1 ? shape[0] : undefined;
  const [value] = fill === undefined ? [] : (integersOf(fill, 1) ?? []);
  const content =
    typeof length === 'number' && length <= 64 && value !== undefined
      ? Array<Dim>(length).fill(value)
      : undefined;
  return [{ type: fill?.type ?? 'float32', shape, content }];
};

const constant: Rule = (node) => {
  const at = node.node;
  const held = at.tensor('value');
  if (held !== undefined) {
    return [{ type: held.type, shape: held.dims, content: integersOf(held, 256) }];
  }
  for (const [name, attribute] of at.attributes) {
    if (attribute.type === 'int') return [{ type: 'int64', shape: [], content: [attribute.value] }];
    if (attribute.type === 'float') return [{ type: 'float32', shape: [] }];
    if (attribute.type === 'ints') {
      const { value } = attribute;
      return [{ type: 'int64', shape: [value.length], content: value.length <= 256 ? value : undefined }];
    }
    if (attribute.type === 'floats') return [{ type: 'float32', shape: [attribute.value.length] }];
    if (name === 'value_string') return [{ type: 'string', shape: [] }];
  }
  return [];
};

const range: Rule = (node) => {
  const [start, limit, delta] = [node.numbers(0)?.[0], node.numbers(1)?.[0], node.numbers(2)?.[0]];
  const isKnown = start !== undefined && limit !== undefined && delta !== undefined && delta !== 0;
  return only(node, [isKnown ? dimOf(Math.max(0, Math.ceil((limit - start) / delta))) : '']);
};

const spaceToDepth =
  (down: boolean): Rule =>
  (node) => {
    const [n, c, h, w] = node.shape(0) ?? [];
    const block = node.node.int('blocksize', 0);
    if (n === undefined || c === undefined || h === undefined || w === undefined || block < 1) {
      return only(node, undefined);
    }
    const area = block * block;
    return down
      ? only(node, [
          n,
          compute([c], (x) => x * area),
          compute([h], (x) => x / block),
          compute([w], (x) => x / block),
        ])
      : only(node, [
          n,
          compute([c], (x) => x / area),
          compute([h], (x) => x * block),
          compute([w], (x) => x * block),
        ]);
  };

export const LAYOUT: Readonly<Record<string, Rule>> = {
  Reshape: reshape,
  Transpose: transpose,
  Flatten: flatten,
  Concat: concat,
  QLinearConcat: (node) => [{ type: node.type(1) }],
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Gather: gather,
  GatherND: gatherND,
  GatherElements: (node) => only(node, node.shape(1)),
  Slice: sliceRule,
  Split: splitRule,
  Pad: pad,
  Expand: expand,
  Tile: tile,
  Shape: shapeOf,
  Size: (node) => {
    const shape = node.shape(0);
    return [{ type: 'int64', shape: [], content: shape !== undefined ? [product(shape)] : undefined }];
  },
  ConstantOfShape: constantOfShape,
  Constant: constant,
  Range: range,
  SpaceToDepth: spaceToDepth(true),
  DepthToSpace: spaceToDepth(false),
};
