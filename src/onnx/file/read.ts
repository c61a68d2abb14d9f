// Reading a model: size, wire format, versions, graph, in that order; anything wrong is one plain sentence.
import { fromBinary } from '@bufbuild/protobuf';
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type ModelProto, ModelProtoSchema } from 'onnx-buf';
import { BitlaneError } from '../../errors.js';
import { badModel, MAX_FILE_BYTES, MAX_IR_VERSION, MAX_OPSET, MIN_OPSET } from '../limits.js';
import { Model } from '../model.js';
import { ExternalData } from './external.js';
import { origins } from './origin.js';
import { readGraph } from './readGraph.js';
import { scanMessage } from './scan.js';

/** Operator set versions by domain, `ai.onnx` under its other name `''`. */
export const opsetsOf = (proto: ModelProto): Map<string, number> =>
  new Map(
    proto.opsetImport.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, Number(version)]),
  );

const checkVersions = (proto: ModelProto, what: string): void => {
  const ir = Number(proto.irVersion);
  if (ir < 3 || ir > MAX_IR_VERSION) {
    throw badModel(`${what} has ir_version ${ir}; bitlane reads 3 to ${MAX_IR_VERSION}`);
  }
  const opset = opsetsOf(proto).get('');
  if (opset === undefined) throw badModel(`${what} does not say which ONNX operator set it uses`);
  if (opset < MIN_OPSET || opset > MAX_OPSET) {
    throw badModel(`${what} uses ONNX opset ${opset}; bitlane reads ${MIN_OPSET} to ${MAX_OPSET}`);
  }
  if (proto.functions.length > 0) {
    throw badModel(
      `${what} defines functions of its own, which bitlane does not read: export it with them inlined`,
    );
  }
  if (proto.trainingInfo.length > 0) {
    throw badModel(
      `${what} carries training information, which bitlane does not read: export it for inference`,
    );
  }
};

const checkDomains = (model: Model, what: string): void => {
  for (const node of model.graph.nodes()) {
    const domain = node.domain === 'ai.onnx' ? '' : node.domain;
    if (!model.opsets.has(domain)) {
      throw badModel(`node ${node.label} is of the domain ${domain}, which ${what} does not import`);
    }
  }
};

const parse = (given: Uint8Array, what: string, folder: string | undefined): Model => {
  // A Buffer's `slice` shares memory where an array's copies: everything below works on a plain array.
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length > MAX_FILE_BYTES) throw badModel(`${what} is larger than ${MAX_FILE_BYTES} bytes`);
  if (bytes.length === 0) throw badModel(`${what} is empty`);
  scanMessage(ModelProtoSchema, bytes, what);
  let proto: ModelProto;
  try {
    proto = fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw badModel(`${what} is no ONNX file, or it is truncated or altered`, error);
  }
  if (proto.graph === undefined) throw badModel(`${what} holds no graph: it is no ONNX model`);
  checkVersions(proto, what);
  const graph = readGraph(proto.graph, new ExternalData(folder));
  const model = new Model({ graph, irVersion: Number(proto.irVersion), opsets: opsetsOf(proto) });
  checkDomains(model, what);
  for (const { key, value } of proto.metadataProps) model.metadata.set(key, value);
  model.producerName = proto.producerName;
  model.producerVersion = proto.producerVersion;
  Reflect.deleteProperty(proto, 'graph');
  origins.model.set(model, proto);
  return model;
};

const readFile = (path: string): Uint8Array => {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw badModel(`${path} is not a file`);
    if (found.size > MAX_FILE_BYTES) throw badModel(`${path} is larger than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    throw badModel(`${path} is missing or cannot be read`, error);
  }
};

/**
 * Reads an ONNX model (opset 11 to 26). A path may have external data in files of its folder; bytes may not.
 *
 * @throws BitlaneError `BAD_MODEL` for anything that is no sound model; time and memory stay in proportion to the file
 */
export const readModel = (model: string | Uint8Array): Model =>
  typeof model === 'string'
    ? parse(readFile(model), model, dirname(model))
    : parse(model, 'the model', undefined);
