// Dynamic quantization, equalization and bias correction over whole models, against graphs that do the same in floats.
import t from 'tap';
import {
  cloneModel,
  type Model,
  type Tensor,
  tensorOf,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import {
  arranged,
  componentNodes,
  componentsOf,
  dequantizeChannels,
  equalizeLayers,
  prepareModel,
  type Quantized,
  uniformAllocation,
} from '../../src/quantization/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import { feedsFor, outputsOf } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { histogramOf, optimizedGraph } from './engine.js';
import { noiseFeeds, quantized, randomMixture } from './helpers.js';
import { tinyNets } from './nets.js';

/** The same in floats: what a layer takes goes to 8 bits and back, its weights are what their codes stand for. */
const inFloats = ({ prepared, weights }: Quantized): Model => {
  const model = cloneModel(prepared);
  const { graph } = model;
  for (const [node, component] of componentNodes(model)) {
    const [made, input] = [weights.get(component.name), node.input(0)];
    if (made === undefined || input === undefined) throw new Error('every layer has codes');
    const values = dequantizeChannels(made.codes, made.grids);
    const rows = arranged(values, component.outputChannels, component.axis);
    node.setInput(1, graph.addInitializer('', tensorOf('float32', component.weightDims, rows)));
    const codes = graph.addNode(
      { opType: 'DynamicQuantizeLinear', inputs: [input], outputs: 3 },
      { before: node },
    );
    const back = graph.addNode(
      { opType: 'DequantizeLinear', inputs: [codes.output(0), codes.output(1), codes.output(2)] },
      { before: node },
    );
    node.setInput(0, back.output());
  }
  return model;
};

const norm = (values: Float32Array): number => Math.hypot(...values);

/** Largest relative distance of two outputs of the same name. */
const distance = (a: Tensors, b: Tensors): number => {
  const names = Object.keys(a);
  if (names.length === 0) throw new Error('no outputs');
  return Math.max(
    ...names.map((name) => {
      const [x, y] = [a[name], b[name]];
      if (x?.type !== 'float32' || y?.type !== 'float32') throw new Error('floats');
      return norm(x.data.map((value, i) => value - (y.data[i] ?? NaN))) / norm(x.data);
    }),
  );
};

t.test('dynamic int8 computes what quantizing each input by its own extremes does', async (t) => {
  for (const { name, model } of tinyNets()) {
    for (const seed of [1, 2]) {
      const allocation = randomMixture(model, seed);
      const made = await quantized(model, allocation, { activations: 'dynamic' });
      t.equal(made.ranges.size, 0, `${name}: nothing was measured`);
      const bytes = writeModel(made.model);
      const feeds = await feedsFor(bytes, 3);
      const want = await outputsOf(writeModel(inFloats(made)), feeds);
      for (const optimization of ['disabled', 'all'] as const) {
        // A value on the border between two codes may fall to either side.
        t.ok(distance(want, await outputsOf(bytes, feeds, { optimization })) < 0.01, `${name} ${seed}`);
      }
    }
  }
});

t.test('its layers run in integers, and those meant as fp32 do not', async (t) => {
  for (const { name, model } of tinyNets()) {
    const components = componentsOf(prepareModel(model));
    const made = await quantized(model, uniformAllocation(components, 8, 'int8'), { activations: 'dynamic' });
    const kernels = histogramOf(await optimizedGraph(made.model));
    const integers = ['ConvInteger', 'MatMulInteger', 'MatMulIntegerToFloat', 'DynamicQuantizeMatMul'];
    const found = integers.reduce((sum, kernel) => sum + (kernels[kernel] ?? 0), 0);
    t.equal(found, components.length, `${name}: ${JSON.stringify(kernels)}`);
    t.notOk(kernels['Conv'] ?? kernels['FusedConv'] ?? kernels['Gemm'] ?? kernels['MatMul'], name);
    const floats = await quantized(model, uniformAllocation(components, 4, 'fp32'), {
      activations: 'dynamic',
    });
    t.notOk(histogramOf(floats.model)['DynamicQuantizeLinear'], `${name} in fp32`);
  }
});

/** Channels of very different range, as training leaves them. */
const uneven = (): Model => {
  const net = new Net(13);
  const scaled = (dims: number[], by: readonly number[], axis: 0 | 1) => {
    const tensor = net.weights(dims, -1, 1);
    if (tensor.kind !== 'dense' || tensor.type !== 'float32') throw new Error('weights');
    const [outputs = 1, inputs = 1] = dims;
    const size = tensor.data.length / outputs / inputs;
    tensor.data.forEach((value, i) => {
      const channel = axis === 0 ? Math.floor(i / (inputs * size)) : Math.floor(i / size) % inputs;
      tensor.data[i] = value * (by[channel] ?? 1);
    });
    return tensor;
  };
  const by = Array.from({ length: 16 }, (_, i) => 2 ** (i - 8));
  const x = net.input('x', [1, 4, 12, 12]);
  const first = net.op('Conv', [x, scaled([16, 4, 3, 3], by, 0), net.weights([16], -0.1, 0.1)], {
    pads: [1, 1, 1, 1],
    kernel_shape: [3, 3],
  });
  const active = net.op('Relu', [first]);
  const second = scaled(
    [8, 16, 1, 1],
    by.map((factor) => 1 / factor),
    1,
  );
  return net.model(net.op('Conv', [active, second, net.weights([8], -0.1, 0.1)], { kernel_shape: [1, 1] }));
};

t.test('equalization leaves the function and helps int8 with one scale for all channels', async (t) => {
  const model = uneven();
  const prepared = prepareModel(model);
  const feeds = await feedsFor(writeModel(model), 3);
  const before = await outputsOf(writeModel(prepared), feeds);
  t.equal(equalizeLayers(prepared), 1, 'one pair');
  t.ok(distance(before, await outputsOf(writeModel(prepared), feeds)) < 1e-5);
  const allocation = uniformAllocation(componentsOf(prepared), 8, 'int8');
  const errorOf = async (equalize: boolean): Promise<number> => {
    const made = await quantized(model, allocation, { equalize });
    return distance(before, await outputsOf(writeModel(made.model), feeds));
  };
  const [plain, evened] = [await errorOf(false), await errorOf(true)];
  t.ok(evened < 0.7 * plain, `${evened} with, ${plain} without`);
});

t.test('nothing is evened out across a SiLU, a value that others take, or shared weights', async (t) => {
  const net = new Net(14);
  const conv = (x: Value, weights: Value | Tensor = net.weights([4, 4, 1, 1], -1, 1)): Value =>
    net.op('Conv', [x, weights], { kernel_shape: [1, 1] });
  const shared = net.graph.addInitializer('shared', net.weights([4, 4, 1, 1], -1, 1));
  const a = conv(net.input('x', [1, 4, 4, 4]));
  const b = conv(net.op('Mul', [a, net.op('Sigmoid', [a])]));
  const c = net.op('Relu', [conv(net.op('Mul', [b, net.op('Sigmoid', [b])]), shared)]);
  const d = conv(c);
  const both = net.op('Add', [c, net.op('HardSwish', [d])]);
  const e = conv(net.op('Relu', [conv(both, shared)]));
  const model = prepareModel(net.model(e));
  t.equal(equalizeLayers(model), 0);
});

t.test('bias correction brings the means of every channel back', async (t) => {
  // One layer without padding: what the pictures show is all it sees.
  const net = new Net(13);
  const x = net.op('Relu', [net.input('x', [1, 8, 10, 10])]);
  const model = net.model(
    net.op('Conv', [x, net.weights([12, 4, 3, 3], -1, 1)], { kernel_shape: [3, 3], group: 2 }),
  );
  const prepared = prepareModel(model);
  const allocation = uniformAllocation(componentsOf(prepared), 4, 'fp32');
  const feeds = await noiseFeeds(model, 1);
  const [feed] = [...(feeds() as Iterable<Tensors>)];
  if (feed === undefined) throw new Error('a feed');
  const meansOf = async (of: Model): Promise<Float64Array> => {
    const [output] = Object.values(await outputsOf(writeModel(of), feed));
    if (output?.type !== 'float32') throw new Error('floats');
    const area = output.data.length / 12;
    return Float64Array.from({ length: 12 }, (_, c) => {
      const plane = output.data.subarray(c * area, (c + 1) * area);
      return plane.reduce((sum, value) => sum + value, 0) / area;
    });
  };
  const wanted = await meansOf(prepared);
  const shifts = async (biasCorrection: boolean): Promise<number> => {
    const made = await quantized(model, allocation, { biasCorrection, feeds });
    const means = await meansOf(made.model);
    return Math.max(...means.map((mean, c) => Math.abs(mean - (wanted[c] ?? NaN))));
  };
  const [plain, corrected] = [await shifts(false), await shifts(true)];
  t.ok(corrected < 0.2 * plain, `${corrected} with, ${plain} without`);
});
