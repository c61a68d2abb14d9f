// What can get a bit-width of its own: the layers of a model that have constant weights.
import { BitlaneError } from '../errors.js';
import {
  bytesOfTensor,
  type DenseTensorOf,
  integersOf,
  isStatic,
  type Model,
  type Node,
  sizeOf,
  type Value,
} from '../onnx/index.js';

/** The function between a layer and the next one. */
export type Activation =
  | 'none'
  | 'relu'
  | 'relu6'
  | 'silu'
  | 'leaky-relu'
  | 'hard-swish'
  | 'sigmoid'
  | 'hard-sigmoid'
  | 'gelu'
  | 'other';

/** One layer: a Conv, Gemm or MatMul whose weights are constant. Values are given by name. */
export interface Component {
  /** The node's name, or its output's where the node has none; unique in the model. */
  readonly name: string;
  readonly kind: 'Conv' | 'Gemm' | 'MatMul';
  readonly input: string;
  readonly weight: string;
  readonly bias: string | undefined;
  readonly output: string;
  readonly weightDims: readonly number[];
  /** Axis of `weightDims` that holds the output channels. */
  readonly axis: number;
  readonly outputChannels: number;
  readonly groups: number;
  /** Empty for Gemm and MatMul. */
  readonly kernel: readonly number[];
  /** Bytes of the FP32 weights, bias not counted. */
  readonly weightBytes: number;
  /** Multiply-accumulates of one run; `undefined` where shapes are not known. */
  readonly macs: number | undefined;
  readonly activation: Activation;
}

/** The float32 tensor that `value` always is; `undefined` where there is none. */
export const constantFloats = (value: Value | undefined): DenseTensorOf<'float32'> | undefined =>
  value?.constant?.kind === 'dense' && value.constant.type === 'float32' ? value.constant : undefined;

const scalarOf = (value: Value | undefined): number | undefined => {
  const tensor = value?.constant;
  if (tensor === undefined || sizeOf(tensor.dims) !== 1) return undefined;
  return constantFloats(value)?.data[0] ?? integersOf(tensor)?.[0];
};

/** Lower and upper bound that a Relu or Clip keeps its output in; `undefined` for anything else. */
export const boundsOf = (node: Node): { readonly low: number; readonly high: number } | undefined => {
  if (node.is('Relu')) return { low: 0, high: Infinity };
  if (!node.is('Clip')) return undefined;
  const low = node.input(1) === undefined ? node.float('min', -Infinity) : scalarOf(node.input(1));
  const high = node.input(2) === undefined ? node.float('max', Infinity) : scalarOf(node.input(2));
  return low === undefined || high === undefined ? undefined : { low, high };
};

/** The function of one node, where it is one of its input alone. */
const functionOf = (node: Node): Activation => {
  const bounds = boundsOf(node);
  if (bounds !== undefined) {
    if (bounds.low !== 0) return 'other';
    return bounds.high === 6 ? 'relu6' : bounds.high === Infinity ? 'relu' : 'other';
  }
  if (node.domain === 'com.microsoft' && node.opType === 'QuickGelu') return 'silu';
  const names: Readonly<Record<string, Activation>> = {
    LeakyRelu: 'leaky-relu',
    HardSwish: 'hard-swish',
    HardSigmoid: 'hard-sigmoid',
    Sigmoid: 'sigmoid',
    Swish: 'silu',
    Gelu: 'gelu',
    Mish: 'other',
    Elu: 'other',
    PRelu: 'other',
    Tanh: 'other',
    Softplus: 'other',
  };
  return node.is(...Object.keys(names)) ? (names[node.opType] ?? 'other') : 'none';
};

/** The function that `value` goes through, seen from the layer that makes it. */
const activationOf = (value: Value): Activation => {
  const users = value.users;
  const [only] = users;
  if (users.length === 1 && only !== undefined) return functionOf(only);
  const gate = users.find((node) => node.is('Sigmoid', 'HardSigmoid'));
  const product = users.find((node) => node.is('Mul'));
  if (users.length !== 2 || gate === undefined || product === undefined) return 'none';
  const other = product.inputs.find((input) => input !== value);
  if (other?.producer !== gate) return 'none';
  return gate.is('Sigmoid') ? 'silu' : 'hard-swish';
};

