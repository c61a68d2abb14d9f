// A value: what flows along an edge. The graph keeps who makes it and who uses it.
import type { Tensor } from '../tensor.js';
import type { DataType, Shape } from '../types.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';

/** One place where a value goes in: input `index` of `node`. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** Made by a {@link Graph}; members that begin with an underscore are the graph's own. */
export class Value {
  readonly graph: Graph;
  /** Element type and shape, as far as they are known; `inferShapes` fills them in. */
  type: DataType | undefined;
  shape: Shape | undefined;
  _name: string;
  _producer: Node | undefined;
  _tensor: Tensor | undefined;
  _input = false;
  _output = false;
  readonly _uses = new Set<Use>();
  readonly _captors = new Set<Node>();

  constructor(graph: Graph, name: string) {
    this.graph = graph;
    this._name = name;
  }

  /** Unique in its graph; {@link Graph.rename} changes it. */
  get name(): string {
    return this._name;
  }

  /** The node that computes it; `undefined` for graph inputs and initializers. */
  get producer(): Node | undefined {
    return this._producer;
  }

  /** The initializer's tensor; a graph input that has one may be given another at run time. */
  get tensor(): Tensor | undefined {
    return this._tensor;
  }

  /** The tensor, where it can be nothing else at run time. */
  get constant(): Tensor | undefined {
    return this._input ? undefined : this._tensor;
  }

  get isInput(): boolean {
    return this._input;
  }

  get isOutput(): boolean {
    return this._output;
  }

  /** Where nodes take it in, in no particular order; a copy, safe to walk while editing. */
  get uses(): Use[] {
    return [...this._uses];
  }

  /** The nodes whose subgraphs take it in; a copy. */
  get captors(): Node[] {
    return [...this._captors];
  }

  /** The nodes that need it, each once. */
  get users(): Node[] {
    return [...new Set([...Array.from(this._uses, (use) => use.node), ...this._captors])];
  }

  /** True when a node or the graph's outputs need it. */
  get isUsed(): boolean {
    return this._output || this._uses.size > 0 || this._captors.size > 0;
  }
}
