// Scales by channel where int8 meets FP32: still integer kernels, the same function as written down, and worth their while.
import t, { type Test } from 'tap';
import { type Model, readModel, tensorOf, writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  balanceInputs,
  channelSites,
  componentsOf,
  findRegions,
  measureChannelRanges,
  prepareModel,
  type Quantized,
  type QuantizeOptions,
  sqnr,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { floatTensor, type SessionOptions, type Tensors } from '../../src/runtime/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { feedsFor, outputsOf } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { histogramOf, optimizedGraph } from './engine.js';
import { layersOf, noiseFeeds, quantized } from './helpers.js';
import { tinyNets } from './nets.js';

/** Channels of very different ranges behind the first layer, as the stem of a detector that was never trained for int8 has them. */
const unevenNet = (): Model => {
  const net = new Net(13);
  const silu = (x: ReturnType<typeof net.op>) => net.op('Mul', [x, net.op('Sigmoid', [x])]);
  const first = net.weights([16, 8, 3, 3], -0.1, 0.1);
  if (first.kind !== 'dense' || first.type !== 'float32') throw new Error('no floats');
  first.data.forEach((weight, i) => (first.data[i] = weight * 2 ** (Math.floor(i / 72) / 2)));
  const pads = [1, 1, 1, 1];
  const a = silu(net.op('Conv', [net.input('x', [1, 8, 24, 24]), first, net.weights([16])], { pads }));
  const second = net.weights([16, 1, 3, 3], -0.5, 0.5);
  if (second.kind !== 'dense' || second.type !== 'float32') throw new Error('no floats');
  second.data.forEach((weight, i) => (second.data[i] = weight / 2 ** (Math.floor(i / 9) / 2)));
  const b = silu(net.op('Conv', [a, second, net.weights([16])], { pads, group: 16 }));
  return net.model(net.op('Conv', [b, net.weights([6, 16, 1, 1], -0.3, 0.3), net.weights([6])]));
};

const all = (tensors: Tensors): Float32Array =>
  Float32Array.from(
    Object.values(tensors).flatMap((tensor) => (tensor.type === 'float32' ? [...tensor.data] : [])),
  );

/** Signal to noise at the outputs of a quantized model, against the original. */
const quality = async (
  model: Model,
  made: Model,
  options: SessionOptions = { optimization: 'all' },
): Promise<number> => {
  const feeds = await feedsFor(writeModel(model), 77);
  return sqnr(
    all(await outputsOf(writeModel(model), feeds)),
    all(await outputsOf(writeModel(made), feeds, options)),
  );
};

/** All layers in int8, the functions of some in FP32. */
const withChannels = (
  model: Model,
  functions: readonly string[],
  options: Partial<QuantizeOptions> = {},
): Promise<Quantized> =>
  quantized(model, uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'), {
    channels: true,
    floatFunctions: new Set(functions),
    ...options,
  });

const checkKernels = async (t: Test, { model, components }: Quantized, what: string): Promise<Model> => {
  const optimized = await optimizedGraph(model);
  const layers = layersOf(optimized);
  const wrong = components.flatMap(({ component: { name, kind } }) => {
    const opType = (layers.get(name) ?? layers.get(`fused ${name}`))?.opType ?? 'nothing';
    const wanted = kind === 'Conv' ? 'QLinearConv' : kind === 'Gemm' ? 'QGemm' : 'QLinearMatMul';
    return opType === wanted ? [] : [`${name} runs as ${opType}`];
  });
  t.same(wrong, [], what);
  return optimized;
};

t.test('every layer is an integer kernel still, whatever functions stay in floats', async (t) => {
  for (const { name, model } of [...tinyNets(), { name: 'uneven', model: unevenNet() }]) {
    const names = componentsOf(prepareModel(model)).map((component) => component.name);
    for (const functions of [[], names.slice(0, 1), names]) {
      const made = await withChannels(model, functions);
      await checkKernels(t, made, `${name}, ${functions.length} functions`);
      // What is in the file, step by step in floats, and what the engine's integer kernels make of it.
      const [plain, fused] = [
        await quality(model, made.model, { optimization: 'disabled' }),
        await quality(model, made.model),
      ];
      t.ok(plain > 25, `${name}, ${functions.length} functions: ${plain.toFixed(1)} dB`);
      t.ok(Math.abs(plain - fused) < 1.5, `${plain.toFixed(2)} and ${fused.toFixed(2)} dB`);
    }
  }
});

