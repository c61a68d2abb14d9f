// Reading and writing: the same bytes where nothing changed, the same bits where they cannot be.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  cloneModel,
  Graph,
  int,
  ints,
  intsTensor,
  Model,
  packTensor,
  readModel,
  saveModel,
  tensorOf,
  unpackTensor,
  writeModel,
} from '../../src/onnx/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector, type TinyOptions } from '../helpers/tinyModel.js';
import { differences, feedsFor, noise, outputsOf } from './bits.js';

const folder = mkdtempSync(join(tmpdir(), 'bitlane-onnx-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const classes = ['car', 'bus'];
const box = { x1: 8, y1: 8, x2: 30, y2: 28, classId: 1, score: 0.75 };

const TINY: readonly TinyOptions[] = [
  { head: 'yolox', classes, boxes: [box], delayLayers: 2 },
  { head: 'yolov8', classes, boxes: [box], anchors: 12, marker: 3, extraInput: true },
  { head: 'end-to-end', classes, boxes: [box], failAbove: 2, opset: 17 },
  { head: 'gfl', classes, boxes: [box], padBytes: 4000, hungryBytes: 4000 },
];

t.test('tiny models come out byte for byte, as a copy too', async (t) => {
  for (const options of TINY) {
    const { bytes } = tinyDetector(options);
    const model = readModel(bytes);
    t.ok(same(writeModel(model), bytes), options.head);
    t.ok(same(writeModel(cloneModel(model)), bytes), `${options.head}, copied`);
    const feeds = await feedsFor(bytes);
    t.same(differences(await outputsOf(bytes, feeds), await outputsOf(writeModel(model), feeds)), []);
  }
});

t.test('YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const path = requireData('models', 'yolox-nano', 'yolox_nano.onnx');
  const bytes = readFileSync(path);
  const model = readModel(path);
  t.equal(model.graph.nodeCount, 369);
  t.equal(model.opset, 11);
  const written = writeModel(model);
  t.ok(same(written, bytes), 'byte for byte');
  t.ok(same(writeModel(cloneModel(model)), bytes), 'a copy too');
  const feeds = await feedsFor(bytes);
  t.same(differences(await outputsOf(bytes, feeds), await outputsOf(written, feeds)), [], 'bit for bit');
});

/** x [1, 2, 4, 4] through a convolution whose weights are `type`, cast and dequantized. */
const packedModel = (type: 'int4' | 'int2' | 'uint4' | 'uint2'): Model => {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [1, 2, 4, 4]);
  const low = type === 'int4' ? -8 : type === 'int2' ? -2 : 0;
  const range = type.endsWith('4') ? 16 : 4;
  const values = Array.from({ length: 3 * 2 * 3 * 3 }, (_, i) => low + ((i * 7) % range));
  const w = graph.addInitializer('w', packTensor(type, [3, 2, 3, 3], values));
  const wide = type.startsWith('u') ? 'uint8' : 'int8';
  const cast = graph.addNode({
    opType: 'Cast',
    inputs: [w],
    outputs: ['w8'],
    attributes: { to: int(wide === 'int8' ? 3 : 2) },
  });
  const scale = graph.addInitializer('scale', tensorOf('float32', [3], Float32Array.of(0.5, 0.25, 2)));
  const zero = graph.addInitializer(
    'zero',
    wide === 'int8'
      ? tensorOf('int8', [3], new Int8Array(3))
      : tensorOf('uint8', [3], Uint8Array.of(1, 2, 0)),
  );
  const dequantized = graph.addNode({
    opType: 'DequantizeLinear',
    inputs: [cast.output(), scale, zero],
    outputs: ['wf'],
    attributes: { axis: int(0) },
  });
  const conv = graph.addNode({
    opType: 'Conv',
    inputs: [x, dequantized.output()],
    outputs: ['y'],
    attributes: { kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1]) },
  });
  const y = conv.output();
  if (y === undefined) throw new Error('no output');
  y.type = 'float32';
  graph.addOutput(y);
  return new Model({ graph, irVersion: 13, opsets: [['', 25]] });
};

