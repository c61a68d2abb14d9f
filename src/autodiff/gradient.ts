// From a forward graph to one that computes its gradients too: a walk from the loss back, a rule an operator.
import { BitlaneError } from '../errors.js';
import {
  cloneModel,
  foldConstants,
  type Graph,
  inferShapes,
  type Model,
  type Node,
  removeDeadNodes,
  removeUnusedInitializers,
  runPasses,
  sizeOf,
  upgradeOpset,
  type Value,
} from '../onnx/index.js';
import { dimsOf, Ops } from './ops.js';
import { type Recompute, Recomputer } from './recompute.js';
import { isFlat, ruleOf } from './rules.js';
import { Step } from './step.js';

/** Axes are inputs everywhere, and scattering can add. */
const OPSET = 18;

export interface GradientOptions {
  /** The name of the value that is differentiated: one float. */
  readonly loss: string;
  /** Names of the values whose gradients are wanted: initializers, graph inputs, or what nodes compute. */
  readonly of: readonly string[];
  /** Further values that the model is to give, by name (default: the outputs of the forward model). */
  readonly outputs?: readonly string[];
  /**
   * Whether initializers in `of` become graph inputs (default true): a session is given the weights at each run. Weights that
   * stay constant let the engine arrange them once.
   */
  readonly inputs?: boolean;
  /**
   * Forward values that are computed again where the backward part needs them, by name or by rule (default none): less memory
   * for more time. Open such a model with {@link GRADIENT_SESSION}.
   */
  readonly recompute?: readonly string[] | Recompute;
  /** Names of values that count as constants: no gradient goes into what computes them. */
  readonly fixed?: readonly string[];
  /** Names of values whose gradient goes to the first input of their node unchanged, whatever the operator (Round, Ceil). */
  readonly straightThrough?: readonly string[];
}

export interface GradientModel {
  /** Gives the loss, the wanted outputs, and the gradients. */
  readonly model: Model;
  /** The output that holds each gradient, by the name of its value. */
  readonly gradients: ReadonlyMap<string, string>;
}

/** Session options under which what is computed again stays so: otherwise the engine finds that it was computed before. */
export const GRADIENT_SESSION = { disabledOptimizers: ['CommonSubexpressionElimination'] } as const;

const find = (graph: Graph, name: string): Value => {
  const value = graph.value(name);
  if (value === undefined) throw new BitlaneError('BAD_MODEL', `the model has no value named ${name}`);
  return value;
};

/** Where gradients take another way than the operators say. */
interface Exceptions {
  readonly fixed: ReadonlySet<Value>;
  readonly through: ReadonlySet<Value>;
}

/** The values of these names; those that folding took away are left out. */
const setOf = (graph: Graph, names: readonly string[] = []): ReadonlySet<Value> =>
  new Set(names.flatMap((name) => graph.value(name) ?? []));

const isThrough = (node: Node, { through }: Exceptions): boolean => {
  const output = node.output();
  return output !== undefined && through.has(output);
};

/** Nodes that the loss depends on through one of the values, with a gradient all the way; in the graph's order. */
const pathOf = (graph: Graph, loss: Value, wanted: readonly Value[], exceptions: Exceptions): Node[] => {
  const touched = new Set<Value>(wanted);
  const nodes = [...graph.nodes()].filter((node) => {
    if (isFlat(node) && !isThrough(node, exceptions)) return false;
    if (!node.needs.some((value) => touched.has(value))) return false;
    const outputs = node.outputs.flatMap((value) => value ?? []);
    const open = outputs.filter((value) => !exceptions.fixed.has(value));
    for (const output of open) touched.add(output);
    return open.length > 0;
  });
  const needed = new Set<Value>([loss]);
  return nodes
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((value) => value !== undefined && needed.has(value))) return false;
      for (const value of node.needs) if (touched.has(value)) needed.add(value);
      return true;
    })
    .reverse();
};

/** Gradients as they come in: several for a value that several nodes use, added when it is their maker's turn. */
class Ledger {
  readonly #ops: Ops;
  readonly #parts = new Map<Value, Value[]>();

  constructor(ops: Ops) {
    this.#ops = ops;
  }

  add(value: Value, gradient: Value): void {
    const fitted = this.#ops.fit(gradient, dimsOf(value));
    const parts = this.#parts.get(value);
    if (parts === undefined) this.#parts.set(value, [fitted]);
    else parts.push(fitted);
  }

