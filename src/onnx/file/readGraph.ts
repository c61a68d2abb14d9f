// A graph from its message: every name is checked before the graph is built.
import { create } from '@bufbuild/protobuf';
import { type GraphProto, GraphProtoSchema, type NodeProto } from 'onnx-buf';
import type { Attribute } from '../graph/attribute.js';
import { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import { stableOrder } from '../graph/order.js';
import { Subgraph } from '../graph/subgraph.js';
import type { Value } from '../graph/value.js';
import { badModel } from '../limits.js';
import type { ExternalData } from './external.js';
import { readAttribute } from './attributeProto.js';
import { origins } from './origin.js';
import { readTensor } from './tensorProto.js';
import { readDeclared } from './valueProto.js';

const labelOf = (proto: NodeProto): string =>
  `${proto.opType} ${proto.name || (proto.output[0] ?? '')}`.trim();

/** Names that a node takes in, those of its subgraphs included. */
const neededNames = (proto: NodeProto): string[] => [
  ...proto.input,
  ...proto.attribute.flatMap(({ g, graphs }) => [
    ...(g === undefined ? [] : new Subgraph([g]).captures),
    ...new Subgraph(graphs).captures,
  ]),
];

const inOrder = (nodes: readonly NodeProto[]): NodeProto[] => {
  const makers = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const name of node.output) {
      if (name === '') continue;
      if (makers.has(name)) throw badModel(`two nodes compute ${name}: names must be unique`);
      makers.set(name, index);
    }
  });
  return stableOrder(nodes, (node) => neededNames(node).flatMap((name) => makers.get(name) ?? []), labelOf);
};

const addNode = (graph: Graph, proto: NodeProto, external: ExternalData): Node => {
  const label = labelOf(proto);
  if (proto.opType === '')
    throw badModel(`the node that computes ${proto.output[0] ?? '?'} names no operator`);
  const attributes = new Map<string, Attribute>();
  for (const attribute of proto.attribute) {
    const { name } = attribute;
    if (attributes.has(name)) throw badModel(`node ${label} has two attributes named ${name}`);
    attributes.set(name, readAttribute(attribute, `attribute ${name} of node ${label}`, external));
  }
  const inputs = proto.input.map((name): Value | undefined => {
    if (name === '') return undefined;
    const value = graph.value(name);
    if (value === undefined)
      throw badModel(`node ${label} takes ${name}, which nothing in the graph computes`);
    return value;
  });
  const node = graph.addNode({
    opType: proto.opType,
    domain: proto.domain,
    name: proto.name,
    inputs,
    outputs: proto.output,
    attributes,
  });
  origins.node.set(node, proto);
  return node;
};

const addInitializers = (graph: Graph, proto: GraphProto, external: ExternalData): void => {
  if (proto.sparseInitializer.length > 0)
    throw badModel('the model has sparse weights, which bitlane does not read');
  for (const tensor of proto.initializer) {
    const { name } = tensor;
    if (name === '') throw badModel('an initializer has no name');
    if (graph.value(name) !== undefined)
      throw badModel(`two initializers are named ${name}: names must be unique`);
    graph.addInitializer(name, readTensor(tensor, `initializer ${name}`, external));
  }
};

const addInputs = (graph: Graph, proto: GraphProto): void => {
  for (const info of proto.input) {
    if (info.name === '') throw badModel('a graph input has no name');
    const declared = readDeclared(info);
    const value = graph.addInput(info.name);
    origins.value.set(value, declared);
    if (value.tensor === undefined) {
      value.type = declared.type;
      value.shape = declared.shape;
    } else if (declared.type !== undefined && declared.type !== value.type) {
      throw badModel(`graph input ${info.name} is ${declared.type} and its default is ${value.type ?? '?'}`);
    }
  }
};

/** Gives a value what the file declares of it. */
const declare = (value: Value, declared: ReturnType<typeof readDeclared>): void => {
  origins.value.set(value, declared);
  if (value.tensor !== undefined) return;
  value.type = declared.type ?? value.type;
  value.shape = declared.shape ?? value.shape;
};

/**
 * Builds the graph.
 *
 * @throws BitlaneError `BAD_MODEL` for names that are missing or not unique, cycles, and tensors that do not fit their data
 */
export const readGraph = (proto: GraphProto, external: ExternalData): Graph => {
  const graph = new Graph(proto.name);
  addInitializers(graph, proto, external);
  addInputs(graph, proto);
  for (const node of inOrder(proto.node)) addNode(graph, node, external);
  for (const info of proto.output) {
    const value = graph.value(info.name);
    if (value === undefined) throw badModel(`the graph puts out ${info.name}, which nothing in it computes`);
    graph.addOutput(value);
    if (!value.isInput) declare(value, readDeclared(info));
  }
  const declared = new Set<Value>();
  for (const info of proto.valueInfo) {
    const value = graph.value(info.name);
    const read = readDeclared(info);
    if (value === undefined || declared.has(value)) continue;
    declared.add(value);
    if (!value.isInput && !value.isOutput) declare(value, read);
  }
  const shell = Object.assign(create(GraphProtoSchema), proto, {
    node: [],
    initializer: [],
    input: [],
    output: [],
    valueInfo: [],
  });
  origins.graph.set(graph, { shell, declared: [...declared] });
  return graph;
};
