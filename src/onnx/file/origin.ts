// What a file said beyond what the graph holds (doc strings, the form a tensor was stored in), for writing it back.
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from 'onnx-buf';
import type { Attribute } from '../graph/attribute.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Model } from '../model.js';
import type { Tensor } from '../tensor.js';
import type { DataType, Shape } from '../types.js';

/** A value as the file declared it; written again as it was while type and shape are the same. */
export interface DeclaredValue {
  readonly proto: ValueInfoProto;
  readonly type: DataType | undefined;
  readonly shape: Shape | undefined;
}

export interface GraphOrigin {
  /** Without nodes, initializers, inputs, outputs and value infos. */
  readonly shell: GraphProto;
  /** The values that had a value info, in the file's order. */
  readonly declared: readonly Value[];
}

/** By the object that was read; these go when it goes. */
export const origins = {
  model: new WeakMap<Model, ModelProto>(),
  graph: new WeakMap<Graph, GraphOrigin>(),
  node: new WeakMap<Node, NodeProto>(),
  value: new WeakMap<Value, DeclaredValue>(),
  attribute: new WeakMap<Attribute, AttributeProto>(),
  tensor: new WeakMap<Tensor, TensorProto>(),
} as const;
