// Tensors between file and memory. Every size is checked against the data before anything is made of it.
import { create } from '@bufbuild/protobuf';
import { type TensorProto, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import { badModel, MAX_ELEMENTS, MAX_RANK } from '../limits.js';
import { byteSizeOf, bytesOfTensor, type Tensor, tensorOfBytes } from '../tensor.js';
import { codeOf, type DataType, sizeOf, typeOfCode } from '../types.js';
import type { ExternalData } from './external.js';
import { origins } from './origin.js';

/** Checked dimensions of a tensor. */
const dimsOf = (proto: TensorProto, what: string): number[] => {
  if (proto.dims.length > MAX_RANK) throw badModel(`${what} has more than ${MAX_RANK} dimensions`);
  const dims = proto.dims.map(Number);
  const negative = dims.find((dim) => dim < 0);
  if (negative !== undefined) throw badModel(`${what} has the dimension ${negative}: a size is not negative`);
  // Not the plain product: a zero would hide what stands before it.
  if (dims.reduce((product, dim) => product * Math.max(dim, 1), 1) > MAX_ELEMENTS) {
    throw badModel(
      `${what} says that it holds more than ${MAX_ELEMENTS} elements, which bitlane does not take`,
    );
  }
  return dims;
};

const littleEndian = (
  bytesPerItem: number,
  count: number,
  put: (view: DataView, i: number) => void,
): Uint8Array => {
  const bytes = new Uint8Array(bytesPerItem * count);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) put(view, i);
  return bytes;
};

/** The bytes of a tensor that lists its elements one by one, in the field that its type has. */
const listedBytes = (proto: TensorProto, type: Exclude<DataType, 'string'>): Uint8Array => {
  const { floatData, doubleData, int64Data, uint64Data, int32Data } = proto;
  switch (type) {
    case 'float32':
    case 'complex64':
      return littleEndian(4, floatData.length, (view, i) => view.setFloat32(4 * i, floatData[i] ?? 0, true));
    case 'float64':
    case 'complex128':
      return littleEndian(8, doubleData.length, (view, i) =>
        view.setFloat64(8 * i, doubleData[i] ?? 0, true),
      );
    case 'int64':
      return littleEndian(8, int64Data.length, (view, i) =>
        view.setBigInt64(8 * i, int64Data[i] ?? 0n, true),
      );
    case 'uint64':
      return littleEndian(8, uint64Data.length, (view, i) =>
        view.setBigUint64(8 * i, uint64Data[i] ?? 0n, true),
      );
    case 'uint32':
      return littleEndian(4, uint64Data.length, (view, i) =>
        view.setUint32(4 * i, Number(BigInt.asUintN(32, uint64Data[i] ?? 0n)), true),
      );
    case 'int32':
      return littleEndian(4, int32Data.length, (view, i) => view.setInt32(4 * i, int32Data[i] ?? 0, true));
    case 'int16':
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return littleEndian(2, int32Data.length, (view, i) => view.setInt16(2 * i, int32Data[i] ?? 0, true));
    case 'int8':
    case 'uint8':
    case 'bool':
    case 'float8e4m3fn':
    case 'float8e4m3fnuz':
    case 'float8e5m2':
    case 'float8e5m2fnuz':
    case 'float8e8m0':
    case 'uint4':
    case 'int4':
    case 'float4e2m1':
    case 'uint2':
    case 'int2':
      return littleEndian(1, int32Data.length, (view, i) => view.setInt8(i, int32Data[i] ?? 0));
  }
};

/**
 * Reads a tensor.
 *
 * @param what names it in errors
 * @throws BitlaneError `BAD_MODEL` when its type, dimensions and data do not fit together
 */
export const readTensor = (proto: TensorProto, what: string, external: ExternalData): Tensor => {
  const type = typeOfCode(proto.dataType);
  if (type === undefined)
    throw badModel(`${what} has the element type ${proto.dataType}, which ONNX does not have`);
  if (proto.segment !== undefined)
    throw badModel(`${what} is a segment of a tensor, which bitlane does not read`);
  const dims = dimsOf(proto, what);
  const isExternal = proto.dataLocation === TensorProto_DataLocation.EXTERNAL;
  const shell = Object.assign(create(TensorProtoSchema), proto);
  const tensor = ((): Tensor => {
    if (type === 'string') {
      if (isExternal || proto.stringData.length !== sizeOf(dims)) {
        throw badModel(`${what} of shape [${dims.join(', ')}] holds ${proto.stringData.length} strings`);
      }
      return { kind: 'string', type, dims, strings: proto.stringData };
    }
    const size = Math.ceil(byteSizeOf(type, dims));
    const isRaw = proto.rawData.length > 0;
    const bytes = isExternal
      ? external.read(proto, size, what)
      : isRaw
        ? proto.rawData
        : listedBytes(proto, type);
    if (bytes.length !== size) {
      throw badModel(
        `${what}, ${type} of shape [${dims.join(', ')}], needs ${size} bytes of data and has ${bytes.length}`,
      );
    }
    if (isExternal || isRaw) {
      shell.rawData = new Uint8Array(0);
      shell.externalData = [];
      Reflect.deleteProperty(shell, 'dataLocation');
    }
    return tensorOfBytes(type, dims, bytes);
  })();
  origins.tensor.set(tensor, shell);
  return tensor;
};

/** Writes a tensor under `name`, in the form it was read in. */
export const writeTensor = (tensor: Tensor, name?: string): TensorProto => {
  const origin = origins.tensor.get(tensor);
  const proto = Object.assign(create(TensorProtoSchema), origin);
  if (name !== undefined && proto.name !== name) proto.name = name;
  if (origin === undefined) {
    proto.dims = tensor.dims.map(BigInt);
    proto.dataType = codeOf(tensor.type);
    if (tensor.kind === 'string') proto.stringData = tensor.strings.map((text) => Uint8Array.from(text));
  }
  const isListed =
    origin !== undefined &&
    [proto.floatData, proto.doubleData, proto.int32Data, proto.int64Data, proto.uint64Data].some(
      (list) => list.length > 0,
    );
  if (tensor.kind !== 'string' && !isListed) {
    const bytes = bytesOfTensor(tensor) as Uint8Array<ArrayBuffer>;
    if (bytes.length > 0 || origin === undefined || Object.hasOwn(origin, 'rawData')) proto.rawData = bytes;
  }
  return proto;
};
