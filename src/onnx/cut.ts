// Cutting a part out of a model, and copying one: the result is a model of its own.
import { BitlaneError } from '../errors.js';
import { origins } from './file/origin.js';
import { Graph } from './graph/graph.js';
import type { Node } from './graph/node.js';
import type { Value } from './graph/value.js';
import { Model } from './model.js';
import { between } from './reach.js';

const find = (model: Model, wanted: Value | string): Value => {
  const value = typeof wanted === 'string' ? model.graph.value(wanted) : wanted;
  if (value === undefined || model.graph.value(value.name) !== value) {
    throw new BitlaneError(
      'INTERNAL',
      `the graph has no value ${typeof wanted === 'string' ? wanted : wanted.name}`,
    );
  }
  return value;
};

const describe = (to: Value, from: Value): void => {
  to.type = from.type;
  to.shape = from.shape;
  const origin = origins.value.get(from);
  if (origin !== undefined) origins.value.set(to, origin);
};

/** A new model like `model` around `graph`. */
const around = (model: Model, graph: Graph): Model => {
  const copy = new Model({ graph, irVersion: model.irVersion, opsets: model.opsets });
  for (const [key, value] of model.metadata) copy.metadata.set(key, value);
  copy.producerName = model.producerName;
  copy.producerVersion = model.producerVersion;
  const origin = origins.model.get(model);
  if (origin !== undefined) origins.model.set(copy, origin);
  return copy;
};

/** Copies values and nodes of one graph into another, by name. */
class Copier {
  readonly graph: Graph;
  readonly copies = new Map<Value, Value>();

  constructor(graph: Graph) {
    this.graph = graph;
  }

  #keep(value: Value, copy: Value): Value {
    describe(copy, value);
    this.copies.set(value, copy);
    return copy;
  }

  input(value: Value): void {
    this.#keep(value, this.graph.addInput(value.name, value.type, value.shape));
  }

  /** A value that no node inside makes: a constant, or an input with a default. */
  constant(value: Value): Value {
    const { tensor } = value;
    if (tensor === undefined) {
      throw new BitlaneError('INTERNAL', `the part needs ${value.name}, which is not among its inputs`);
    }
    return this.#keep(value, this.graph.addInitializer(value.name, tensor));
  }

  of(value: Value): Value {
    const copy = this.copies.get(value);
    if (copy !== undefined) return copy;
    const constant = this.constant(value);
    if (value.isInput) this.graph.addInput(value.name);
    return constant;
  }

  node(node: Node): void {
    node.captures.forEach((value) => this.of(value));
    const { graph, copies } = this;
    const copy = graph.addNode({
      opType: node.opType,
      domain: node.domain,
      name: node.name,
      inputs: node.inputs.map((value) => (value === undefined ? undefined : this.of(value))),
      // An output that is cut off by an input of the part gets another name: the input has it.
      outputs: node.outputs.map((value) =>
        value === undefined ? '' : copies.has(value) ? graph.uniqueName(`${value.name}.cut`) : value.name,
      ),
      attributes: node.attributes,
    });
    const origin = origins.node.get(node);
    if (origin !== undefined) origins.node.set(copy, origin);
    node.outputs.forEach((value, index) => {
      const made = copy.output(index);
      if (value !== undefined && made !== undefined && !copies.has(value)) this.#keep(value, made);
    });
  }
}

/**
 * The part of a model between two sets of values, as a model that computes the same. Names stay; constants are shared.
 *
 * @param inputs values that become graph inputs, in that order; their types must be known (`inferShapes`)
 * @param outputs values that become graph outputs, in that order
 * @throws BitlaneError `INTERNAL` for a value that is not the model's or has no known type, or when the outputs need a
 *   graph input that is not among `inputs`; `BAD_MODEL` for a value that is given twice
 */
export const extract = (
  model: Model,
  inputs: readonly (Value | string)[],
  outputs: readonly (Value | string)[],
): Model => {
  const from = inputs.map((value) => find(model, value));
  const to = outputs.map((value) => find(model, value));
  model.graph.sort();
  const copier = new Copier(new Graph(model.graph.name));
  for (const value of from) {
    if (value.type === undefined) {
      throw new BitlaneError(
        'INTERNAL',
        `the type of ${value.name} is not known: infer shapes before cutting`,
      );
    }
    copier.input(value);
  }
  for (const node of between(model.graph, from, to)) copier.node(node);
  for (const value of to) copier.graph.addOutput(copier.of(value));
  return around(model, copier.graph);
};

/** A copy to edit without touching the first; tensors and attributes, which are immutable, are shared. */
export const cloneModel = (model: Model): Model => {
  const { graph } = model;
  graph.sort();
  const copier = new Copier(new Graph(graph.name));
  for (const value of graph.initializers) copier.constant(value);
  for (const value of graph.inputs) copier.input(value);
  for (const node of graph.nodes()) copier.node(node);
  for (const value of graph.outputs) copier.graph.addOutput(copier.of(value));
  const origin = origins.graph.get(graph);
  if (origin !== undefined) {
    const declared = origin.declared.flatMap((value) => copier.copies.get(value) ?? []);
    origins.graph.set(copier.graph, { shell: origin.shell, declared });
  }
  return around(model, copier.graph);
};
