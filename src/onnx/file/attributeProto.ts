// Attributes between file and memory.
import { create } from '@bufbuild/protobuf';
import { type AttributeProto, AttributeProto_AttributeType as Type, AttributeProtoSchema } from 'onnx-buf';
import type { Attribute } from '../graph/attribute.js';
import { Subgraph } from '../graph/subgraph.js';
import { badModel } from '../limits.js';
import type { ExternalData } from './external.js';
import { origins } from './origin.js';
import { readTensor, writeTensor } from './tensorProto.js';

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text));

const valueOf = (proto: AttributeProto, what: string, external: ExternalData): Attribute => {
  switch (proto.type) {
    case Type.INT:
      return { type: 'int', value: Number(proto.i) };
    case Type.FLOAT:
      return { type: 'float', value: proto.f };
    case Type.STRING:
      return { type: 'string', value: textOf(proto.s) };
    case Type.INTS:
      return { type: 'ints', value: proto.ints.map(Number) };
    case Type.FLOATS:
      return { type: 'floats', value: proto.floats };
    case Type.STRINGS:
      return { type: 'strings', value: proto.strings.map(textOf) };
    case Type.TENSOR:
      if (proto.t === undefined) throw badModel(`${what} says it is a tensor and holds none`);
      return { type: 'tensor', value: readTensor(proto.t, what, external) };
    case Type.TENSORS:
      return { type: 'tensors', value: proto.tensors.map((tensor) => readTensor(tensor, what, external)) };
    case Type.GRAPH:
      if (proto.g === undefined) throw badModel(`${what} says it is a graph and holds none`);
      return { type: 'graph', value: new Subgraph([proto.g]) };
    case Type.GRAPHS:
      return { type: 'graphs', value: new Subgraph(proto.graphs) };
    case Type.SPARSE_TENSOR:
    case Type.SPARSE_TENSORS:
    case Type.TYPE_PROTO:
    case Type.TYPE_PROTOS:
      return { type: 'other' };
    case Type.UNDEFINED:
      throw badModel(`${what} says not what type it has`);
    default:
      throw badModel(`${what} has the attribute type ${String(proto.type)}, which ONNX does not have`);
  }
};

/** Reads an attribute. `what` names it in errors. */
export const readAttribute = (proto: AttributeProto, what: string, external: ExternalData): Attribute => {
  if (proto.refAttrName !== '')
    throw badModel(`${what} refers to an attribute of a function, which there is not`);
  const attribute = valueOf(proto, what, external);
  origins.attribute.set(attribute, proto);
  return attribute;
};

/** Writes an attribute; one that was read and not replaced as it was. */
export const writeAttribute = (name: string, attribute: Attribute): AttributeProto => {
  const origin = origins.attribute.get(attribute);
  if (origin !== undefined) {
    if (origin.name === name) return origin;
    return Object.assign(create(AttributeProtoSchema), origin, { name });
  }
  switch (attribute.type) {
    case 'int':
      return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(attribute.value) });
    case 'float':
      return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: attribute.value });
    case 'string':
      return create(AttributeProtoSchema, { name, type: Type.STRING, s: bytesOf(attribute.value) });
    case 'ints':
      return create(AttributeProtoSchema, { name, type: Type.INTS, ints: attribute.value.map(BigInt) });
    case 'floats':
      return create(AttributeProtoSchema, { name, type: Type.FLOATS, floats: [...attribute.value] });
    case 'strings':
      return create(AttributeProtoSchema, {
        name,
        type: Type.STRINGS,
        strings: attribute.value.map(bytesOf),
      });
    case 'tensor':
      return create(AttributeProtoSchema, { name, type: Type.TENSOR, t: writeTensor(attribute.value) });
    case 'tensors':
      return create(AttributeProtoSchema, {
        name,
        type: Type.TENSORS,
        tensors: attribute.value.map((tensor) => writeTensor(tensor)),
      });
    case 'graph': {
      const [g] = attribute.value.protos;
      return create(AttributeProtoSchema, { name, type: Type.GRAPH, ...(g === undefined ? {} : { g }) });
    }
    case 'graphs':
      return create(AttributeProtoSchema, { name, type: Type.GRAPHS, graphs: [...attribute.value.protos] });
    case 'other':
      throw badModel(`the attribute ${name} is of a type that bitlane only keeps and does not make`);
  }
};
