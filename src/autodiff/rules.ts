// Every gradient rule, by operator; and the operators through which no gradient goes.
import type { Node } from '../onnx/index.js';
import { ALGEBRA } from './rules/algebra.js';
import { CONVOLUTION } from './rules/convolution.js';
import { ELEMENTWISE } from './rules/elementwise.js';
import { LAYOUT } from './rules/layout.js';
import { QUANTIZATION } from './rules/quantization.js';
import { WINDOWS } from './rules/windows.js';
import type { Rule } from './step.js';

const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries({
    ...ELEMENTWISE,
    ...ALGEBRA,
    ...LAYOUT,
    ...CONVOLUTION,
    ...WINDOWS,
    ...QUANTIZATION,
  }),
);

/** Constant wherever they are not broken: comparisons, roundings, what only looks at shapes or places. */
const FLAT: ReadonlySet<string> = new Set(
  (
    'And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil ConstantOfShape Equal EyeLike Floor Greater ' +
    'GreaterOrEqual Hardmax IsInf IsNaN Less LessOrEqual NonMaxSuppression NonZero Not OneHot Or RandomNormalLike ' +
    'RandomUniformLike Range Round Shape Sign Size Xor'
  ).split(' '),
);

const isOnnx = (node: Node): boolean => node.domain === '' || node.domain === 'ai.onnx';

/** The rule of a node's operator. */
export const ruleOf = (node: Node): Rule | undefined => (isOnnx(node) ? RULES.get(node.opType) : undefined);

/** True where no gradient goes through a node, whatever it is. */
export const isFlat = (node: Node): boolean => isOnnx(node) && FLAT.has(node.opType);

/** Operators that have a gradient rule, in the order of the alphabet. */
export const differentiable = (): readonly string[] => [...RULES.keys()].sort();
