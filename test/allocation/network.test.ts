// Regions, borders, and models of any plan: they compute what the plan says, folded or not.
import t from 'tap';
import { featuresOf, isFolded } from '../../src/allocation/cost.js';
import { kernelsOf, profileKernels, timesByNode } from '../../src/allocation/kernels.js';
import { regionsOf, structureOf } from '../../src/allocation/network.js';
import { makeVariants } from '../../src/allocation/variants.js';
import { readModel } from '../../src/onnx/index.js';
import { checkKernels, componentsOf } from '../../src/quantization/index.js';
import { withSession } from '../../src/runtime/index.js';
import { focusNet, noise } from './nets.js';

const made = async () => {
  const net = focusNet();
  const variants = await makeVariants(net.model, () => [net.feed], false, {});
  return { ...net, variants };
};

t.test(
  'every component is in one region, in order; a large pooling holds what is around it together',
  async (t) => {
    const { variants } = await made();
    const names = variants.regions.flatMap(({ components }) => components.map(({ name }) => name));
    t.same(
      [...names].sort(),
      componentsOf(variants.model)
        .map(({ name }) => name)
        .sort(),
    );
    t.ok(variants.regions.length >= 3, 'several regions');
    const [before, after] = ['before', 'after'];
    const together = variants.regions.find(({ components }) =>
      components.some(({ name }) => name === before),
    );
    t.ok(together?.components.some(({ name }) => name === after));
    t.same(regionsOf(variants.model), variants.regions);
  },
);

t.test('borders are where precision changes', async (t) => {
  const { variants } = await made();
  const uniform = (execution: 'fp32' | 'int8') => variants.regions.map(() => execution);
  const none = structureOf(variants.model, variants.allocation(uniform('fp32')));
  t.same(none.borders, { in: 0, inElements: 0, out: 0, outElements: 0 });
  t.equal(none.int8.size, 0);
  const all = structureOf(variants.model, variants.allocation(uniform('int8')));
  t.same([all.borders.in, all.borders.inElements], [1, 3 * 32 * 32], 'the picture');
  t.same([all.borders.out, all.borders.outElements], [1, 4 * 8 * 8], 'the result');
  const one = variants.regions.map((_, i) => (i === 1 ? ('int8' as const) : ('fp32' as const)));
  const { borders } = structureOf(variants.model, variants.allocation(one));
  t.ok(borders.in >= 1 && borders.out >= 1);
});

t.test(
  'slices are folded where the layer behind them runs in fp32, and the model computes the same',
  async (t) => {
    const { variants, feed } = await made();
    t.same([...(variants.folded?.components ?? [])], ['stem']);
    const fp32 = variants.regions.map(() => 'fp32' as const);
    const run = (bytes: Uint8Array) =>
      withSession(bytes, {}, async (session) => Object.values(await session.run(feed))[0]);
    const [plain, folded] = [variants.bytes(fp32, { fold: false }), variants.bytes(fp32)];
    const slices = (bytes: Uint8Array): number =>
      [...readModel(bytes).graph.nodes()].filter((node) => node.is('Slice')).length;
    t.ok(slices(plain) > 0);
    t.equal(slices(folded), 0);
    const [a, b] = [await run(plain), await run(folded)];
    if (a?.type !== 'float32' || b?.type !== 'float32') throw new Error('no floats');
    t.ok(a.data.some((value) => Math.abs(value) > 0.01));
    t.ok(a.data.every((value, i) => Math.abs(value - (b.data[i] ?? NaN)) < 1e-4));
    const int8 = variants.regions.map(() => 'int8' as const);
    t.notOk(isFolded(variants.folded, variants.allocation(int8)));
    t.ok(slices(variants.bytes(int8)) > 0, 'an int8 layer keeps its slices');
    t.equal(slices(variants.unfolded().bytes(fp32)), slices(plain));
  },
);

t.test("kernels are found by the model's own nodes", async (t) => {
  const { variants, feed } = await made();
  const plans = (['fp32', 'int8'] as const).map((execution) => variants.regions.map(() => execution));
  for (const plan of plans) {
    const kernels = await profileKernels(variants.bytes(plan, { fold: false }), feed, 3, {});
    const { times, other } = timesByNode(kernels, variants.model);
    for (const { name } of componentsOf(variants.model)) t.ok(times.has(name), `${plan[0]}: ${name}`);
    const sum = [...times.values()].reduce((a, b) => a + b, other);
    const all = kernels.reduce((total, { microseconds }) => total + microseconds, 0);
    t.ok(Math.abs(sum - all) < 1e-6, 'nothing is lost');
  }
  t.throws(() => kernelsOf('{'), { code: 'INTERNAL' });
});

t.test('features add up the nodes in their precision', async (t) => {
  const { variants } = await made();
  const names = [...variants.model.graph.nodes()].map(({ name }) => name);
  const basis = {
    model: variants.model,
    folded: undefined,
    regions: variants.regions,
    times: {
      fp32: Object.fromEntries(names.map((name) => [name, 1])),
      int8: Object.fromEntries(names.map((name) => [name, 100])),
    },
    foldedTimes: {},
    referenceMs: names.length,
  };
  const features = (execution: 'fp32' | 'int8') =>
    featuresOf(basis, variants.allocation(variants.regions.map(() => execution)));
  t.equal(features('fp32').nodes, 1);
  t.ok(features('int8').nodes > 50);
  t.same(features('fp32').regions, noise(0, variants.regions.length));
  t.ok(features('int8').regions.every((share) => share === 1));
});

t.test('integer kernels are compared with exact arithmetic', async (t) => {
  const check = await checkKernels();
  t.equal(check.exact7Bit, true, '7-bit weights are exact on every processor');
  t.type(check.exact8Bit, 'boolean');
});
