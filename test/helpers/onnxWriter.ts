// Writes ONNX files for tests: just enough of the protobuf wire format, so that no fixture has to be a binary.

/** ONNX element types by number. */
export const ELEMENT = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type Element = keyof typeof ELEMENT;

export interface TensorValue {
  readonly name: string;
  readonly type: Element;
  readonly dims: readonly number[];
  /** Little-endian, row-major. */
  readonly raw: Uint8Array;
  /** Path of an external data file; `raw` is then left out. */
  readonly external?: string;
}

export interface GraphValue {
  readonly name: string;
  readonly type: Element;
  /** A string is a dynamic dimension. */
  readonly shape: readonly (number | string)[];
}

type Attribute = number | { readonly float: number } | { readonly ints: readonly number[] } | TensorValue;

export interface GraphNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface OnnxGraph {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly initializers?: readonly TensorValue[];
  readonly opset?: number;
  readonly irVersion?: number;
}

const varint = (value: number | bigint): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
};
const number = (field: number, value: number): Buffer => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field: number, value: Uint8Array): Buffer =>
  Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
const float = (field: number, value: number): Buffer => {
  const fixed = Buffer.alloc(4);
  fixed.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), fixed]);
};
const message = (field: number, parts: readonly Uint8Array[]): Buffer => bytes(field, Buffer.concat(parts));

const tensorParts = (tensor: TensorValue): Buffer[] => [
  ...tensor.dims.map((dim) => number(1, dim)),
  number(2, ELEMENT[tensor.type]),
  text(8, tensor.name),
  ...(tensor.external === undefined
    ? [bytes(9, tensor.raw)]
    : [message(13, [text(1, 'location'), text(2, tensor.external)]), number(14, 1)]),
];

const attributeParts = (name: string, value: Attribute): Buffer[] => {
  if (typeof value === 'number') return [text(1, name), number(3, value), number(20, 2)];
  if ('float' in value) return [text(1, name), float(2, value.float), number(20, 1)];
  if ('ints' in value) return [text(1, name), ...value.ints.map((item) => number(8, item)), number(20, 7)];
  return [text(1, name), message(5, tensorParts(value)), number(20, 4)];
};

const valueParts = (value: GraphValue): Buffer[] => [
  text(1, value.name),
  message(2, [
    message(1, [
      number(1, ELEMENT[value.type]),
      message(
        2,
        value.shape.map((dim) => message(1, [typeof dim === 'number' ? number(1, dim) : text(2, dim)])),
      ),
    ]),
  ]),
];

/** The bytes of an ONNX file. */
export const writeOnnx = (graph: OnnxGraph): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(
    Buffer.concat([
      number(1, graph.irVersion ?? 8),
      text(2, 'bitlane tests'),
      message(7, [
        ...graph.nodes.map((node) =>
          message(1, [
            ...node.inputs.map((name) => text(1, name)),
            ...node.outputs.map((name) => text(2, name)),
            text(4, node.op),
            ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
              message(5, attributeParts(name, value)),
            ),
          ]),
        ),
        text(2, 'graph'),
        ...(graph.initializers ?? []).map((tensor) => message(5, tensorParts(tensor))),
        ...graph.inputs.map((value) => message(11, valueParts(value))),
        ...graph.outputs.map((value) => message(12, valueParts(value))),
      ]),
      message(8, [text(1, ''), number(2, graph.opset ?? 13)]),
    ]),
  );

const rawOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export const floats = (name: string, dims: readonly number[], values: Float32Array): TensorValue => ({
  name,
  type: 'float32',
  dims,
  raw: rawOf(values),
});

export const ints = (name: string, values: readonly number[]): TensorValue => ({
  name,
  type: 'int64',
  dims: [values.length],
  raw: rawOf(BigInt64Array.from(values, BigInt)),
});

export const int32Scalar = (name: string, value: number): TensorValue => ({
  name,
  type: 'int32',
  dims: [],
  raw: rawOf(Int32Array.of(value)),
});
