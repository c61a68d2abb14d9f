// Pairs of rounded components, and whole models: each held against the other, and against the map.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import {
  componentsOf,
  pixelRanges,
  prepareModel,
  quantizeModel,
  takeBytes,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { floatTensor } from '../../src/runtime/index.js';
import { modelWith } from '../../src/significance/alone.js';
import {
  type Effects,
  measurePairs,
  measureSignificance,
  observeObjects,
  type Rounded,
} from '../../src/significance/index.js';
import { perturbationOf } from '../../src/significance/perturb.js';
import { noise } from '../onnx/bits.js';
import { makeFixture, smallSpace } from './fixture.js';
import { SIDE, smallSpec } from './nets.js';

const folder = t.testdir();
const { home, id, pictures } = await makeFixture(folder);
const path = join(home, 'model.onnx');
const feeds = Array.from({ length: 4 }, (_, i) => ({
  x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, 50 + i)),
}));
const { map, perturbations } = await measureSignificance({
  model: { id, path, detector: smallSpec },
  data: { name: 'noise', split: 'train' },
  pictures,
  space: smallSpace,
  pairs: [
    [0, 1],
    [1, 2],
  ],
  kinds: ['weights'],
  calibration: { feeds: () => feeds, key: 'noise' },
  cache: join(folder, 'cache'),
});
const common = {
  model: { path, detector: smallSpec },
  space: smallSpace,
  pictures,
  groups: [[0, 1, 2]],
  temperature: map.temperature,
};
const zero: Effects = { divergence: 0, objectness: 0, box: 0, others: 0 };
const near = (a: Effects, b: Effects): boolean =>
  (['divergence', 'objectness', 'box', 'others'] as const).every(
    (effect) => Math.abs(a[effect] - b[effect]) <= 1e-6 + 1e-3 * Math.abs(b[effect]),
  );

t.test('weights only: no activations in the map', (t) => {
  for (const { weights, activations } of Object.values(map.components)) {
    t.same([Object.keys(weights), Object.keys(activations)], [['2', '4'], []]);
  }
  t.same(map.reliability.activations, {});
  t.end();
});

t.test(
  'a packed model is the same to the objects of the pictures, whether it takes floats or bytes',
  async (t) => {
    const model = readModel(path);
    const made = await quantizeModel(model, {
      allocation: uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'),
      feeds: () => feeds,
      knownRanges: pixelRanges(smallSpec.input),
    });
    const observe = await observeObjects(common);
    const floats = await observe(writeModel(made.model));
    t.equal(takeBytes(made.model, smallSpec.input).format, 'bytes');
    t.same(await observe(writeModel(made.model)), floats);
    t.ok(floats.divergence > 0);
  },
);

t.test('a pair does what the whole network with both does', async (t) => {
  const components = componentsOf(prepareModel(readModel(path)));
  const at = (index: number, bits: 2 | 4): Rounded => ({ component: components[index]?.name ?? '', bits });
  const last = components.length - 1;
  const pairs: [Rounded, Rounded][] = [
    [at(0, 2), at(2, 2)],
    [at(last, 2), at(1, 4)],
    [at(2, 4), at(0, 2)],
  ];
  const measured = await measurePairs(pairs, { ...common, perturbations });
  const observe = await observeObjects(common);
  t.ok(near(await observe(new Uint8Array(readFileSync(path))), zero), 'FP32 does nothing to itself');
  const withBoth = (pair: readonly Rounded[]): Model =>
    pair.reduce(
      (model, { component: name, bits }) => {
        const component = componentsOf(model).find((each) => each.name === name);
        const how = component && perturbationOf(perturbations, component, { kind: 'weights', bits });
        if (component === undefined || how === undefined) throw new Error(`no ${name}`);
        return modelWith(model, component, how);
      },
      prepareModel(readModel(path)),
    );
  let moved = 0;
  for (const [index, pair] of pairs.entries()) {
    const own = measured[index];
    if (own === undefined) throw new Error('a result for each pair');
    const whole = await observe(writeModel(withBoth(pair)));
    t.ok(near(own.both, whole), `${JSON.stringify(own.both)} and ${JSON.stringify(whole)}`);
    moved = Math.max(moved, whole.divergence);
    for (const [side, { component, bits }] of [
      [own.first, pair[0]],
      [own.second, pair[1]],
    ] as const) {
      const robust = map.components[component]?.weights[bits]?.robust;
      if (robust === undefined) throw new Error('in the map');
      t.ok(near(side, { ...robust, divergence: robust.divergence.mean }), `${component} alone`);
    }
  }
  t.ok(moved > 1e-4, `something moved: ${moved}`);
  await t.rejects(measurePairs([[{ component: 'none', bits: 2 }, at(0, 2)]], { ...common, perturbations }), {
    code: 'BAD_CONFIG',
    message: /none at 2 bits/,
  });
});
