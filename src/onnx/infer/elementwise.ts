// Shape rules of operators that work element by element, and of those that keep a shape.
import { type Dim, typeOfCode } from '../types.js';
import { broadcast, type Rule, type RuleContext } from './context.js';

const keep: Rule = (node) => [{ type: node.type(0), shape: node.shape(0) }];

const keepContent: Rule = (node) => [{ type: node.type(0), shape: node.shape(0), content: node.content(0) }];

/** Applies `rule` to small integer tensors: one of them may be a single number. */
const together = (node: RuleContext, rule: (a: number, b: number) => number): Dim[] | undefined => {
  const [a, b] = [node.content(0), node.content(1)];
  if (a === undefined || b === undefined) return undefined;
  const length = Math.max(a.length, b.length);
  if ((a.length !== 1 && a.length !== length) || (b.length !== 1 && b.length !== length)) return undefined;
  return Array.from({ length }, (_, i): Dim => {
    const [x, y] = [a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]];
    if (typeof x !== 'number' || typeof y !== 'number') return '';
    const value = rule(x, y);
    return Number.isSafeInteger(value) ? value : '';
  });
};

const arithmetic =
  (rule: (a: number, b: number) => number): Rule =>
  (node) => [
    { type: node.type(0), shape: broadcast([node.shape(0), node.shape(1)]), content: together(node, rule) },
  ];

const all: Rule = (node) => [
  { type: node.type(0), shape: broadcast(node.node.inputs.map((_, i) => node.shape(i))) },
];

const compare =
  (rule?: (a: number, b: number) => boolean): Rule =>
  (node) => [
    {
      type: 'bool',
      shape: broadcast([node.shape(0), node.shape(1)]),
      content: rule === undefined ? undefined : together(node, (a, b) => Number(rule(a, b))),
    },
  ];

const toBool: Rule = (node) => [{ type: 'bool', shape: node.shape(0) }];

const where: Rule = (node) => {
  const shape = broadcast([node.shape(0), node.shape(1), node.shape(2)]);
  const [condition, a, b] = [node.content(0), node.content(1), node.content(2)];
  const content =
    condition === undefined || a === undefined || b === undefined || shape?.length !== 1
      ? undefined
      : Array.from({ length: Number(shape[0]) || 0 }, (_, i): Dim => {
          const [c, x, y] = [condition, a, b].map((list) => list[list.length === 1 ? 0 : i]);
          return typeof c === 'number' ? ((c === 0 ? y : x) ?? '') : '';
        });
  return [{ type: node.type(1), shape, content }];
};

const cast: Rule = (node) => {
  const type = typeOfCode(node.node.int('to', 0));
  const isInteger = type === 'int64' || type === 'int32' || type === 'bool';
  return [{ type, shape: node.shape(0), content: isInteger ? node.content(0) : undefined }];
};

const dropout: Rule = (node) => [
  { type: node.type(0), shape: node.shape(0) },
  { type: 'bool', shape: node.shape(0) },
];

/** The output's type is that of the zero point, the attribute's, or uint8. */
const quantizeLinear: Rule = (node) => {
  const named = typeOfCode(node.node.int('output_dtype', 0));
  return [{ type: node.type(2) ?? named ?? 'uint8', shape: node.shape(0) }];
};

const dequantizeLinear: Rule = (node) => [
  { type: typeOfCode(node.node.int('output_dtype', 0)) ?? node.type(1), shape: node.shape(0) },
];

const dynamicQuantizeLinear: Rule = (node) => [
  { type: 'uint8', shape: node.shape(0) },
  { type: 'float32', shape: [] },
  { type: 'uint8', shape: [] },
];

/** Of com.microsoft: input, scale and zero point for each of two, then those of the output. */
const qLinearBinary: Rule = (node) => [
  { type: node.type(0), shape: broadcast([node.shape(0), node.shape(3)]) },
];

const table = (rule: Rule, names: string): Record<string, Rule> =>
  Object.fromEntries(names.split(' ').map((name) => [name, rule]));

const truncated = (a: number, b: number): number => (b === 0 ? NaN : Math.trunc(a / b));

export const ELEMENTWISE: Readonly<Record<string, Rule>> = {
  ...table(
    keep,
    'Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh CumSum CumProd Elu Erf Exp Floor Gelu ' +
      'GroupNormalization Hardmax HardSigmoid HardSwish InstanceNormalization LayerNormalization LeakyRelu Log LogSoftmax ' +
      'LpNormalization LRN MeanVarianceNormalization Mish Neg PRelu Reciprocal Relu RMSNormalization Round ScatterElements ' +
      'ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu ' +
      'BitwiseNot EyeLike RandomNormalLike RandomUniformLike Bernoulli QuickGelu QLinearLeakyRelu QLinearSigmoid QLinearSoftmax',
  ),
  ...table(all, 'Max Mean Min Sum'),
  ...table(
    arithmetic((a, b) => a ** b),
    'Pow',
  ),
  ...table(compare(), 'And Or Xor'),
  ...table(toBool, 'IsInf IsNaN Not'),
  ...table(qLinearBinary, 'QLinearAdd QLinearMul'),
  ...table(
    (node) => [{ type: node.type(0), shape: broadcast([node.shape(0), node.shape(1)]) }],
    'BitShift BitwiseAnd BitwiseOr BitwiseXor',
  ),
  Add: arithmetic((a, b) => a + b),
  Sub: arithmetic((a, b) => a - b),
  Mul: arithmetic((a, b) => a * b),
  Div: arithmetic(truncated),
  Mod: arithmetic((a, b) => (b === 0 ? NaN : a - b * Math.floor(a / b))),
  Equal: compare((a, b) => a === b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  Where: where,
  Cast: cast,
  CastLike: (node) => [{ type: node.type(1), shape: node.shape(0) }],
  Identity: keepContent,
  Dropout: dropout,
  BatchNormalization: keep,
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
};