t.test('layers in FP32 before and behind such scales stay what they are', async (t) => {
  for (const { name, model } of tinyNets()) {
    const components = componentsOf(prepareModel(model));
    const allocation = allocate(components, (_, i) =>
      i % 2 === 0 ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
    );
    const made = await quantized(model, allocation, { channels: true });
    const layers = layersOf(await optimizedGraph(made.model));
    for (const [i, component] of components.entries()) {
      const node = layers.get(component.name) ?? layers.get(`fused ${component.name}`);
      t.equal(node?.opType.startsWith('Q'), i % 2 === 1, `${name}: ${node?.opType ?? 'nothing'}`);
    }
    const decibels = await quality(model, made.model);
    t.ok(decibels > 25, `${name}: ${decibels.toFixed(1)} dB`);
  }
});

t.test('uneven channels gain much, and cost no conversion more than they must', async (t) => {
  const model = unevenNet();
  const names = componentsOf(prepareModel(model)).map((component) => component.name);
  const plain = await quantized(model, uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'));
  const made = await withChannels(model, names);
  const [before, after] = [await quality(model, plain.model), await quality(model, made.model)];
  t.ok(after > before + 6, `${before.toFixed(1)} dB become ${after.toFixed(1)}`);
  const optimized = histogramOf(await optimizedGraph(made.model));
  t.same(optimized, {
    QuantizeLinear: 3,
    QLinearConv: 3,
    QuickGelu: 2,
    // One before and one behind each conversion: layouts stop there.
    Reshape: 8,
    DequantizeLinear: 3,
  });
});

t.test('balancing changes nothing in FP32', async (t) => {
  const model = prepareModel(unevenNet());
  const components = componentsOf(model);
  const functions = new Set(components.map(({ name }) => name));
  const { inputs } = channelSites(findRegions(model, uniformAllocation(components, 8, 'int8'), functions));
  const names = [...inputs.keys()].map(({ name }) => name);
  t.equal(names.length, 2);
  const ranges = await measureChannelRanges(model, names, await noiseFeeds(model));
  const before = writeModel(model);
  const balanced = balanceInputs(model, inputs, ranges);
  t.equal(balanced.size, 2);
  for (const { min, max } of balanced.values()) t.equal(Math.max(-min, max), 1);
  const feeds = await feedsFor(before, 5);
  const decibels = sqnr(all(await outputsOf(before, feeds)), all(await outputsOf(writeModel(model), feeds)));
  t.ok(decibels > 110, `${decibels.toFixed(1)} dB: the rounding of floats`);
});

t.test('a channel that calibration leaves silent speaks later', async (t) => {
  const net = new Net(13);
  const same = tensorOf('float32', [2, 2, 1, 1], Float32Array.of(1, 0, 0, 1));
  const model = net.model(net.op('Relu', [net.op('Conv', [net.input('x', [1, 2, 8, 8]), same])]));
  /** One channel from 0 to 6, the other from 0 to `most`. */
  const feed = (most: number): Tensors => ({
    x: floatTensor(
      [1, 2, 8, 8],
      Float32Array.from({ length: 128 }, (_, i) => ((i < 64 ? 6 : most) * (i % 64)) / 63),
    ),
  });
  const made = await quantized(model, uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'), {
    feeds: () => [feed(-1)],
    channels: true,
  });
  const [ranges] = made.channelRanges.values();
  t.same(ranges?.[1], { min: 0, max: 0 });
  for (const most of [0.1, 0.4, 3]) {
    const given = all(feed(most));
    const said = all(await outputsOf(writeModel(made.model), feed(most), { optimization: 'all' }));
    const error = Math.max(...said.map((value, i) => Math.abs(value - (given[i] ?? 0))));
    // A code of the input, and one of the output.
    t.ok(error < 7 / 255 + 6 / 255, `up to ${most}: ${error}`);
  }
});

t.test('YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
  const names = componentsOf(prepareModel(model)).map((component) => component.name);
  const made = await withChannels(model, names.slice(0, 2), { grids: 'min-max' });
  const counts = histogramOf(await checkKernels(t, made, 'all layers'));
  t.equal(counts['QLinearConv'], 113);
  t.equal(counts['QuickGelu'], 2, 'two functions in floats');
  t.equal(counts['QLinearSigmoid'], 102);
  t.equal(counts['QuantizeLinear'], 3, 'the picture, and one behind each function');
});
