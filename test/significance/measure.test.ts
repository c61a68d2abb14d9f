// A map from pictures to numbers: resumed after an interruption, the same for any number of processes, with whole heads and without.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { componentsOf, prepareModel } from '../../src/quantization/index.js';
import { floatTensor } from '../../src/runtime/index.js';
import {
  drawMap,
  measureSignificance,
  parseSignificance,
  type SignificanceMap,
  type SignificanceOptions,
} from '../../src/significance/index.js';
import { noise } from '../onnx/bits.js';
import { makeFixture, smallSpace } from './fixture.js';
import { SIDE, smallDetector, smallSpec } from './nets.js';

const folder = t.testdir();
const { home, id, pictures } = await makeFixture(folder);

const optionsFor = (cache: string, more: Partial<SignificanceOptions> = {}): SignificanceOptions => ({
  model: { id, path: join(home, 'model.onnx'), detector: smallSpec },
  data: { name: 'noise', split: 'train' },
  pictures,
  space: smallSpace,
  pairs: [
    [0, 1],
    [1, 2],
  ],
  calibration: {
    feeds: () =>
      Array.from({ length: 4 }, (_, i) => ({
        x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, 50 + i)),
      })),
    key: 'noise',
  },
  cache: join(folder, cache),
  chunk: 2,
  ...more,
});

t.test('interrupted, taken up again, in one process and in two: the same map', async (t) => {
  const stop = new AbortController();
  let measured = 0;
  const broken = measureSignificance(
    optionsFor('a', {
      signal: stop.signal,
      onProgress: (step, done) => {
        if (step !== 'measuring') return;
        measured = done;
        if (done >= 10) stop.abort(new Error('enough'));
      },
    }),
  );
  await t.rejects(broken, { message: 'enough' });
  t.ok(measured >= 10);
  let from = -1;
  const resumed = await measureSignificance(
    optionsFor('a', {
      onProgress: (step, done) => {
        if (step === 'measuring' && from < 0) from = done;
      },
    }),
  );
  t.ok(from >= 10, `${from} were kept`);
  const fresh = await measureSignificance(optionsFor('b', { processes: 2 }));
  t.same(resumed.map, fresh.map);
  t.equal(fresh.isWindowed, true);
  const { map } = fresh;
  t.same(parseSignificance(JSON.stringify(map), 'map'), map);
  t.same(
    Object.keys(map.components),
    componentsOf(prepareModel(smallDetector())).map(({ name }) => name),
  );
  t.equal(map.critical.labelled, false);
  const entries = Object.values(map.components);
  t.ok(entries.some(({ weights }) => (weights['2']?.divergence.mean ?? 0) > 0));
  t.ok(entries.every(({ weights }) => weights['2']?.signed === undefined));
  const sum = (bits: '2' | '4'): number =>
    entries.reduce((all, { weights }) => all + (weights[bits]?.outputError ?? NaN), 0);
  t.ok(sum('2') > sum('4'), 'fewer bits, larger errors');
  // A file that is torn is measured again.
  const [key = ''] = readdirSync(join(folder, 'b'));
  const [chunk = ''] = readdirSync(join(folder, 'b', key)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  const [file = ''] = readdirSync(join(folder, 'b', key, chunk));
  const torn = join(folder, 'b', key, chunk, file);
  writeFileSync(torn, readFileSync(torn).subarray(0, 100));
  t.same((await measureSignificance(optionsFor('b'))).map, map);
  // Other pairs ask for no new measurement.
  const counts: number[] = [];
  const other = await measureSignificance(
    optionsFor('b', {
      pairs: [[0, 2]],
      onProgress: (step, done, all) => {
        if (step === 'measuring') counts.push(all - done);
      },
    }),
  );
  t.same(counts, [0]);
  t.same(other.map.critical.classes, ['bus', 'truck']);
});

t.test('heads around objects give what whole ones give', async (t) => {
  const near = await measureSignificance(optionsFor('b'));
  const whole = await measureSignificance(optionsFor('c', { wholeHeads: true }));
  t.equal(whole.isWindowed, false);
  for (const [name, { weights, activations }] of Object.entries(near.map.components)) {
    const other = whole.map.components[name];
    for (const bits of ['2', '4'] as const) {
      const pairs = [
        [weights[bits]?.divergence.mean, other?.weights[bits]?.divergence.mean],
        [activations[bits]?.guards.box, other?.activations[bits]?.guards.box],
      ];
      for (const [a = NaN, b = NaN] of pairs) t.ok(Math.abs(a - b) <= 1e-5, `${name}: ${a} and ${b}`);
    }
  }
});

t.test('the picture names what matters and is sound', async (t) => {
  const { map } = await measureSignificance(optionsFor('b'));
  const named: SignificanceMap = { ...map, data: { ...map.data, name: '<&"name' } };
  const svg = drawMap(named);
  t.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  t.notMatch(svg, /<&"name/);
  t.notMatch(svg, /NaN|Infinity|undefined/);
  t.equal(svg.match(/<title>/g)?.length, 1 + 4 * Object.keys(map.components).length);
});
