// Components and allocations: what a model has, what a file may say of it, how many bytes that is.
import fc from 'fast-check';
import t from 'tap';
import { inferShapes, type Model, readModel } from '../../src/onnx/index.js';
import {
  allocate,
  allocationBytes,
  allocationProblems,
  averageBits,
  type BitWidth,
  checkAllocation,
  componentsOf,
  parseAllocation,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyNets } from './nets.js';

const net = (name: string): Model => {
  const found = tinyNets().find((each) => each.name === name);
  if (found === undefined) throw new Error(`no net ${name}`);
  inferShapes(found.model);
  return found.model;
};

t.test('components are the layers with constant weights, in order', async (t) => {
  const components = componentsOf(net('silu'));
  t.same(
    components.map(({ activation, groups, kernel, outputChannels, macs }) => [
      activation,
      groups,
      kernel,
      outputChannels,
      macs,
    ]),
    [
      ['silu', 1, [3, 3], 16, 256 * 16 * 8 * 9],
      ['silu', 16, [3, 3], 16, 256 * 16 * 9],
      ['silu', 1, [1, 1], 24, 256 * 24 * 16],
      ['none', 1, [3, 3], 8, 256 * 24 * 8 * 9],
    ],
  );
  t.same(
    componentsOf(net('classifier')).map(({ kind, axis, outputChannels, activation }) => [
      kind,
      axis,
      outputChannels,
      activation,
    ]),
    [
      ['Conv', 0, 16, 'leaky-relu'],
      ['Conv', 0, 16, 'relu6'],
      ['Conv', 0, 16, 'hard-swish'],
      ['Conv', 0, 16, 'relu'],
      ['Gemm', 0, 10, 'relu'],
      ['MatMul', 1, 4, 'none'],
    ],
  );
});

t.test('YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
  inferShapes(model);
  const components = componentsOf(model);
  t.equal(components.length, 113);
  t.equal(components.filter(({ activation }) => activation === 'silu').length, 104);
  t.ok(components.every(({ macs }) => macs !== undefined && macs > 0));
  const weights = components.reduce((sum, { weightBytes }) => sum + weightBytes / 4, 0);
  const biases = components.reduce((sum, { outputChannels }) => sum + outputChannels, 0);
  t.equal(weights + biases, 904_481 - 18, 'every parameter but the constants of slices and the like');
});

t.test('an allocation survives its file; what is wrong with one is said plainly', async (t) => {
  const components = componentsOf(net('relu'));
  const [first, second] = components;
  if (first === undefined || second === undefined) throw new Error('no components');
  const good = allocate(components, ({ outputChannels }, i) =>
    i === 0
      ? { bits: 32, execution: 'fp32' }
      : {
          bits: Array.from({ length: outputChannels }, (_, c): BitWidth => (c % 2 === 0 ? 2 : 8)),
          execution: 'int8',
        },
  );
  t.same(parseAllocation(JSON.stringify(good), 'file'), good);
  t.same(allocationProblems(good, components), []);
  t.doesNotThrow(() => checkAllocation(good, components));

  const bad = {
    ...good,
    components: {
      [first.name]: { bits: 32 as const, execution: 'int8' as const },
      [second.name]: { bits: [2 as const], execution: 'int8' as const },
      nothing: { bits: 4 as const, execution: 'int8' as const },
    },
  };
  const problems = allocationProblems(bad, components);
  t.equal(problems.length, components.length + 1);
  t.match(problems.join('\n'), /is to run in int8 and so cannot have 32-bit weights/);
  t.match(problems.join('\n'), /has 16 output channels and the allocation gives bits for 1/);
  t.match(problems.join('\n'), /says nothing of component/);
  t.match(problems.join('\n'), /no component nothing/);
  t.throws(() => checkAllocation(bad, components), { code: 'BAD_CONFIG' });

  for (const text of [
    '',
    '[]',
    '{"format":"bitlane-allocation","version":2,"components":{}}',
    '{"format":"bitlane-allocation","version":1,"components":{"a":{"bits":3,"execution":"int8"}}}',
    '{"format":"bitlane-allocation","version":1,"components":{"a":{"bits":[],"execution":"int8"}}}',
    '{"format":"bitlane-allocation","version":1,"components":{"a":{"bits":8,"execution":"int8","x":1}}}',
  ]) {
    t.throws(
      () => parseAllocation(text, 'file'),
      { code: 'BAD_CONFIG', message: /^file is (no|not) / },
      text,
    );
  }
});

t.test('bytes and average bits', async (t) => {
  const components = componentsOf(net('relu'));
  const weights = components.reduce((sum, { weightBytes }) => sum + weightBytes / 4, 0);
  for (const bits of [2, 4, 8, 32] as const) {
    t.equal(averageBits(components, uniformAllocation(components, bits, 'fp32')), bits);
  }
  const scales = components.reduce((sum, { outputChannels }) => sum + 4 * outputChannels, 0);
  const of = (bits: BitWidth): number =>
    allocationBytes(components, uniformAllocation(components, bits, 'fp32'));
  t.equal(of(8) - of(4), weights / 2);
  t.equal(of(32) - of(8), 3 * weights - scales, 'FP32 weights have no scales');
  fc.assert(
    fc.property(fc.array(fc.constantFrom<BitWidth>(2, 4, 8), { minLength: 16, maxLength: 16 }), (widths) => {
      const mixed = allocate(components, ({ outputChannels }) => ({
        bits: Array.from({ length: outputChannels }, (_, c) => widths[c % 16] ?? 8),
        execution: 'int8',
      }));
      const bytes = allocationBytes(components, mixed);
      const parts = 3 * components.length;
      const expected = of(8) - weights + (averageBits(components, mixed) * weights) / 8;
      return bytes >= expected - 1e-6 && bytes <= expected + parts;
    }),
  );
});
