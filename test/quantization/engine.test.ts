// What onnxruntime makes of our models: int8 components run as integer kernels, fp32 ones stay what they are.
import t, { type Test } from 'tap';
import { type Model, type Node, readModel, tensorOf, type Value, writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  type BitWidth,
  componentsOf,
  prepareModel,
  type Quantized,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { feedsFor, outputsOf } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { histogramOf, optimizedGraph } from './engine.js';
import { layersOf, quantized, randomMixture } from './helpers.js';
import { tinyNets } from './nets.js';
import { sumOf } from './random.js';

const INTEGER = new Set(['QLinearConv', 'QGemm', 'QLinearMatMul']);
const FLOAT = new Set(['Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul']);

const WIDTHS: readonly BitWidth[] = [4, 32, 2, 8, 4];

/** The initializer type behind input `index`, through whatever is left before it. */
const typeAt = (node: Node, index: number): string | undefined => node.input(index)?.tensor?.type;

/** Compares what each component was to be with what it is; returns complaints. */
const complaints = (optimized: Model, allocation: Allocation, names: readonly string[]): string[] => {
  const layers = layersOf(optimized);
  // A Gemm that took its function in is named after it.
  const find = (name: string): Node | undefined => layers.get(name) ?? layers.get(`fused ${name}`);
  return names.flatMap((name) => {
    const node = find(name);
    const execution = allocation.components[name]?.execution;
    if (node === undefined) return [`${name} is gone: ${[...layers.keys()].join(', ')}`];
    if (execution === 'int8') {
      const weight = typeAt(node, 3);
      if (!INTEGER.has(node.opType)) return [`${name} runs as ${node.opType}`];
      return weight === 'int8' ? [] : [`${name} has ${weight ?? 'computed'} weights`];
    }
    if (!FLOAT.has(node.opType)) return [`${name} runs as ${node.opType}`];
    const weight = typeAt(node, 1);
    return weight === 'float32' ? [] : [`${name} has ${weight ?? 'computed'} weights`];
  });
};

/** Weights that are dequantized on every run. */
const dequantizedWeights = ({ graph }: Model): string[] =>
  [...graph.nodes()]
    .filter((node) => node.is('DequantizeLinear', 'Cast', 'Gather') && node.input(0)?.tensor !== undefined)
    .map((node) => node.label);

const check = async (t: Test, made: Quantized, allocation: Allocation, what: string): Promise<Model> => {
  const optimized = await optimizedGraph(made.model);
  const names = made.components.map(({ component }) => component.name);
  t.same(complaints(optimized, allocation, names), [], what);
  t.same(dequantizedWeights(optimized), [], `${what}: weights are constant at run time`);
  return optimized;
};

t.test('uniform int8, mixed bits, fp32 with low bits, every second layer', async (t) => {
  for (const { name, model } of tinyNets()) {
    const components = componentsOf(prepareModel(model));
    const alternate = (first: 0 | 1): Allocation =>
      allocate(components, (_, i) =>
        i % 2 === first ? { bits: 8, execution: 'int8' } : { bits: 32, execution: 'fp32' },
      );
    const allocations: Record<string, Allocation> = {
      int8: uniformAllocation(components, 8, 'int8'),
      mixed: randomMixture(model, 7),
      mixedFloats: allocate(components, ({ outputChannels }) => ({
        bits: Array.from({ length: outputChannels }, (_, c): BitWidth => WIDTHS[c % 5] ?? 32),
        execution: 'fp32',
      })),
      weights4: uniformAllocation(components, 4, 'fp32'),
      weights2: uniformAllocation(components, 2, 'fp32'),
      even: alternate(0),
      odd: alternate(1),
      lowBitsBetween: allocate(components, (_, i) =>
        i % 2 === 0 ? { bits: 8, execution: 'int8' } : { bits: 4, execution: 'fp32' },
      ),
    };
    for (const [kind, allocation] of Object.entries(allocations)) {
      await check(t, await quantized(model, allocation), allocation, `${name}, ${kind}`);
    }
  }
});

t.test('a region is quantized once at its borders', async (t) => {
  const expected: Record<string, Record<string, number>> = {
    relu: { QuantizeLinear: 1, QLinearConv: 4, DequantizeLinear: 1 },
    silu: { QuantizeLinear: 1, QLinearConv: 4, QLinearSigmoid: 3, QLinearMul: 3, DequantizeLinear: 1 },
    residual: {
      QuantizeLinear: 1,
      QLinearConv: 6,
      QLinearSigmoid: 3,
      QLinearMul: 3,
      QLinearAdd: 2,
      DequantizeLinear: 2,
    },
    pyramid: {
      QuantizeLinear: 1,
      QLinearConv: 6,
      QLinearSigmoid: 3,
      QLinearMul: 3,
      MaxPool: 2,
      Concat: 1,
      Resize: 1,
      QLinearConcat: 1,
      DequantizeLinear: 2,
      Sigmoid: 1,
    },
  };
  for (const { name, model } of tinyNets()) {
    const wanted = expected[name];
    if (wanted === undefined) continue;
    const allocation = uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8');
    const made = await quantized(model, allocation);
    t.same(histogramOf(await optimizedGraph(made.model)), wanted, name);
  }
});

t.test('a MaxPool takes codes only where an integer kernel made them', async (t) => {
  const net = new Net(13);
  const pool = (x: Value): Value => net.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  const layer = (x: Value): Value => net.op('Conv', [x, net.weights([8, 8, 1, 1], -1, 1)]);
  const first = pool(layer(net.input('x', [1, 8, 16, 16])));
  const second = pool(layer(first));
  const model = net.model(layer(second));
  const allocation = allocate(componentsOf(prepareModel(model)), (_, i) =>
    i === 0 ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
  );
  const { graph } = (await quantized(model, allocation)).model;
  const types = [...graph.nodes()].flatMap((node) => (node.is('MaxPool') ? [node.input(0)?.type] : []));
  t.same(types, ['float32', 'uint8']);
});

t.test('a Resize that interpolates computes in floats, one that repeats moves codes', async (t) => {
  for (const [mode, type] of [
    ['nearest', 'uint8'],
    ['linear', 'float32'],
  ] as const) {
    const net = new Net(13);
    const same = (x: Value): Value =>
      net.op('Conv', [x, tensorOf('float32', [1, 1, 1, 1], Float32Array.of(1))]);
    const twice = tensorOf('float32', [4], Float32Array.of(1, 1, 2, 2));
    const up = net.op('Resize', [same(net.input('x', [1, 1, 16, 16])), undefined, twice], { mode });
    const model = net.model(same(up));
    const made = await quantized(model, uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'));
    const [resize] = [...made.model.graph.nodes()].filter((node) => node.is('Resize'));
    t.equal(resize?.input(0)?.type, type, mode);
    // Both layers do nothing: what is left is what rounding to codes does, which has no mean.
    const feeds = await feedsFor(writeModel(model), 5);
    const [plain, coded] = [
      await outputsOf(writeModel(model), feeds),
      await outputsOf(writeModel(made.model), feeds, { optimization: 'all' }),
    ].map((outputs) => Object.values(outputs)[0]?.data ?? []);
    const step = 2 / 255;
    const count = plain?.length ?? 0;
    const shift = sumOf(
      Array.from({ length: count }, (_, i) => (Number(coded?.[i]) - Number(plain?.[i])) / count),
    );
    t.ok(Math.abs(shift) < 0.05 * step, `${mode}: ${shift / step} codes on average`);
  }
});

t.test('YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
  const components = componentsOf(prepareModel(model));
  const allocations: Record<string, Allocation> = {
    int8: uniformAllocation(components, 8, 'int8'),
    mixed: randomMixture(model, 3),
    'nine in fp32': allocate(components, (_, i) =>
      i < 9 ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
    ),
    'every third in fp32': allocate(components, (_, i) =>
      i % 3 === 0 ? { bits: 4, execution: 'fp32' } : { bits: 4, execution: 'int8' },
    ),
  };
  let ranges: Quantized['ranges'] | undefined;
  for (const [kind, allocation] of Object.entries(allocations)) {
    const made = await quantized(model, allocation, { ...(ranges && { ranges }), grids: 'min-max' });
    ranges ??= made.ranges;
    const optimized = await check(t, made, allocation, kind);
    const integer = [...layersOf(optimized).values()].filter(({ opType }) => opType === 'QLinearConv').length;
    const wanted = Object.values(allocation.components).filter(
      ({ execution }) => execution === 'int8',
    ).length;
    t.equal(integer, wanted, `${kind}: ${integer} of 113 run as QLinearConv`);
  }
});