/** The nodes that compute a SiLU or LeakyRelu of `value`; none where it goes through no such function, or through others too. */
export const functionNodes = (value: Value): Node[] => {
  switch (activationOf(value)) {
    case 'silu':
    case 'leaky-relu':
      return value.users.filter((node) => node.is('Sigmoid', 'Mul', 'LeakyRelu'));
    case 'none':
    case 'relu':
    case 'relu6':
    case 'hard-swish':
    case 'sigmoid':
    case 'hard-sigmoid':
    case 'gelu':
    case 'other':
      return [];
  }
};

/** Where output channels lie in the weights of `node`, and how many groups they are in. */
const layoutOf = (
  node: Node,
  dims: readonly number[],
): { readonly axis: number; readonly groups: number } | undefined => {
  if (node.is('Conv')) return { axis: 0, groups: node.int('group', 1) };
  if (dims.length !== 2) return undefined;
  if (node.is('MatMul')) return { axis: 1, groups: 1 };
  const plain = node.float('alpha', 1) === 1 && node.float('beta', 1) === 1 && node.int('transA', 0) === 0;
  return plain ? { axis: node.int('transB', 0) === 1 ? 0 : 1, groups: 1 } : undefined;
};

const macsOf = (output: Value, weights: number, channels: number): number | undefined =>
  output.shape === undefined || !isStatic(output.shape)
    ? undefined
    : (sizeOf(output.shape) * weights) / channels;

const describe = (node: Node, name: string): Component | undefined => {
  if (!node.is('Conv', 'Gemm', 'MatMul')) return undefined;
  const [input, weight, bias] = [node.input(0), node.input(1), node.input(2)];
  const output = node.output();
  const tensor = constantFloats(weight);
  if (input === undefined || weight === undefined || output === undefined || tensor === undefined) {
    return undefined;
  }
  if (input.constant !== undefined) return undefined;
  const layout = layoutOf(node, tensor.dims);
  const outputChannels = tensor.dims[layout?.axis ?? 0] ?? 0;
  if (layout === undefined || outputChannels === 0 || tensor.data.length === 0) return undefined;
  // A bias that is no constant vector cannot become INT32: such a layer stays as it is.
  if (bias !== undefined && constantFloats(bias)?.data.length !== outputChannels) return undefined;
  return {
    name,
    kind: node.is('Conv') ? 'Conv' : node.is('Gemm') ? 'Gemm' : 'MatMul',
    input: input.name,
    weight: weight.name,
    bias: bias?.name,
    output: output.name,
    weightDims: tensor.dims,
    axis: layout.axis,
    outputChannels,
    groups: layout.groups,
    kernel: node.is('Conv') ? tensor.dims.slice(2) : [],
    weightBytes: bytesOfTensor(tensor).length,
    macs: macsOf(output, tensor.data.length, outputChannels),
    activation: activationOf(output),
  };
};

/** Every component with its node, in topological order. */
export const componentNodes = (model: Model): Map<Node, Component> => {
  model.graph.sort();
  const found = new Map<Node, Component>();
  const names = new Set<string>();
  for (const node of model.graph.nodes()) {
    const output = node.output()?.name ?? '';
    const name = node.name === '' || names.has(node.name) ? output : node.name;
    const component = describe(node, name);
    if (component === undefined) continue;
    if (names.has(name)) {
      throw new BitlaneError('BAD_MODEL', `the model has two layers named ${name}: names must be unique`);
    }
    names.add(name);
    found.set(node, component);
  }
  return found;
};

/**
 * The components of a model, in topological order. Multiply-accumulates are known after `inferShapes`.
 *
 * @throws BitlaneError `BAD_MODEL` when two layers cannot be told apart by name
 */
export const componentsOf = (model: Model): Component[] => [...componentNodes(model).values()];
