// Files that are broken or mean harm: one plain sentence each, and thousands of mutations without a crash.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ModelProto,
  ModelProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
} from 'onnx-buf';
import t from 'tap';
import { BitlaneError } from '../../src/errors.js';
import {
  cloneModel,
  foldBatchNorm,
  foldConstants,
  inferShapes,
  readModel,
  removeDeadNodes,
  removeIdentities,
  removeUnusedInitializers,
  runPasses,
  upgradeOpset,
  writeModel,
} from '../../src/onnx/index.js';
import { tinyDetector } from '../helpers/tinyModel.js';
import { numbers } from './bits.js';
import { Net } from './net.js';
import { deepModel, ifModel, info, modelBytes, plainNode } from './subgraphs.js';
import { zoo } from './zoo.js';

const refusal = (bytes: Uint8Array): string => {
  try {
    readModel(bytes);
  } catch (error) {
    if (error instanceof BitlaneError && error.code === 'BAD_MODEL') return error.message;
    throw error;
  }
  return 'no refusal';
};

const small = (): ModelProto => {
  const net = new Net(17);
  const x = net.input('x', [1, 2, 4, 4]);
  const conv = net.op('Conv', [x, net.weights([3, 2, 1, 1])]);
  return fromBinary(ModelProtoSchema, net.bytes(net.op('Relu', [conv])));
};

/** The small model with one thing wrong. */
const broken = (change: (model: ModelProto, graph: NonNullable<ModelProto['graph']>) => void): Uint8Array => {
  const model = small();
  if (model.graph === undefined) throw new Error('no graph');
  change(model, model.graph);
  return toBinary(ModelProtoSchema, model);
};

type Graph = NonNullable<ModelProto['graph']>;
const weight = (graph: Graph) => graph.initializer[0] ?? create(TensorProtoSchema);
const node = (graph: Graph, index: number) => graph.node[index] ?? create(NodeProtoSchema);
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];

