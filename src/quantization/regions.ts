// Which nodes run in int8 under an allocation, and which values carry 8-bit codes for that.
import { BitlaneError } from '../errors.js';
import type { Model, Node, Value } from '../onnx/index.js';
import { type Allocation, allocationOf } from './allocation.js';
import { boundsOf, type Component, componentNodes, functionNodes } from './components.js';

/** Operators with an integer kernel between a DequantizeLinear and a QuantizeLinear. */
const KERNELS = ['Add', 'Mul', 'Concat', 'LeakyRelu', 'Sigmoid', 'AveragePool', 'GlobalAveragePool'];

/** Operators that move codes about and change none: they run on the codes themselves. */
const MOVERS = [
  'MaxPool',
  'Resize',
  'Reshape',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Slice',
  'Split',
  'DepthToSpace',
];

export interface Regions {
  /** Components with their nodes, in topological order. */
  readonly components: ReadonlyMap<Node, Component>;
  /** Every node that runs in integers; those of components among them. */
  readonly int8: ReadonlySet<Node>;
  /** A Relu or Clip that disappears in the codes of the node before it, by that node. */
  readonly absorbed: ReadonlyMap<Node, Node>;
  /** Values that carry codes, in topological order. */
  readonly coded: readonly Value[];
}

/** True for a node that moves codes about and changes none. */
export const isMover = (node: Node): boolean => {
  if (!node.is(...MOVERS)) return false;
  if (node.is('MaxPool')) return node.outputs.length === 1;
  // What is interpolated has no code of its own, and the engine's kernel for codes rounds it down.
  if (node.is('Resize')) {
    return (
      node.text('mode', 'nearest') === 'nearest' &&
      node.text('coordinate_transformation_mode', '') !== 'tf_crop_and_resize'
    );
  }
  return true;
};

/** The values that a node computes with, its parameters left out. */
export const dataInputs = (node: Node): Value[] => {
  const count = node.is('Add', 'Mul') ? 2 : node.is('Concat') ? node.inputs.length : 1;
  return node.inputs.slice(0, count).flatMap((value) => value ?? []);
};

const isFloat = (value: Value | undefined): boolean => value !== undefined && value.type === 'float32';

/** True for nodes that are no component and can run in integers. */
export const canJoin = (node: Node): boolean => {
  if (!node.is(...KERNELS) && !isMover(node)) return false;
  // Constants among the data are scale or shift by channel: those are few, and their grid would have to be a compromise.
  return dataInputs(node).every((value) => isFloat(value) && value.constant === undefined);
};

/** The Relu or Clip that takes all of what `node` makes; `undefined` where there is none. */
export const clamped = (node: Node): Node | undefined => {
  const output = node.output();
  const [only, second] = output?.users ?? [];
  if (output === undefined || only === undefined || second !== undefined || output.isOutput) return undefined;
  const bounds = boundsOf(only);
  return bounds !== undefined && bounds.low <= 0 && bounds.high >= 0 && only.input(0) === output
    ? only
    : undefined;
};

/** The first output of a node that has one. */
export const outputOf = (node: Node): Value => {
  const output = node.output();
  if (output === undefined) throw new BitlaneError('INTERNAL', `${node.label} has no output`);
  return output;
};

/** The only node that takes a value; `undefined` where others see it, too. */
export const onlyUser = (value: Value | undefined): Node | undefined => {
  if (value === undefined || value.isOutput || value.captors.length > 0) return undefined;
  const [user, ...others] = value.users;
  return others.length > 0 ? undefined : user;
};

/** What `node` gives to others: behind the Relu or Clip that disappears in it. */
export const resultOf = (node: Node, clamp: Node | undefined): Value | undefined => (clamp ?? node).output();

