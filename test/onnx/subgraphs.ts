// Models with graphs inside attributes, built from messages.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';

export const info = (name: string, elemType = 1, dims: readonly number[] = [2]) =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType,
          shape: create(TensorShapeProtoSchema, {
            dim: dims.map((dim) =>
              create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(dim) } }),
            ),
          }),
        }),
      },
    }),
  });

export const plainNode = (opType: string, input: string[], output: string[]) =>
  create(NodeProtoSchema, { opType, input, output });

const branch = (name: string, graph: GraphProto) =>
  create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.GRAPH, g: graph });

export const modelBytes = (graph: GraphProto, opset = 17): Uint8Array<ArrayBuffer> =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      graph,
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    }),
  );

/** y = condition ? x + w : -h, where h = relu(x): `x`, `w` and `h` are taken from outside, each in one branch. */
export const ifModel = (): Uint8Array<ArrayBuffer> => {
  const inner = (name: string, op: string, from: string[]): GraphProto =>
    create(GraphProtoSchema, {
      name,
      node: [plainNode(op, from, [`${name}.y`])],
      output: [info(`${name}.y`)],
    });
  const choose = plainNode('If', ['condition'], ['y']);
  choose.attribute = [
    branch('then_branch', inner('then', 'Add', ['x', 'w'])),
    branch('else_branch', inner('else', 'Neg', ['h'])),
  ];
  return modelBytes(
    create(GraphProtoSchema, {
      name: 'g',
      node: [plainNode('Relu', ['x0'], ['h']), plainNode('Identity', ['x0'], ['x']), choose],
      input: [info('x0'), info('condition', 9, [])],
      output: [info('y')],
      initializer: [
        create(TensorProtoSchema, { name: 'w', dataType: 1, dims: [2n], floatData: [10, 20] }),
        create(TensorProtoSchema, { name: 'unused', dataType: 1, dims: [1n], floatData: [1] }),
      ],
    }),
  );
};

/** A graph in a graph in a graph. */
export const deepModel = (depth: number): Uint8Array<ArrayBuffer> => {
  let graph = create(GraphProtoSchema, { name: 'g', output: [info('x0')] });
  for (let i = 0; i < depth; i++) {
    const node = plainNode('If', ['condition'], [`y${i}`]);
    node.attribute = [branch('then_branch', graph)];
    graph = create(GraphProtoSchema, { name: 'g', node: [node], output: [info(`y${i}`)] });
  }
  graph.input = [info('x0'), info('condition', 9, [])];
  return modelBytes(graph);
};
