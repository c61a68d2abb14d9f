// Parts of rows: uniform bits, parts of data sets, layers as the agent sees them, figures of a judged model.
import t from 'tap';
import type { DataSet, Evaluation } from '../../src/evaluation/index.js';
import { evaluate, type PictureResult, spreadOver } from '../../src/evaluation/index.js';
import { judgedOf } from '../../src/experiment/judge.js';
import { withCodedInputs } from '../../src/experiment/rows/coded-inputs.js';
import { uniformBits } from '../../src/experiment/rows/uniform.js';
import { haqLayers } from '../../src/experiment/search/haq-layers.js';
import { tensorOf, type Value, writeModel } from '../../src/onnx/index.js';
import {
  channelBits,
  componentsOf,
  edgesOf,
  prepareModel,
  quantizeModel,
  sqnr,
  tapValues,
  uniformAllocation,
} from '../../src/quantization/index.js';
import type { FloatTensor } from '../../src/runtime/index.js';
import { feedsFor, outputsOf } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { noiseFeeds } from '../quantization/helpers.js';
import { batchOf, smallModel } from '../training/small.js';

t.test('uniform bits: edges have 8, 3 bits are half 2 and half 4', (t) => {
  const model = prepareModel(smallModel());
  const components = componentsOf(model);
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  for (const bits of [8, 4, 3] as const) {
    const { components: entries } = uniformBits(model, bits, 'fp32');
    for (const component of components) {
      const entry = entries[component.name];
      if (entry === undefined) throw new Error(component.name);
      const widths: readonly number[] = channelBits(component, entry);
      const mean = widths.reduce((sum, width) => sum + width, 0) / widths.length;
      const asked = edges.has(component.name) ? 8 : bits;
      t.ok(Math.abs(mean - asked) <= 1.01 / widths.length, `${component.name}: ${mean} for ${asked}`);
      t.equal(entry.execution, 'fp32');
    }
  }
  t.end();
});

t.test('a part of a data set is spread over it, and loads its own pictures', async (t) => {
  const all: DataSet = {
    name: 'x',
    path: '/x',
    split: 'train',
    classes: ['a'],
    notes: [],
    images: Array.from({ length: 10 }, (_, i) => ({ path: `/x/${i}.jpg`, id: String(i) })),
    load: (index) =>
      Promise.resolve({
        width: 20,
        height: 20,
        objects: [{ x1: index, y1: 0, x2: index + 1, y2: 1, classId: 0, crowd: false }],
      }),
  };
  const part = spreadOver(all, 4);
  t.same(
    part.images.map(({ path }) => path),
    ['/x/0.jpg', '/x/2.jpg', '/x/5.jpg', '/x/7.jpg'],
  );
  const { objects } = await part.load(2);
  t.equal(objects[0]?.x1, 5);
  t.equal(spreadOver(all, 10), all);
});

t.test('the agent sees depthwise layers, strides and sizes', (t) => {
  const model = prepareModel(smallModel());
  const components = componentsOf(model);
  const layers = haqLayers(model, components);
  t.same(
    layers.map(({ isDepthwise, inputChannels, outputChannels, stride }) => [
      isDepthwise,
      inputChannels,
      outputChannels,
      stride,
    ]),
    [
      [false, 3, 6, 2],
      [true, 6, 6, 1],
      [false, 6, 5, 1],
      [false, 80, 4, 20],
    ],
  );
  t.same(
    layers.map(({ weights }) => weights),
    [162, 54, 30, 320],
  );
  t.end();
});

t.test('coded inputs have as few levels as was asked for', async (t) => {
  const model = prepareModel(smallModel());
  const edges = new Set(edgesOf(model).map(({ name }) => name));
  const feeds = () => Array.from({ length: 6 }, (_, i) => ({ image: batchOf(1, i)['image'] as FloatTensor }));
  const coded = await withCodedInputs(model, (name) => (edges.has(name) ? 8 : 4), feeds);
  const components = componentsOf(coded);
  const seen = new Map(components.map(({ input }) => [input, new Set<number>()]));
  await tapValues(coded, [...seen.keys()], feeds, (name, values) => {
    for (const value of values) seen.get(name)?.add(value);
  });
  for (const { name, input } of components) {
    const levels = seen.get(input)?.size ?? 0;
    if (edges.has(name)) t.ok(levels > 16, `${name} sees ${levels} levels`);
    else t.ok(levels > 1 && levels <= 16, `${name} sees ${levels} levels`);
  }
});

