// Packed mixtures of 2, 4 and 8 bits by output channel: the same function as unpacked ones, and as small as their bits say.
import t from 'tap';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  allocationBytes,
  averageBits,
  type BitWidth,
  componentsOf,
  mixtureBytes,
  prepareModel,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { differences, feedsFor, numbers, outputsOf } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { quantized, randomMixture } from './helpers.js';
import { tinyNets } from './nets.js';

/** Names of outputs in which a packed mixture and its unpacked twin differ. */
const differing = async (model: Model, allocation: Allocation): Promise<string[]> => {
  const packed = await quantized(model, allocation, { grids: 'min-max' });
  const twin = await quantized(model, allocation, {
    grids: 'min-max',
    unpacked: true,
    ranges: packed.ranges,
  });
  const [bytes, twinBytes] = [writeModel(packed.model), writeModel(twin.model)];
  const feeds = await feedsFor(bytes, 99);
  const found: string[] = [];
  for (const optimization of ['disabled', 'all'] as const) {
    const [a, b] = [
      await outputsOf(bytes, feeds, { optimization }),
      await outputsOf(twinBytes, feeds, { optimization }),
    ];
    if (Object.keys(a).length === 0) throw new Error('no outputs');
    found.push(...differences(a, b).map((name) => `${name}, optimizations ${optimization}`));
  }
  return found;
};

t.test('a packed mixture computes the same as its unpacked twin, to the last bit', async (t) => {
  for (const { name, model } of tinyNets()) {
    for (const seed of [1, 2, 3]) {
      t.same(await differing(model, randomMixture(model, seed)), [], `${name} ${seed}`);
    }
  }
});

t.test('so does one that runs in fp32, channels of 32 bits among the others', async (t) => {
  const widths = [2, 4, 8, 32] as const;
  for (const { name, model } of tinyNets()) {
    const next = numbers(11);
    const allocation = allocate(componentsOf(prepareModel(model)), ({ outputChannels }) => ({
      bits: Array.from({ length: outputChannels }, (): BitWidth => widths[Math.floor(next() * 4)] ?? 32),
      execution: 'fp32',
    }));
    t.same(await differing(model, allocation), [], name);
  }
});

t.test('layers whose rows are alike share one initializer for each width', async (t) => {
  const net = new Net(13);
  let x = net.input('x', [1, 16, 8, 8]);
  for (let i = 0; i < 4; i++) x = net.op('Relu', [net.op('Conv', [x, net.weights([16, 16, 1, 1], -1, 1)])]);
  const model = net.model(x);
  const { graph } = (await quantized(model, randomMixture(model, 1))).model;
  const weights = graph.initializers.flatMap(({ tensor, type }) =>
    tensor !== undefined && tensor.dims.length === 4 ? [type] : [],
  );
  t.same(weights.sort(), ['int2', 'int4', 'int8']);
});

t.test('YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
  t.same(await differing(model, randomMixture(model, 5)), [], 'to the last bit');
  const components = componentsOf(prepareModel(model));
  const options = { grids: 'min-max' } as const;
  const plain = await quantized(model, uniformAllocation(components, 8, 'int8'), options);
  const overhead = writeModel(plain.model).length - plain.impliedBytes;
  t.comment(`beside weights, scales and biases the file holds ${overhead} bytes of graph`);
  const allocation = randomMixture(model, 5);
  const mixed = await quantized(model, allocation, { ...options, ranges: plain.ranges });
  const bytes = writeModel(mixed.model).length;
  const said = allocationBytes(components, allocation) + overhead;
  const predicted = said + mixtureBytes(components, allocation);
  t.comment(
    `${averageBits(components, allocation).toFixed(2)} bits on average: ${bytes} bytes; weights, scales, biases and that graph ` +
      `are ${said}, with parts and their order ${predicted}`,
  );
  t.ok(Math.abs(bytes / said - 1) <= 0.01, 'within 1 % of what its bits say');
  t.ok(Math.abs(bytes - predicted) <= 0.001 * said, 'as was estimated');
});
