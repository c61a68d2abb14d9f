// Gradient rules of operators that work element by element.
import type { Value } from '../../onnx/index.js';
import type { Rule, Rules, Step } from '../step.js';

/** What stands for the slope of a function: `g` times it is the gradient. */
const slope =
  (rule: (s: Step) => Value): Rule =>
  (s) => [s.ops.mul(s.g, rule(s))];

/** 1 where the condition holds, 0 elsewhere, as the slope. */
const where =
  (rule: (s: Step) => Value): Rule =>
  (s) => [s.ops.only(s.g, rule(s))];

/** x * sigmoid(x), whose halves share most of their gradient: one product instead of two rules. */
const silu = (s: Step): readonly (Value | undefined)[] | undefined => {
  const isSigmoid = (of: number, at: number): boolean => {
    const { producer } = s.input(at);
    return producer?.is('Sigmoid') === true && producer.input(0) === s.input(of);
  };
  const x = isSigmoid(0, 1) ? 0 : isSigmoid(1, 0) ? 1 : undefined;
  if (x === undefined) return undefined;
  const { ops } = s;
  const sigmoid = s.x(1 - x);
  const gradient = ops.mul(ops.add(ops.mul(ops.sub(1, sigmoid), s.y()), sigmoid), s.g);
  return x === 0 ? [gradient] : [undefined, gradient];
};

/** Of those that are the greatest (or least) alike, each gets an equal share. */
const extreme: Rule = (s) => {
  const { ops } = s;
  const masks = s.node.inputs.map((_, i) => ops.mask(ops.compare('Equal', s.x(i), s.y())));
  if (masks.length === 1) return [s.g];
  const share = ops.div(
    s.g,
    masks.reduce((sum, mask) => ops.add(sum, mask)),
  );
  return masks.map((mask) => ops.mul(share, mask));
};

const clip: Rule = (s) => {
  const { ops } = s;
  const low = s.has(1) ? s.x(1) : undefined;
  const high = s.has(2) ? s.x(2) : undefined;
  const x = s.x();
  // Clipped once more: one cheap operator and one comparison instead of two comparisons, and the forward result need not be kept.
  const inside = ops.compare('Equal', x, ops.op('Clip', [x, low, high], s.dims(0)));
  return [
    low === undefined && high === undefined ? s.g : ops.only(s.g, inside),
    low === undefined ? undefined : ops.only(s.g, ops.compare('Less', x, low)),
    high === undefined ? undefined : ops.only(s.g, ops.compare('Greater', x, high)),
  ];
};

const isFloat = (value: Value): boolean => value.type?.startsWith('float') === true;

export const ELEMENTWISE: Rules = {
  Add: ({ g }) => [g, g],
  Sub: ({ g, ops }) => [g, ops.neg(g)],
  Mul: (s) => silu(s) ?? [s.ops.mul(s.g, s.x(1)), s.ops.mul(s.g, s.x(0))],
  Div: (s) => {
    const share = s.ops.div(s.g, s.x(1));
    return [share, s.ops.neg(s.ops.mul(share, s.y()))];
  },
  Pow: (s) => {
    const { ops } = s;
    const [x, power] = [s.x(0), s.x(1)];
    const toPower = ops.mul(ops.mul(s.g, power), ops.pow(x, ops.sub(power, 1)));
    // The logarithm of a base that is not positive would spoil every exponent's gradient.
    const logarithm = ops.map('Log', ops.where(ops.compare('Greater', x, 0), x, 1));
    return [toPower, ops.mul(ops.mul(s.g, s.y()), logarithm)];
  },
  Sum: (s) => s.node.inputs.map(() => s.g),
  Mean: (s) => {
    const share = s.ops.div(s.g, s.node.inputs.length);
    return s.node.inputs.map(() => share);
  },
  Max: extreme,
  Min: extreme,
  Where: (s) => [undefined, s.ops.where(s.x(0), s.g, 0), s.ops.where(s.x(0), 0, s.g)],

  Identity: ({ g }) => [g],
  Neg: ({ g, ops }) => [ops.neg(g)],
  Abs: slope((s) => s.ops.map('Sign', s.x())),
  Sqrt: (s) => [s.ops.div(s.ops.mul(s.g, 0.5), s.y())],
  Reciprocal: slope((s) => s.ops.neg(s.ops.mul(s.y(), s.y()))),
  Exp: slope((s) => s.y()),
  Log: (s) => [s.ops.div(s.g, s.x())],
  Sin: slope((s) => s.ops.map('Cos', s.x())),
  Cos: slope((s) => s.ops.neg(s.ops.map('Sin', s.x()))),
  Atan: (s) => [s.ops.div(s.g, s.ops.add(s.ops.mul(s.x(), s.x()), 1))],
  Erf: slope((s) => s.ops.mul(s.ops.map('Exp', s.ops.neg(s.ops.mul(s.x(), s.x()))), 2 / Math.sqrt(Math.PI))),

  // y is 0 or above: its sign is the step function.
  Relu: slope((s) => s.ops.map('Sign', s.y())),
  LeakyRelu: slope((s) => {
    const alpha = s.node.float('alpha', 0.01);
    return s.ops.where(s.ops.compare('Greater', s.x(), 0), 1, alpha);
  }),
  PRelu: (s) => {
    const { ops } = s;
    const isPositive = ops.compare('Greater', s.x(), 0);
    return [ops.mul(s.g, ops.where(isPositive, 1, s.x(1))), ops.where(isPositive, 0, ops.mul(s.g, s.x(0)))];
  },
  Elu: slope((s) => {
    const { ops } = s;
    return ops.where(ops.compare('Greater', s.x(), 0), 1, ops.add(s.y(), s.node.float('alpha', 1)));
  }),
  Clip: clip,
  Sigmoid: slope((s) => s.ops.mul(s.ops.sub(1, s.y()), s.y())),
  HardSigmoid: (s) => {
    const { ops } = s;
    const inside = ops.and(ops.compare('Greater', s.y(), 0), ops.compare('Less', s.y(), 1));
    return [ops.mul(ops.only(s.g, inside), s.node.float('alpha', 0.2))];
  },
  HardSwish: slope((s) => {
    const { ops } = s;
    const x = s.x();
    const middle = ops.add(ops.mul(x, 1 / 3), 0.5);
    const upper = ops.where(ops.compare('Greater', x, 3), 1, middle);
    return ops.where(ops.compare('Less', x, -3), 0, upper);
  }),
  Tanh: slope((s) => s.ops.sub(1, s.ops.mul(s.y(), s.y()))),
  Softplus: slope((s) => s.ops.map('Sigmoid', s.x())),
  ThresholdedRelu: where((s) => s.ops.compare('Greater', s.x(), s.node.float('alpha', 1))),

  // Between two floats, or between two kinds of integer (codes on their way to DequantizeLinear).
  Cast: (s) => {
    const { type = 'float32' } = s.node.output() ?? {};
    const isRounded = isFloat(s.input()) && !type.startsWith('float');
    return [
      isRounded ? undefined : s.ops.cast(s.g, isFloat(s.input()) ? (s.input().type ?? type) : 'float32'),
    ];
  },
};