t.test('packed weights run in onnxruntime and are what was packed', async (t) => {
  for (const type of ['int4', 'uint4', 'int2', 'uint2'] as const) {
    const model = packedModel(type);
    const bytes = writeModel(model);
    const back = readModel(bytes);
    const tensor = back.graph.value('w')?.tensor;
    const before = model.graph.value('w')?.tensor;
    if (tensor?.kind !== 'packed' || before?.kind !== 'packed') throw new Error('not packed');
    t.same(unpackTensor(tensor), unpackTensor(before));
    t.ok(same(writeModel(back), bytes), type);
    // The same with the weights unpacked to bytes by hand.
    const twin = cloneModel(model);
    const w8 = twin.graph.value('w8');
    if (w8 === undefined) throw new Error('no w8');
    const values = unpackTensor(tensor);
    const plain = twin.graph.addInitializer(
      'plain',
      values instanceof Int8Array
        ? tensorOf('int8', tensor.dims, values)
        : tensorOf('uint8', tensor.dims, values),
    );
    const producer = w8.producer;
    if (producer === undefined) throw new Error('no cast');
    twin.graph.replaceNode(producer, [plain]);
    const feeds = await feedsFor(bytes);
    t.same(differences(await outputsOf(bytes, feeds), await outputsOf(writeModel(twin), feeds)), [], type);
  }
});

t.test('external data is read, and written', async (t) => {
  const { bytes } = tinyDetector({ head: 'yolox', classes, boxes: [box], delayLayers: 1 });
  const path = join(folder, 'outside.onnx');
  saveModel(readModel(bytes), path, { externalFrom: 256 });
  t.ok(readFileSync(path).length < bytes.length / 2, 'the weights are elsewhere');
  const model = readModel(path);
  t.ok(same(writeModel(model), bytes), 'inside again');
  const feeds = await feedsFor(bytes);
  t.same(differences(await outputsOf(bytes, feeds), await outputsOf(path, feeds)), []);
  t.throws(() => readModel(readFileSync(path)), { code: 'BAD_MODEL' }, 'bytes have no folder');
});

t.test('external data stays in the folder', async (t) => {
  const inner = join(folder, 'inner');
  mkdirSync(inner);
  writeFileSync(join(folder, 'secret.bin'), new Uint8Array(4));
  writeFileSync(join(inner, 'short.bin'), new Uint8Array(3));
  writeFileSync(join(inner, 'right.bin'), new Uint8Array(4));
  mkdirSync(join(inner, 'folder.bin'));
  symlinkSync(join(folder, 'secret.bin'), join(inner, 'link.bin'));
  symlinkSync('right.bin', join(inner, 'friend.bin'));
  const read = (location: string): void => {
    const path = join(inner, 'model.onnx');
    writeFileSync(path, tinyDetector({ head: 'yolox', classes, externalWeights: location }).bytes);
    readModel(path);
  };
  for (const location of [
    '../secret.bin',
    join(folder, 'secret.bin'),
    'link.bin',
    'short.bin',
    'none.bin',
    'folder.bin',
    'a/../right.bin',
  ]) {
    t.throws(() => read(location), { code: 'BAD_MODEL' }, location);
  }
  read('right.bin');
  read('friend.bin');
});

t.test('a model that is made here reads back', async (t) => {
  const graph = new Graph('made');
  const x = graph.addInput('x', 'float32', ['batch', 6]);
  const shape = graph.addInitializer('shape', intsTensor([-1, 2, 3]));
  const weights = graph.addInitializer('w', tensorOf('float32', [3, 3], noise(9)));
  const reshaped = graph.addNode({ opType: 'Reshape', inputs: [x, shape] });
  const y = graph.addNode({ opType: 'MatMul', inputs: [reshaped.output(), weights], outputs: ['y'] });
  const out = y.output();
  if (out === undefined) throw new Error('no output');
  out.type = 'float32';
  graph.addOutput(out);
  const model = new Model({ graph, irVersion: 8, opsets: [['', 17]] });
  model.metadata.set('head', 'none');
  const bytes = writeModel(model);
  const back = readModel(bytes);
  t.same(back.graph.inputs[0]?.shape, ['batch', 6]);
  t.same([...back.metadata], [['head', 'none']]);
  t.ok(same(writeModel(back), bytes));
  t.same((await outputsOf(bytes, await feedsFor(bytes)))['y']?.dims, [2, 2, 3]);
});