t.test('coded inputs do not make the engine round packed weights again', async (t) => {
  const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value));
  const functions: Readonly<Record<string, (net: Net, x: Value) => Value>> = {
    none: (_, x) => x,
    relu: (net, x) => net.op('Relu', [x]),
    clip: (net, x) => net.op('Clip', [x, scalar(0), scalar(6)]),
    twice: (net, x) => {
      const a = net.op('Relu', [x]);
      const b = net.op('Conv', [a, net.weights([8, 8, 1, 1], -0.5, 0.5), net.weights([8])]);
      return net.op('Add', [a, net.op('Relu', [b])]);
    },
  };
  for (const [name, act] of Object.entries(functions)) {
    const net = new Net(13);
    const layer = (x: Value): Value =>
      net.op('Conv', [x, net.weights([8, 8, 3, 3], -0.3, 0.3), net.weights([8])], { pads: [1, 1, 1, 1] });
    const inner = act(net, layer(act(net, layer(net.input('x', [1, 8, 12, 12])))));
    const source = net.model(layer(inner));
    const feeds = await noiseFeeds(source);
    const coded = await withCodedInputs(prepareModel(source, 21), () => 4, feeds);
    const allocation = uniformAllocation(componentsOf(coded), 4, 'fp32');
    const bytes = writeModel((await quantizeModel(coded, { allocation, feeds })).model);
    const feed = await feedsFor(bytes, 9);
    const [plain, served] = [
      await outputsOf(bytes, feed, { optimization: 'disabled' }),
      await outputsOf(bytes, feed, { optimization: 'all' }),
    ].map((outputs) => Float32Array.from(Object.values(outputs)[0]?.data ?? [], Number));
    if (plain === undefined || served === undefined) throw new Error('outputs');
    const decibels = sqnr(plain, served);
    t.ok(decibels > 100, `${name}: ${decibels.toFixed(1)} dB`);
  }
});

const box = (x: number, classId: number) => ({ x1: x, y1: 0, x2: x + 10, y2: 10, classId });
const evaluationOf = (pictures: readonly PictureResult[]): Evaluation =>
  evaluate(
    pictures,
    {
      classes: ['a', 'b', 'c'],
      fromModel: [0, 1, 2],
      fromData: [0, 1, 2],
      mapped: [true, true, true],
      notes: [],
    },
    { rounds: 0, pairs: [{ a: 0, b: 1 }] },
  );

t.test('near confusion counts all objects of the pair, critical accuracy those that were found', (t) => {
  const picture: PictureResult = {
    objects: [box(0, 0), box(20, 0), box(40, 1), box(60, 1), box(80, 2)].map((each) => ({
      ...each,
      crowd: false,
    })),
    detections: [box(0, 0), box(20, 1), box(40, 1), box(80, 0)].map((each) => ({
      ...each,
      score: 0.9,
    })),
  };
  const { figures, criticalObjects } = judgedOf(evaluationOf([picture, picture]), 2, [[0, 1]], {
    rounds: 20,
  });
  // Found: a as a, a as b, b as b; one b was missed; the c that was taken for an a is no object of the pair.
  t.equal(criticalObjects, 6);
  t.equal(figures.criticalAccuracy?.value, 0.66667);
  t.equal(figures.nearConfusion?.value, 0.25);
  t.equal(figures.map50?.rounds.length, 20);
  t.ok(
    figures.nearConfusion?.rounds.every((value) => value === 0.25),
    'two equal pictures, however drawn',
  );
  t.end();
});

t.test('pictures of one place are resampled together', (t) => {
  const picture = (classId: number): PictureResult => ({
    objects: [{ ...box(0, 0), crowd: false }],
    detections: [{ ...box(0, classId), score: 0.9 }],
  });
  // Two places of two pictures each: all is right at one, all wrong at the other.
  const evaluation = evaluationOf([picture(0), picture(1), picture(0), picture(1)]);
  const valuesOf = (places?: Int32Array): number[] => {
    const { figures } = judgedOf(evaluation, 4, [[0, 1]], {
      rounds: 200,
      ...(places !== undefined && { places }),
    });
    return [...new Set(figures.criticalAccuracy?.rounds.map((value) => value ?? NaN))].sort();
  };
  t.same(valuesOf(Int32Array.of(0, 1, 0, 1)), [0, 0.5, 1]);
  t.same(valuesOf(), [0, 0.25, 0.5, 0.75, 1]);
  t.throws(() => valuesOf(Int32Array.of(0, 1, 0)), RangeError);
  t.throws(() => valuesOf(Int32Array.of(0, 2, 0, 2)), RangeError);
  t.end();
});