const WRONG: Readonly<Record<string, readonly [Uint8Array, RegExp]>> = {
  empty: [new Uint8Array(0), /is empty/],
  text: [Buffer.from('this is not a model'), /no ONNX file/],
  picture: [Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70), /no ONNX file/],
  zeros: [new Uint8Array(64), /no ONNX file/],
  'gigabytes promised': [Uint8Array.of(0x3a, ...varint(2 ** 31)), /truncated/],
  'more than 32 bits promised': [Uint8Array.of(0x3a, ...varint(2 ** 34 + 8), 1, 2, 3, 4), /truncated/],
  'no end of a varint': [new Uint8Array(40).fill(0xff), /no ONNX file/],
  groups: [new Uint8Array(4096).fill(0x0b), /no ONNX file/],
  'no graph': [broken((model) => Reflect.deleteProperty(model, 'graph')), /no graph/],
  'opset too new': [modelBytes(create(GraphProtoSchema), 27), /opset 27/],
  'opset too old': [modelBytes(create(GraphProtoSchema), 10), /opset 10/],
  'no opset': [broken((model) => (model.opsetImport = [])), /operator set/],
  ir_version: [broken((model) => (model.irVersion = 99n)), /ir_version 99/],
  'a cycle': [broken((_, graph) => (node(graph, 0).input[0] = node(graph, 1).output[0] ?? '')), /cycle/],
  'a node that needs itself': [
    broken((_, graph) => (node(graph, 1).input[0] = node(graph, 1).output[0] ?? '')),
    /cycle/,
  ],
  'a missing input': [broken((_, graph) => (node(graph, 0).input[0] = 'nowhere')), /takes nowhere/],
  'a missing output': [broken((_, graph) => graph.output.push(info('nowhere'))), /puts out nowhere/],
  'two nodes of one output': [broken((_, graph) => graph.node.push(node(graph, 0))), /must be unique/],
  'two initializers of one name': [
    broken((_, graph) => graph.initializer.push(weight(graph))),
    /must be unique/,
  ],
  'two inputs of one name': [broken((_, graph) => graph.input.push(info('x'))), /must be unique/],
  'two outputs of one name': [
    broken((_, graph) => graph.output.push(graph.output[0] ?? info('x'))),
    /must be unique/,
  ],
  'a node over an input': [
    broken((_, graph) => graph.node.push(plainNode('Relu', ['x'], ['x']))),
    /must be unique|cycle/,
  ],
  'no operator': [broken((_, graph) => (node(graph, 0).opType = '')), /no operator/],
  'a domain that is not imported': [broken((_, graph) => (node(graph, 0).domain = 'evil')), /domain evil/],
  'too little data': [
    broken((_, graph) => (weight(graph).rawData = new Uint8Array(8))),
    /needs 24 bytes.*has 8/,
  ],
  'too much data': [broken((_, graph) => (weight(graph).rawData = new Uint8Array(999))), /needs 24 bytes/],
  'a promise of terabytes': [
    broken((_, graph) => (weight(graph).dims = [2n ** 40n])),
    /more than \d+ elements/,
  ],
  'a product beyond all numbers': [
    broken((_, graph) => (weight(graph).dims = [2n ** 62n, 2n ** 62n, 0n])),
    /elements/,
  ],
  'a negative size': [broken((_, graph) => (weight(graph).dims = [-1n, 2n])), /dimension -1/],
  'a negative dimension of a value': [
    broken((_, graph) => (graph.input[0] = info('x', 1, [-5]))),
    /dimension -5/,
  ],
  'an unknown element type': [broken((_, graph) => (weight(graph).dataType = 77)), /element type 77/],
  'no element type': [broken((_, graph) => (weight(graph).dataType = 0)), /element type 0/],
  'an unknown type of a value': [broken((_, graph) => (graph.input[0] = info('x', 99))), /element type 99/],
  'external data without a folder': [
    tinyDetector({ head: 'yolox', classes: ['car'], externalWeights: 'w.bin' }).bytes,
    /without a folder/,
  ],
  'graphs in graphs': [deepModel(30), /deeper than/],
  'a subgraph that needs nothing there is': [
    broken((_, graph) => {
      const inner = fromBinary(ModelProtoSchema, ifModel()).graph;
      if (inner !== undefined) graph.node.push(node(inner, 2));
      graph.input.push(info('condition', 9, []));
    }),
    /nothing in the graph computes/,
  ],
  'millions of nothing': [
    Uint8Array.from([
      ...[0x3a, ...varint(6_000_000)],
      ...Array.from({ length: 6_000_000 }, (_, i) => (i % 2 === 0 ? 0x0a : 0)),
    ]),
    /more parts/,
  ],
};

t.test('each gets its sentence', async (t) => {
  for (const [what, [bytes, expected]] of Object.entries(WRONG)) {
    const message = refusal(bytes);
    t.match(message, expected, what);
    t.notMatch(message, /\n|undefined|NaN|\[object/, `${what}: plain`);
  }
  t.throws(() => readModel('/no/such/model.onnx'), { code: 'BAD_MODEL' });
  t.throws(() => readModel('/dev/null'), { code: 'BAD_MODEL' });
  t.throws(() => readModel('/'), { code: 'BAD_MODEL' });
});

t.test('shapes that double for ever cost nothing', async (t) => {
  const net = new Net(17);
  let shape = net.op('Shape', [net.input('x', [2, 2])]);
  let big = net.input('y', [1, 1024]);
  for (let i = 0; i < 70; i++) {
    shape = net.op('Concat', [shape, shape], { axis: 0 });
    big = net.op('Concat', [big, big], { axis: 1 });
  }
  const model = net.model(net.op('Reshape', [big, shape]));
  inferShapes(model);
  t.same(big.shape, [1, ''], 'beyond all numbers is unknown');
  t.equal(shape.shape?.length, 1);
});

t.test('a graph in a graph is still read', async (t) => {
  t.equal(readModel(deepModel(4)).graph.nodeCount, 1);
});

/** Every message of a model with its parents' slots: what a mutation may touch. */
const parts = (root: object): Record<string, unknown>[] => {
  const found: Record<string, unknown>[] = [];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(walk);
    else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
      if ('$typeName' in value) found.push(value);
      Object.values(value).forEach(walk);
    }
  };
  walk(root);
  return found;
};

