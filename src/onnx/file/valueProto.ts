// Declared values (inputs, outputs, value infos) between file and memory.
import { create } from '@bufbuild/protobuf';
import {
  type TypeProto_Tensor,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { Value } from '../graph/value.js';
import { badModel, MAX_RANK } from '../limits.js';
import { codeOf, type Dim, type Shape, typeOfCode } from '../types.js';
import { type DeclaredValue, origins } from './origin.js';

const shapeOf = (proto: TypeProto_Tensor, name: string): Shape | undefined => {
  if (proto.shape === undefined) return undefined;
  if (proto.shape.dim.length > MAX_RANK) throw badModel(`value ${name} has more than ${MAX_RANK} dimensions`);
  return proto.shape.dim.map(({ value }): Dim => {
    switch (value.case) {
      case 'dimValue': {
        const dim = Number(value.value);
        if (dim < 0) throw badModel(`value ${name} has the dimension ${dim}: a size is not negative`);
        return Number.isSafeInteger(dim) ? dim : '';
      }
      case 'dimParam':
        return value.value;
      case undefined:
        return '';
    }
  });
};

/** What a file says of a value; type and shape stay `undefined` for what is no tensor. */
export const readDeclared = (proto: ValueInfoProto): DeclaredValue => {
  const held = proto.type?.value;
  if (held?.case !== 'tensorType') return { proto, type: undefined, shape: undefined };
  const { elemType } = held.value;
  const type = typeOfCode(elemType);
  if (type === undefined && elemType !== 0) {
    throw badModel(`value ${proto.name} has the element type ${elemType}, which ONNX does not have`);
  }
  return { proto, type, shape: shapeOf(held.value, proto.name) };
};

const sameShape = (a: Shape | undefined, b: Shape | undefined): boolean =>
  a === b ||
  (a !== undefined && b !== undefined && a.length === b.length && a.every((dim, i) => dim === b[i]));

const dimProto = (dim: Dim) =>
  create(TensorShapeProto_DimensionSchema, {
    value:
      typeof dim === 'number'
        ? { case: 'dimValue', value: BigInt(dim) }
        : dim === ''
          ? { case: undefined }
          : { case: 'dimParam', value: dim },
  });

/** A value as files declare it. */
export const writeDeclared = (value: Value): ValueInfoProto => {
  const origin = origins.value.get(value);
  if (origin !== undefined && origin.type === value.type && sameShape(origin.shape, value.shape)) {
    return origin.proto.name === value.name
      ? origin.proto
      : Object.assign(create(ValueInfoProtoSchema), origin.proto, { name: value.name });
  }
  const proto = create(ValueInfoProtoSchema, { name: value.name });
  if (value.type === undefined) return proto;
  const tensor = create(TypeProto_TensorSchema, { elemType: codeOf(value.type) });
  if (value.shape !== undefined) {
    tensor.shape = create(TensorShapeProtoSchema, { dim: value.shape.map(dimProto) });
  }
  proto.type = create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } });
  return proto;
};
