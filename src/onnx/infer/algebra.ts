// Shape rules of matrix products, reductions and the pickers of a detector's tail.
import type { DataType, Dim, Shape } from '../types.js';
import { axesOf, axisOf, broadcast, dimOf, type Known, type Rule, type RuleContext } from './context.js';

/** Shape of `a @ b`, vectors and stacks included. */
const product = (a: Shape | undefined, b: Shape | undefined): Shape | undefined => {
  if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return undefined;
  const stack = broadcast([a.slice(0, -2), b.slice(0, -2)]);
  if (stack === undefined) return undefined;
  return [...stack, ...(a.length === 1 ? [] : [a.at(-2) ?? '']), ...(b.length === 1 ? [] : [b.at(-1) ?? ''])];
};

const gemm: Rule = (node) => {
  const [a, b] = [node.shape(0), node.shape(1)];
  const rows = a?.[node.node.int('transA', 0) === 1 ? 1 : 0] ?? '';
  const columns = b?.[node.node.int('transB', 0) === 1 ? 0 : 1] ?? '';
  return [{ type: node.type(0), shape: [rows, columns] }];
};

const reduced = (node: RuleContext): Shape | undefined => {
  const shape = node.shape(0);
  const axes = node.list('axes', 1);
  if (shape === undefined) return undefined;
  const keeps = node.node.int('keepdims', 1) === 1;
  if (axes === undefined) return keeps ? shape.map(() => '') : undefined;
  const isAll = axes === 'absent' || axes.length === 0;
  if (isAll && node.node.int('noop_with_empty_axes', 0) === 1) return shape;
  const gone = isAll ? new Set(shape.keys()) : axesOf(axes, shape.length);
  if (gone === undefined) return undefined;
  return keeps ? shape.map((dim, i): Dim => (gone.has(i) ? 1 : dim)) : shape.filter((_, i) => !gone.has(i));
};

const argReduce: Rule = (node) => {
  const shape = node.shape(0);
  const axis = shape === undefined ? undefined : axisOf(node.node.int('axis', 0), shape.length);
  if (shape === undefined || axis === undefined) return [{ type: 'int64' }];
  const keeps = node.node.int('keepdims', 1) === 1;
  return [
    {
      type: 'int64',
      shape: keeps ? shape.map((dim, i): Dim => (i === axis ? 1 : dim)) : shape.filter((_, i) => i !== axis),
    },
  ];
};

const topK: Rule = (node) => {
  const shape = node.shape(0);
  const [count] = node.content(1) ?? [];
  const axis = shape === undefined ? undefined : axisOf(node.node.int('axis', -1), shape.length);
  const size: Dim = typeof count === 'number' ? dimOf(count) : (count ?? '');
  const result = axis === undefined ? undefined : shape?.map((dim, i) => (i === axis ? size : dim));
  return [
    { type: node.type(0), shape: result },
    { type: 'int64', shape: result },
  ];
};

const reduction: Rule = (node) => [{ type: node.type(0), shape: reduced(node) }];

const matMul = (type: (node: RuleContext) => DataType | undefined, a: number, b: number): Rule => {
  return (node): Known[] => [{ type: type(node), shape: product(node.shape(a), node.shape(b)) }];
};

const REDUCTIONS =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare';

export const ALGEBRA: Readonly<Record<string, Rule>> = {
  MatMul: matMul((node) => node.type(0), 0, 1),
  MatMulInteger: matMul(() => 'int32', 0, 1),
  QLinearMatMul: matMul((node) => node.type(7), 0, 3),
  Gemm: gemm,
  ...Object.fromEntries(REDUCTIONS.split(' ').map((name) => [name, reduction])),
  ArgMax: argReduce,
  ArgMin: argReduce,
  TopK: topK,
  NonMaxSuppression: () => [{ type: 'int64', shape: ['', 3] }],
  NonZero: (node) => [{ type: 'int64', shape: [node.shape(0)?.length ?? '', ''] }],
};
