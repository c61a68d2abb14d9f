// Writing a model: what was read and not changed comes out as it was.
import { create, toBinary } from '@bufbuild/protobuf';
import { basename, dirname, join } from 'node:path';
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
} from 'onnx-buf';
import { writeFileAtomic } from '../../system/index.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { badModel, MAX_FILE_BYTES } from '../limits.js';
import type { Model } from '../model.js';
import { writeAttribute } from './attributeProto.js';
import { origins } from './origin.js';
import { opsetsOf } from './read.js';
import { writeTensor } from './tensorProto.js';
import { writeDeclared } from './valueProto.js';

export interface WriteOptions {
  /** Declare the type and shape of every value where they are known, not only of those that the file declared. */
  readonly declareAll?: boolean;
}

export interface SaveOptions extends WriteOptions {
  /** Initializers of at least so many bytes go into a file `NAME.data` beside the model. */
  readonly externalFrom?: number;
}

const nodeProto = (node: Node): NodeProto => {
  const proto = Object.assign(create(NodeProtoSchema), origins.node.get(node));
  proto.input = node.inputs.map((value) => value?.name ?? '');
  proto.output = node.outputs.map((value) => value?.name ?? '');
  if (proto.opType !== node.opType) proto.opType = node.opType;
  if (proto.name !== node.name) proto.name = node.name;
  if (proto.domain !== node.domain) proto.domain = node.domain;
  proto.attribute = [...node.attributes].map(([name, attribute]) => writeAttribute(name, attribute));
  return proto;
};

const sameEntries = <T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);

const modelProto = (model: Model, options: WriteOptions): ModelProto => {
  model.graph.sort();
  const proto = Object.assign(create(ModelProtoSchema), origins.model.get(model));
  if (Number(proto.irVersion) !== model.irVersion) proto.irVersion = BigInt(model.irVersion);
  if (proto.producerName !== model.producerName) proto.producerName = model.producerName;
  if (proto.producerVersion !== model.producerVersion) proto.producerVersion = model.producerVersion;
  if (!sameEntries(opsetsOf(proto), model.opsets)) {
    proto.opsetImport = [...model.opsets].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
    );
  }
  if (!sameEntries(new Map(proto.metadataProps.map(({ key, value }) => [key, value])), model.metadata)) {
    proto.metadataProps = [...model.metadata].map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
  }
  const { graph } = model;
  const origin = origins.graph.get(graph);
  const graphProto = Object.assign(create(GraphProtoSchema), origin?.shell);
  if (graphProto.name !== graph.name) graphProto.name = graph.name;
  graphProto.node = Array.from(graph.nodes(), nodeProto);
  graphProto.initializer = graph.initializers.map((value) =>
    value.tensor === undefined ? writeMissing(value) : writeTensor(value.tensor, value.name),
  );
  graphProto.input = graph.inputs.map(writeDeclared);
  graphProto.output = graph.outputs.map(writeDeclared);
  const declared = new Set<Value>(
    (origin?.declared ?? []).filter((value) => graph.value(value.name) === value),
  );
  if (options.declareAll === true) {
    for (const value of graph.values) {
      if (value.producer !== undefined && value.type !== undefined && !value.isOutput) declared.add(value);
    }
  }
  graphProto.valueInfo = [...declared].map(writeDeclared);
  proto.graph = graphProto;
  return proto;
};

const writeMissing = (value: Value): never => {
  throw badModel(`initializer ${value.name} holds no tensor`);
};

const toBytes = (proto: ModelProto): Uint8Array<ArrayBuffer> => {
  const bytes = toBinary(ModelProtoSchema, proto);
  if (bytes.length > MAX_FILE_BYTES) {
    throw badModel(`the model takes more than ${MAX_FILE_BYTES} bytes: save it with external data`);
  }
  return bytes;
};

/**
 * The bytes of a model, weights inside; nodes are put into topological order first.
 *
 * @throws BitlaneError `BAD_MODEL` when the graph has a cycle or the file would be too large
 */
export const writeModel = (model: Model, options: WriteOptions = {}): Uint8Array<ArrayBuffer> =>
  toBytes(modelProto(model, options));

/** Where tensors begin in a data file: a page, so that they can be mapped. */
const ALIGNMENT = 4096;

/** Writes a model to `path`, and its large initializers to `path` with `.data` behind it where that is asked for. */
export const saveModel = (model: Model, path: string, options: SaveOptions = {}): void => {
  const proto = modelProto(model, options);
  const { externalFrom } = options;
  if (externalFrom !== undefined) {
    const location = `${basename(path)}.data`;
    const chunks: Uint8Array[] = [];
    let offset = 0;
    for (const tensor of proto.graph?.initializer ?? []) {
      const { length } = tensor.rawData;
      if (length === 0 || length < externalFrom) continue;
      const entries = { location, offset: String(offset), length: String(length) };
      tensor.externalData = Object.entries(entries).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      );
      tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
      const padded = Math.ceil(length / ALIGNMENT) * ALIGNMENT;
      chunks.push(tensor.rawData, new Uint8Array(padded - length));
      offset += padded;
      Reflect.deleteProperty(tensor, 'rawData');
    }
    if (chunks.length > 0) writeFileAtomic(join(dirname(path), location), Buffer.concat(chunks));
  }
  writeFileAtomic(path, toBytes(proto));
};
