// Passes: what they take away, what they must leave, and that the model computes the same.
import t from 'tap';
import {
  float,
  foldBatchNorm,
  foldConstants,
  freezeInitializers,
  ints,
  readModel,
  removeDeadNodes,
  removeIdentities,
  removeUnusedInitializers,
  runPasses,
  tensor,
  tensorOf,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import { differences, feedsFor, outputsOf } from './bits.js';
import { Net } from './net.js';
import { zoo } from './zoo.js';

const operators = (bytes: Uint8Array): string[] =>
  Array.from(readModel(bytes).graph.nodes(), (node) => node.opType);

const ALL = [
  freezeInitializers,
  foldConstants,
  removeIdentities,
  foldBatchNorm,
  removeDeadNodes,
  removeUnusedInitializers,
];

t.test('dead nodes and unused initializers go, the rest computes the same', async (t) => {
  for (const { name, bytes } of zoo()) {
    const model = readModel(bytes);
    const [first, ...others] = model.graph.outputs;
    if (first === undefined) throw new Error('no output');
    for (const output of others) model.graph.removeOutput(output);
    t.ok(runPasses(model, [removeDeadNodes, removeUnusedInitializers]).includes(removeDeadNodes.name), name);
    t.same(
      runPasses(model, [removeDeadNodes, removeUnusedInitializers]),
      [],
      `${name}: nothing is left to do`,
    );
    for (const node of model.graph.nodes()) t.ok(node.outputs.some((value) => value?.isUsed === true));
    const feeds = await feedsFor(bytes);
    const before = await outputsOf(bytes, feeds);
    const after = await outputsOf(writeModel(model), feeds);
    t.same(Object.keys(after), [first.name]);
    t.same(
      differences(after, Object.fromEntries(Object.entries(before).filter(([key]) => key === first.name))),
      [],
      name,
    );
  }
});

t.test('constants become initializers, identities go', async (t) => {
  const net = new Net(17);
  const x = net.input('x', [2, 3]);
  const a = net.op('Constant', [], { value: tensor(tensorOf('float32', [3], Float32Array.of(1, 2, 3))) });
  const b = net.op('Constant', [], { value_floats: { type: 'floats', value: [0.5, 0.25, 4] } });
  const c = net.op('Constant', [], { value_float: float(3) });
  const shape = net.op('Constant', [], { value_ints: ints([3, 2]) });
  const sum = net.op('Add', [net.op('Mul', [net.op('Identity', [x]), a]), net.op('Identity', [b])]);
  const shaped = net.op('Reshape', [net.op('Sub', [sum, c]), shape]);
  const same = net.op('Identity', [shaped]);
  const dropped = net.op('Dropout', [sum]);
  const bytes = net.bytes(same, net.op('Identity', [x]), net.op('Relu', [dropped]));
  const model = readModel(bytes);
  t.same(runPasses(model, [foldConstants, removeIdentities]), ['fold constants', 'remove identities']);
  const after = writeModel(model);
  t.same(
    operators(after).sort(),
    ['Add', 'Identity', 'Mul', 'Relu', 'Reshape', 'Sub'],
    'but not input to output',
  );
  const feeds = await feedsFor(bytes);
  t.same(differences(await outputsOf(bytes, feeds), await outputsOf(after, feeds)), []);
});

type Layer = (net: Net, x: Value) => { y: Value; channels: number };

const LAYERS: Readonly<Record<string, Layer>> = {
  conv: (net, x) => ({ y: net.op('Conv', [x, net.weights([6, 4, 3, 3])]), channels: 6 }),
  convBias: (net, x) => ({
    y: net.op('Conv', [x, net.weights([6, 4, 1, 1]), net.weights([6])]),
    channels: 6,
  }),
  depthwise: (net, x) => ({ y: net.op('Conv', [x, net.weights([4, 1, 3, 3])], { group: 4 }), channels: 4 }),
  transposed: (net, x) => ({
    y: net.op('ConvTranspose', [x, net.weights([4, 5, 2, 2]), net.weights([5])], { strides: [2, 2] }),
    channels: 5,
  }),
  transposedGroups: (net, x) => ({
    y: net.op('ConvTranspose', [x, net.weights([4, 3, 3, 3])], { group: 2 }),
    channels: 6,
  }),
  gemm: (net, x) => ({
    y: net.op('Gemm', [net.op('Flatten', [x]), net.weights([100, 7]), net.weights([7])]),
    channels: 7,
  }),
  gemmTransposed: (net, x) => ({
    y: net.op('Gemm', [net.op('Flatten', [x]), net.weights([7, 100])], { transB: 1 }),
    channels: 7,
  }),
};

t.test('batch normalization is folded into the layer before', async (t) => {
  for (const [name, layer] of Object.entries(LAYERS)) {
    const net = new Net(17);
    const { y, channels } = layer(net, net.input('x', [2, 4, 5, 5]));
    const parts = [net.weights([channels]), net.weights([channels]), net.weights([channels])];
    const norm = net.op('BatchNormalization', [y, ...parts, net.weights([channels], 0.2, 2)], {
      epsilon: float(0.01),
    });
    const bytes = net.bytes(norm);
    const model = readModel(bytes);
    t.same(runPasses(model, [foldBatchNorm, removeUnusedInitializers]).length, 2, name);
    const after = writeModel(model);
    t.notOk(operators(after).includes('BatchNormalization'), name);
    const feeds = await feedsFor(bytes);
    const [a, b] = [(await outputsOf(bytes, feeds))[norm.name], (await outputsOf(after, feeds))[norm.name]];
    t.same(a?.dims, b?.dims, name);
    const [x, z] = [a?.data as Float32Array, b?.data as Float32Array];
    const scale = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = x.reduce((most, value, i) => Math.max(most, Math.abs(value - (z[i] ?? NaN))), 0);
    t.ok(scale > 0 && worst <= 2e-6 * scale, `${name}: ${worst} of ${scale}`);
  }
});

t.test('what others need is not folded', async (t) => {
  const net = new Net(17);
  const conv = net.op('Conv', [net.input('x', [1, 2, 4, 4]), net.weights([3, 2, 1, 1])]);
  const norm = net.op('BatchNormalization', [conv, ...[0, 1, 2, 3].map(() => net.weights([3], 0.5, 1))]);
  t.same(runPasses(readModel(net.bytes(norm, net.op('Relu', [conv]))), [foldBatchNorm]), []);
});

t.test('initializers that are inputs too become constant', async (t) => {
  const net = new Net(17);
  const x = net.input('x', [2, 3]);
  const w = net.graph.addInitializer('w', net.weights([3, 2]));
  net.graph.addInput('w');
  const bytes = net.bytes(net.op('MatMul', [x, w]));
  const model = readModel(bytes);
  t.equal(model.graph.value('w')?.constant, undefined, 'a default is no constant');
  t.same(runPasses(model, [removeUnusedInitializers, freezeInitializers]), ['freeze initializers']);
  t.same(
    model.graph.inputs.map((value) => value.name),
    ['x'],
  );
  t.ok(model.graph.value('w')?.constant);
  const after = writeModel(model);
  const feeds = {
    x:
      (await feedsFor(after))['x'] ??
      (() => {
        throw new Error('no feed');
      })(),
  };
  t.same(differences(await outputsOf(bytes, feeds), await outputsOf(after, feeds)), []);
});

t.test('all of them in a row', async (t) => {
  for (const { name, bytes } of zoo()) {
    const model = readModel(bytes);
    runPasses(model, ALL);
    t.same(runPasses(model, ALL), [], `${name}: settled`);
    t.same(
      readModel(writeModel(model)).graph.outputs.map((value) => value.name),
      readModel(bytes).graph.outputs.map((value) => value.name),
    );
  }
});