const BIG = [0n, -1n, 1n, 7n, 2n ** 31n, 2n ** 62n, -(2n ** 63n)];

/** Changes one field of one message in a way that still can be written. */
const mutateField = (model: ModelProto, next: () => number): void => {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(next() * list.length)];
  const all = parts(model);
  const names = all.flatMap((part) => (typeof part['name'] === 'string' ? [part['name']] : []));
  const part = pick(all);
  const key = pick(Object.keys(part ?? {}).filter((name) => !name.startsWith('$')));
  if (part === undefined || key === undefined) return;
  const value = part[key];
  if (typeof value === 'string') part[key] = pick([...names.slice(0, 20), '', 'Softmax', 'If', '..']) ?? '';
  else if (typeof value === 'bigint') part[key] = pick(BIG);
  else if (typeof value === 'number') part[key] = pick([0, 1, 3, 7, 22, 26, 127]);
  else if (value instanceof Uint8Array) part[key] = value.slice(0, Math.floor(next() * value.length));
  else if (Array.isArray(value)) {
    const list: unknown[] = value;
    const at = Math.floor(next() * list.length);
    const kind = Math.floor(next() * 4);
    if (kind === 0) list.splice(at, 1);
    else if (kind === 1 && list.length > 0) list.push(list[at]);
    else if (kind === 2) list.reverse();
    else if (typeof list[at] === 'bigint') list[at] = pick(BIG);
    else if (typeof list[at] === 'string') list[at] = pick(names) ?? '';
    else list.length = 0;
  } else if (typeof value === 'object' && value !== null && '$typeName' in value)
    Reflect.deleteProperty(part, key);
};

const mutate = (bytes: Uint8Array, next: () => number, round: number): Uint8Array => {
  if (round % 3 === 0) {
    const copy = bytes.slice();
    for (let i = 0; i <= next() * 4; i++) {
      const at = Math.floor(next() * copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(next() * 8));
    }
    return copy;
  }
  if (round % 12 === 1) return bytes.slice(0, Math.floor(next() * bytes.length));
  const model = fromBinary(ModelProtoSchema, bytes);
  for (let i = 0; i <= next() * 2; i++) mutateField(model, next);
  return toBinary(ModelProtoSchema, model);
};

const MUTATIONS = 5000;

t.test(`${MUTATIONS} mutations: read or refused, never anything else`, async (t) => {
  const bases = [
    ...zoo()
      .map(({ bytes }) => bytes)
      .filter((bytes) => bytes.length < 30_000),
    ifModel(),
    toBinary(ModelProtoSchema, small()),
  ];
  const next = numbers(2024);
  const counts = { refused: 0, read: 0, late: 0 };
  const wrong: string[] = [];
  for (let round = 0; round < MUTATIONS; round++) {
    let step = 'mutate';
    try {
      const bytes = mutate(bases[round % bases.length] ?? new Uint8Array(), next, round);
      step = 'read';
      const model = readModel(bytes);
      counts.read += 1;
      step = 'work';
      inferShapes(model);
      writeModel(cloneModel(model), { declareAll: true });
      runPasses(model, [
        foldConstants,
        removeIdentities,
        foldBatchNorm,
        removeDeadNodes,
        removeUnusedInitializers,
      ]);
      runPasses(model, [upgradeOpset(25)]);
      readModel(writeModel(model));
    } catch (error) {
      if (!(error instanceof BitlaneError) || error.code !== 'BAD_MODEL' || /\n/.test(error.message)) {
        wrong.push(`${round}, ${step}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
      } else if (step === 'read') counts.refused += 1;
      else counts.late += 1;
    }
  }
  t.same(wrong.slice(0, 3), []);
  t.ok(counts.refused > MUTATIONS / 10 && counts.read > MUTATIONS / 10, JSON.stringify(counts));
});
