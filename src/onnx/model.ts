// A model: a graph, the operator sets it is written in, and what the file says of itself.
import { Graph } from './graph/graph.js';

/** What `Model` is made from. */
export interface ModelParts {
  readonly graph?: Graph;
  /** Default 10. */
  readonly irVersion?: number;
  /** Operator set version by domain; `''` is ONNX's own. */
  readonly opsets: Iterable<readonly [string, number]>;
}

/** An ONNX model, safe to edit. */
export class Model {
  readonly graph: Graph;
  irVersion: number;
  /** Operator set version by domain; `''` is ONNX's own. */
  readonly opsets: Map<string, number>;
  readonly metadata = new Map<string, string>();
  producerName = 'bitlane';
  producerVersion = '';

  constructor(parts: ModelParts) {
    this.graph = parts.graph ?? new Graph();
    this.irVersion = parts.irVersion ?? 10;
    this.opsets = new Map(parts.opsets);
  }

  /** Version of ONNX's own operator set; 0 where the model imports none. */
  get opset(): number {
    return this.opsets.get('') ?? 0;
  }
}
