// Where a layer's own function ends: the value that the rest of the network sees of it.
import type { Model, Node, Value } from '../../onnx/index.js';
import { between } from '../../onnx/index.js';

/** Functions of one value, element by element, without parameters by channel. A lone Sigmoid is left out: it makes scores of logits. */
const FUNCTIONS = [
  'Relu',
  'LeakyRelu',
  'Clip',
  'HardSwish',
  'Elu',
  'Gelu',
  'Mish',
  'Softplus',
  'Swish',
  'Tanh',
] as const;

const gateOf = (value: Value): Node | undefined => {
  const { users } = value;
  const gate = users.find((node) => node.is('Sigmoid', 'HardSigmoid'));
  const product = users.find((node) => node.is('Mul'));
  if (users.length !== 2 || gate === undefined || product === undefined) return undefined;
  const isGated = product.inputs.every((input) => input === value || input?.producer === gate);
  return isGated && gate.output()?.users.length === 1 ? product : undefined;
};

/**
 * What comes out of the function that follows `value` (the value itself where none follows), and the nodes that compute it. Changes
 * of a layer are followed exactly up to there.
 */
export const functionBehind = (
  model: Model,
  value: Value,
): { readonly value: Value; readonly nodes: readonly Node[] } => {
  if (value.isOutput) return { value, nodes: [] };
  const [only] = value.users;
  const end =
    value.users.length === 1 && only?.is(...FUNCTIONS) === true && only.input(0) === value
      ? only
      : gateOf(value);
  const made = end?.output();
  return made === undefined
    ? { value, nodes: [] }
    : { value: made, nodes: between(model.graph, [value], [made]) };
};