  of(value: Value): Value | undefined {
    const parts = this.#parts.get(value);
    if (parts === undefined) return undefined;
    const sum = parts.reduce((a, b) => this.#ops.add(a, b));
    this.#parts.set(value, [sum]);
    return sum;
  }
}

const stepThrough = (
  node: Node,
  ops: Ops,
  ledger: Ledger,
  recomputer: Recomputer,
  touched: ReadonlySet<Value>,
  exceptions: Exceptions,
): void => {
  const gradients = node.outputs.map((value) => (value === undefined ? undefined : ledger.of(value)));
  if (gradients.every((gradient) => gradient === undefined)) return;
  if (isThrough(node, exceptions)) {
    const [value, gradient] = [node.input(0), gradients[0]];
    if (value !== undefined && gradient !== undefined && touched.has(value)) ledger.add(value, gradient);
    return;
  }
  const rule = ruleOf(node);
  if (rule === undefined || node.captures.length > 0) {
    throw new BitlaneError(
      'BAD_MODEL',
      `node ${node.label}: the operator ${node.domain === '' ? '' : `${node.domain}.`}${node.opType} has no gradient rule`,
    );
  }
  ops.scope = `${node.name === '' ? node.opType : node.name}/gradient`;
  const results = rule(new Step(node, ops, gradients, (value) => recomputer.standIn(value)));
  node.inputs.forEach((value, i) => {
    const gradient = results[i];
    if (value !== undefined && gradient !== undefined && touched.has(value)) ledger.add(value, gradient);
  });
};

/**
 * The model that computes, from the same inputs, a loss and its gradients. Standard ONNX operators only: any onnxruntime runs
 * it. The forward part is the given model's, brought to opset 18 where it is older.
 *
 * Every shape on the way from the loss to the values must be known and fixed: give the graph's inputs fixed shapes (the batch
 * too) first. Gradients are those of 32-bit floats. `QuantizeLinear` and `DequantizeLinear` pass gradients straight through.
 *
 * @param model is left as it is
 * @throws BitlaneError `BAD_MODEL` naming the node and the operator that has no gradient rule, a value that is not there, one
 *   that the loss does not depend on, a loss that is more than one number, or a shape that is not known
 */
export const gradient = (model: Model, options: GradientOptions): GradientModel => {
  const copy = cloneModel(model);
  runPasses(copy, [foldConstants, upgradeOpset(OPSET)]);
  inferShapes(copy);
  const { graph } = copy;
  const loss = find(graph, options.loss);
  if (sizeOf(dimsOf(loss)) !== 1 || loss.type !== 'float32') {
    throw new BitlaneError('BAD_MODEL', `the loss ${loss.name} must be one 32-bit float`);
  }
  const wanted = options.of.map((name) => find(graph, name));
  const kept = options.outputs?.map((name) => find(graph, name)) ?? graph.outputs;
  const exceptions = {
    fixed: setOf(graph, options.fixed),
    through: setOf(graph, options.straightThrough),
  };
  const path = pathOf(graph, loss, wanted, exceptions);
  const touched = new Set<Value>([
    ...wanted,
    ...path.flatMap((node) =>
      node.outputs.flatMap((value) => (value === undefined || exceptions.fixed.has(value) ? [] : value)),
    ),
  ]);

  const ops = new Ops(graph);
  const ledger = new Ledger(ops);
  const recomputer = new Recomputer(graph, recomputeRule(options.recompute), [...graph.nodes()].at(-1));
  ledger.add(loss, ops.scalar(1));
  for (const node of [...path].reverse()) stepThrough(node, ops, ledger, recomputer, touched, exceptions);

  const results = wanted.map((value) => {
    const result = ledger.of(value);
    if (result === undefined)
      throw new BitlaneError('BAD_MODEL', `the loss does not depend on ${value.name}`);
    return { value, result };
  });
  const gradients = new Map(options.of.map((name) => [name, graph.uniqueName(`gradient.${name}`)]));
  for (const output of graph.outputs) graph.removeOutput(output);
  for (const output of new Set([loss, ...kept])) graph.addOutput(output);
  for (const { value, result } of firstUsedFirst(results, path)) {
    const isShared = results.filter((other) => other.result === result).length > 1;
    graph.addOutput(lastOf(graph, result, gradients.get(value.name) ?? '', isShared));
  }
  if (options.inputs !== false)
    for (const value of wanted) if (value.constant !== undefined) open(graph, value);
  runPasses(copy, [removeDeadNodes, removeUnusedInitializers]);
  return { model: copy, gradients };
};

/** Makes a graph input of an initializer. It keeps no default: the engine's binding for Node would ignore what it is given. */
const open = (graph: Graph, value: Value): void => {
  const { name, type, shape } = value;
  graph.rename(value, `${name}.constant`);
  graph.replaceUses(value, graph.addInput(name, type, shape));
};

/**
 * Gradients of the first layers first. The engine runs a graph from its ends: from the last node that nothing needs on, each
 * node as late as can be. So each weight's gradient is computed as soon as what it needs is there, and that is then freed;
 * the other way round everything would be held until the last gradient is through.
 */
const firstUsedFirst = <T extends { readonly value: Value }>(
  results: readonly T[],
  path: readonly Node[],
): T[] => {
  const place = new Map(path.map((node, i) => [node, i]));
  const first = ({ value }: T): number => Math.min(...value.users.map((node) => place.get(node) ?? Infinity));
  return [...results].sort((a, b) => first(a) - first(b));
};

const recomputeRule = (recompute: GradientOptions['recompute']): Recompute => {
  if (recompute === undefined) return () => false;
  if (typeof recompute === 'function') return recompute;
  const names = new Set(recompute);
  return (value) => names.has(value.name);
};

/** A gradient under its name, made by the graph's last node. */
const lastOf = (graph: Graph, result: Value, name: string, isShared: boolean): Value => {
  const { producer } = result;
  const isMovable =
    !isShared && producer?.outputs.length === 1 && !result.isOutput && result.users.length === 0;
  const node = graph.addNode({
    opType: isMovable ? producer.opType : 'Identity',
    name: graph.uniqueName(`${name}/node`),
    inputs: isMovable ? producer.inputs : [result],
    outputs: [name],
    attributes: isMovable ? producer.attributes : {},
  });
  if (isMovable) graph.removeNode(producer);
  const output = node.output();
  if (output === undefined) throw new BitlaneError('INTERNAL', `node ${node.label} has no output`);
  output.type = 'float32';
  output.shape = result.shape;
  return output;
};