/** Nodes on a way of joinable nodes from one int8 component to another. */
const between = (nodes: readonly Node[], int8: ReadonlySet<Node>, kept: ReadonlySet<Node>): Set<Node> => {
  const [after, before] = [new Set<Node>(), new Set<Node>()];
  const isClamp = (node: Node): boolean => {
    const maker = node.input(0)?.producer;
    return maker !== undefined && clamped(maker) === node;
  };
  const joins = (node: Node): boolean => !kept.has(node) && (canJoin(node) || isClamp(node));
  for (const node of nodes) {
    if (int8.has(node)) after.add(node);
    else if (joins(node) && dataInputs(node).some((value) => value.producer && after.has(value.producer))) {
      after.add(node);
    }
  }
  for (const node of nodes.toReversed()) {
    if (int8.has(node)) before.add(node);
    else if (
      joins(node) &&
      node.outputs.some((value) =>
        value?.users.some((user) => before.has(user) && dataInputs(user).includes(value)),
      )
    ) {
      before.add(node);
    }
  }
  return new Set(nodes.filter((node) => after.has(node) && before.has(node)));
};

/** True for nodes that may run on codes which no integer kernel made. Of such codes a MaxPool takes longer than of floats. */
export const canGoBefore = (node: Node): boolean =>
  canJoin(node) && (isMover(node) || node.is('Concat')) && !node.is('MaxPool');

/**
 * Movers whose every user takes codes: codes are a quarter of the memory, so they are made before them. What a kept function gives
 * stays in floats until a component takes it: only there can each channel have a scale of its own.
 */
const addMoversBefore = (nodes: readonly Node[], int8: Set<Node>, kept: ReadonlySet<Node>): void => {
  for (const node of nodes.toReversed()) {
    if (int8.has(node) || !canGoBefore(node)) continue;
    if (dataInputs(node).some(({ producer }) => producer !== undefined && kept.has(producer))) continue;
    const wanted = node.outputs.every(
      (value) =>
        value !== undefined &&
        !value.isOutput &&
        value.users.length > 0 &&
        value.users.every((user) => int8.has(user) && dataInputs(user).includes(value)),
    );
    if (wanted) int8.add(node);
  }
};

const NONE: ReadonlySet<string> = new Set();

/**
 * Divides a model into int8 regions and the rest. A node that is no component runs in int8 where it lies between two int8
 * components, so that regions, not single layers, are quantized.
 *
 * @param model shapes inferred
 * @param floatFunctions components whose SiLU or LeakyRelu is computed in FP32, be they int8 themselves
 */
export const findRegions = (
  model: Model,
  allocation: Allocation,
  floatFunctions: ReadonlySet<string> = NONE,
): Regions => {
  const components = componentNodes(model);
  const nodes = [...model.graph.nodes()];
  const int8 = new Set(
    nodes.filter((node) => {
      const component = components.get(node);
      return component !== undefined && allocationOf(allocation, component).execution === 'int8';
    }),
  );
  const kept = new Set(
    [...components].flatMap(([node, { name }]) => {
      const output = node.output();
      return output !== undefined && floatFunctions.has(name) ? functionNodes(output) : [];
    }),
  );
  for (const node of between(nodes, int8, kept)) int8.add(node);
  addMoversBefore(nodes, int8, kept);
  const absorbed = new Map<Node, Node>();
  for (const node of [...int8]) {
    const clamp = isMover(node) || absorbed.has(node) ? undefined : clamped(node);
    if (clamp !== undefined) absorbed.set(clamp, node);
  }
  // A clamp that nothing absorbs has no integer kernel.
  for (const node of [...int8]) if (boundsOf(node) !== undefined && !absorbed.has(node)) int8.delete(node);
  for (const clamp of absorbed.keys()) int8.delete(clamp);
  const makers = new Map([...absorbed].map(([clamp, node]) => [node, clamp]));
  const coded = new Set<Value>();
  for (const node of nodes) {
    if (!int8.has(node)) continue;
    for (const value of dataInputs(node)) coded.add(value);
    const result = resultOf(node, makers.get(node));
    if (result !== undefined) coded.add(result);
    if (node.is('Split')) for (const value of node.outputs) if (value !== undefined) coded.add(value);
  }
  return { components, int8, absorbed, coded: [...coded] };
};
