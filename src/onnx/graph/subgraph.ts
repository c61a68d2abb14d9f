// A graph inside an attribute (If, Loop, Scan): kept as the file has it, but what it takes from outside is known.
import { clone } from '@bufbuild/protobuf';
import { type GraphProto, GraphProtoSchema } from 'onnx-buf';

/** An operator inside a subgraph. */
export interface InnerOperator {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
}

interface Found {
  readonly captures: Set<string>;
  readonly names: Set<string>;
  readonly operators: InnerOperator[];
}

const walk = (graph: GraphProto, outer: ReadonlySet<string>, found: Found): void => {
  const inner = new Set(outer);
  const define = (name: string): void => {
    if (name === '') return;
    inner.add(name);
    found.names.add(name);
  };
  for (const input of graph.input) define(input.name);
  for (const tensor of graph.initializer) define(tensor.name);
  // Files may list nodes in any order: all that is made here is inner, wherever it stands.
  for (const node of graph.node) node.output.forEach(define);
  const take = (name: string): void => {
    if (name !== '' && !inner.has(name)) found.captures.add(name);
  };
  for (const node of graph.node) {
    found.operators.push({ name: node.name, opType: node.opType, domain: node.domain });
    node.input.forEach(take);
    for (const attribute of node.attribute) {
      if (attribute.g !== undefined) walk(attribute.g, inner, found);
      for (const each of attribute.graphs) walk(each, inner, found);
    }
  }
  for (const output of graph.output) take(output.name);
};

const renameIn = (graph: GraphProto, from: string, to: string): void => {
  for (const node of graph.node) {
    node.input = node.input.map((name) => (name === from ? to : name));
    for (const attribute of node.attribute) {
      if (attribute.g !== undefined) renameIn(attribute.g, from, to);
      for (const each of attribute.graphs) renameIn(each, from, to);
    }
  }
  for (const output of graph.output) if (output.name === from) output.name = to;
};

/** One or several graphs of an attribute. Immutable. */
export class Subgraph {
  readonly protos: readonly GraphProto[];
  /** Names of the outer values that it uses. */
  readonly captures: readonly string[];
  /** Names that it defines. */
  readonly names: readonly string[];
  /** Every operator in it, at any depth. */
  readonly operators: readonly InnerOperator[];

  constructor(protos: readonly GraphProto[]) {
    const found: Found = { captures: new Set(), names: new Set(), operators: [] };
    for (const proto of protos) walk(proto, new Set(), found);
    this.protos = protos;
    this.captures = [...found.captures];
    this.names = [...found.names];
    this.operators = found.operators;
  }

  /** The same with an outer value under another name, one that nothing in it has. */
  renamed(from: string, to: string): Subgraph {
    return new Subgraph(
      this.protos.map((proto) => {
        const copy = clone(GraphProtoSchema, proto);
        renameIn(copy, from, to);
        return copy;
      }),
    );
  }
}
