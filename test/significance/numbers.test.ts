// The numbers of a map: divergences, temperature, ranks, intervals; the map's file; pairs, costs and groups.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { HEADER } from '../../src/significance/compact.js';
import {
  binaryDivergence,
  binaryHellinger,
  divergence,
  fitTemperature,
  hellinger,
  logSoftmax,
} from '../../src/significance/distribution.js';
import {
  groupsOf,
  parseCosts,
  parsePairs,
  parseSignificance,
  readSignificance,
  type SignificanceMap,
  writeSignificance,
} from '../../src/significance/index.js';
import { CriticalSet, type Found, meansOf } from '../../src/significance/measures.js';
import { readRecord, writeRecord } from '../../src/significance/record.js';
import {
  meanOf,
  ranksOf,
  resamples,
  randomNumbers,
  rankInterval,
  spearman,
  splitHalf,
  spreadOf,
} from '../../src/significance/statistics.js';
import { z } from 'zod';

const logit = fc.double({ min: -30, max: 30, noNaN: true });
const logits = fc.array(logit, { minLength: 2, maxLength: 6 });
const near = (a: number, b: number, slack = 1e-9): boolean => Math.abs(a - b) <= slack * (1 + Math.abs(b));

t.test(
  'divergences are never negative, nothing for equals, and the same for two classes and for one logit',
  (t) => {
    fc.assert(
      fc.property(logits, logits, fc.double({ min: 0.1, max: 10, noNaN: true }), (a, b, temperature) => {
        const other = a.map((_, i) => b[i % b.length] ?? 0);
        const [p, q] = [logSoftmax(a, temperature), logSoftmax(other, temperature)];
        const total = p.reduce((sum, log) => sum + Math.exp(log), 0);
        return near(total, 1) && divergence(p, q) >= 0 && divergence(p, p) === 0;
      }),
    );
    fc.assert(
      fc.property(logit, logit, (a, b) => {
        const two = divergence(logSoftmax([a, 0], 1), logSoftmax([b, 0], 1));
        return near(binaryDivergence(a, b), two, 1e-6);
      }),
    );
    fc.assert(
      fc.property(logits, logits, (a, b) => {
        const [p, q] = [
          logSoftmax(a, 1),
          logSoftmax(
            a.map((_, i) => b[i % b.length] ?? 0),
            1,
          ),
        ];
        const direct = p.reduce(
          (sum, log, i) => sum + (Math.exp(log / 2) - Math.exp((q[i] ?? 0) / 2)) ** 2,
          0,
        );
        const d = hellinger(p, q);
        // KL >= -2 log of the overlap, which is 1 - d^2.
        const isBelow = Math.exp(-divergence(p, q) / 2) <= 1 - d * d + 1e-9;
        return Math.abs(d - Math.sqrt(direct / 2)) <= 1e-6 && d <= 1 && isBelow;
      }),
    );
    fc.assert(
      fc.property(logit, logit, (a, b) =>
        near(binaryHellinger(a, b), hellinger(logSoftmax([a, 0], 1), logSoftmax([b, 0], 1)), 1e-6),
      ),
    );
    const [p, q] = [logSoftmax([1, 0.2, -1], 1), logSoftmax([1.01, 0.2, -1], 1)];
    t.ok(Math.abs(divergence(p, q) / (4 * hellinger(p, q) ** 2) - 1) < 0.02, 'KL is 4 d^2 to second order');
    t.end();
  },
);

t.test('the temperature with the least loss', (t) => {
  // Sure of itself with logit 8 and right three times of four: the loss is least where softmax says 3/4.
  const objects = [0, 0, 0, 1].map((truth) => ({ logits: [8, 0], truth, weight: 1 }));
  t.ok(near(fitTemperature(objects), 8 / Math.log(3), 1e-4));
  t.equal(fitTemperature([]), 1);
  fc.assert(
    fc.property(fc.array(fc.tuple(logit, logit, fc.boolean()), { minLength: 1, maxLength: 20 }), (rows) => {
      const given = rows.map(([a, b, first]) => ({ logits: [a, b], truth: first ? 0 : 1, weight: 1 }));
      const lossAt = (temperature: number): number =>
        given.reduce((sum, each) => sum - (logSoftmax(each.logits, temperature)[each.truth] ?? 0), 0);
      const best = lossAt(fitTemperature(given));
      return [0.1, 0.5, 1, 2, 5, 20].every((temperature) => best <= lossAt(temperature) + 1e-6);
    }),
  );
  t.end();
});

t.test('ranks and their correlation', (t) => {
  t.same(ranksOf([3, 1, 3, 2]), [2.5, 0, 2.5, 1]);
  t.equal(spearman([1, 2, 3], [10, 20, 30]), 1);
  t.equal(spearman([1, 2, 3], [3, 2, 1]), -1);
  t.equal(spearman([1, 1], [1, 2]), undefined);
  const values = fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(values, (a) => {
      // A rising function changes no rank.
      const correlation = spearman(
        a,
        a.map((value) => Math.exp(value / 500)),
      );
      return correlation !== undefined && near(correlation, 1);
    }),
  );
  t.end();
});

t.test('the interval of a rank correlation: around it, narrower with more pairs', (t) => {
  const noisy = (count: number) => {
    const random = randomNumbers(5);
    const a = Array.from({ length: count }, () => random());
    return rankInterval(
      a,
      a.map((value) => value + random()),
    );
  };
  const [few, many] = [noisy(20), noisy(400)];
  for (const { value, low, high } of [few, many]) t.ok(low < value && value < high);
  t.ok(many.high - many.low < (few.high - few.low) / 2);
  const { value, low, high } = rankInterval([1, 2, 3, 4], [2, 4, 6, 8]);
  t.same([value, low, high], [1, 1, 1], 'one order is one order in every drawing');
  t.same(rankInterval([1, 1], [1, 2]).value, NaN);
  t.end();
});

t.test('intervals hold the mean; halves of what is all alike agree', (t) => {
  const sums = {
    sum: Float64Array.from({ length: 40 }, (_, i) => i),
    weight: Float64Array.from({ length: 40 }, (_, i) => 1 + (i % 2)),
  };
  const { mean, low, high } = spreadOf(sums, resamples(40));
  t.equal(mean, meanOf(sums));
  t.ok(low < mean && mean < high);
  const scaled = [1, 2, 3, 4].map((k) => ({ ...sums, sum: sums.weight.map((weight) => k * weight) }));
  t.equal(splitHalf(scaled), 1, 'an order that every picture shows');
  t.equal(splitHalf(scaled.slice(0, 1)), null);
  t.end();
});

/** Compact rows of three classes: box, objectness, logits, rest. */
const rowOf = (classes: readonly number[]): number[] => [0, 0, 10, 10, 2, ...classes, -5];

t.test('what perturbing did to objects', (t) => {
  const objects: Found[] = [
    { picture: 0, truth: 0, hasLabel: true },
    { picture: 1, truth: 1, hasLabel: true },
    { picture: 1, truth: 2, hasLabel: true },
  ];
  const rows = Float32Array.from([rowOf([2, 1, 0]), rowOf([0, 3, 1]), rowOf([0, 0, 4])].flat());
  const moved = rows.slice();
  moved[HEADER] = 1; // The first object's own class.
  moved[2 * HEADER + 4 + 2] = 5; // The box of the second one is half as long again... its third side.
  const critical = { groups: [[0, 1]], costs: [] };
  const set = new CriticalSet(objects, rows, 2, critical, 1);
  t.equal(set.size, 2, 'two of critical classes');
  const same = meansOf(set.measure(rows), resamples(2));
  t.same(same.guards, { objectness: 0, box: 0, others: 0 });
  t.equal(same.divergence.mean, 0);
  t.equal(same.signed?.mean, 0);
  const changed = meansOf(set.measure(moved), resamples(2));
  const loss = (a: number, b: number): number => -Math.log(1 / (1 + Math.exp(b - a)));
  t.ok(near(changed.signed?.mean ?? NaN, (loss(1, 1) - loss(2, 1)) / 2, 1e-6), 'S_c as it is written');
  t.ok((changed.divergence.mean ?? 0) > 0);
  t.ok(near(changed.margin ?? NaN, 0.5, 1e-6));
  const costly = new CriticalSet(
    objects,
    rows,
    2,
    { ...critical, costs: [{ truth: 0, predicted: 1, cost: 3 }] },
    1,
  );
  const weighted = meansOf(costly.measure(moved), resamples(2));
  t.ok(near(weighted.signed?.mean ?? NaN, ((loss(1, 1) - loss(2, 1)) * 3) / 4, 1e-6), 'costs weigh objects');
  const free = new CriticalSet(
    objects.map((each) => ({ ...each, hasLabel: false })),
    rows,
    2,
    critical,
  );
  t.equal(free.temperature, 1);
  t.equal(free.measure(moved).signed, undefined, 'no loss without labels');
  t.end();
});

t.test('pairs, groups and costs', (t) => {
  const classes = ['bus', 'car', 'truck', 'delivery van'];
  t.same(parsePairs('Car:bus, truck:car,bus:car', classes), [
    [0, 1],
    [1, 2],
  ]);
  t.same(parseCosts('bus:car=2,delivery-van:car=0.5', classes), [
    { truth: 0, predicted: 1, cost: 2 },
    { truth: 3, predicted: 1, cost: 0.5 },
  ]);
  for (const text of ['', 'car', 'car:car', 'car:plane', 'a:b:c']) {
    t.throws(() => parsePairs(text, classes), { code: 'BAD_USAGE' }, text);
  }
  for (const text of ['bus:car', 'bus:car=', 'bus:car=0', 'bus:car=-1', 'bus:car=x', 'bus=2']) {
    t.throws(() => parseCosts(text, classes), { code: 'BAD_USAGE' }, text);
  }
  t.same(
    groupsOf([
      [0, 1],
      [2, 3],
    ]),
    [
      [0, 1],
      [2, 3],
    ],
  );
  t.same(
    groupsOf([
      [0, 1],
      [2, 3],
      [1, 2],
    ]),
    [[0, 1, 2, 3]],
  );
  t.end();
});

const spread = { mean: 0.1, low: 0.05, high: 0.2 };
const map: SignificanceMap = {
  format: 'bitlane-significance',
  version: 2,
  model: 'a'.repeat(64),
  data: { name: 'data.yaml', split: 'train', pictures: 2, fingerprint: 'b'.repeat(64) },
  granularity: 'layer',
  critical: {
    classes: ['bus', 'car'],
    pairs: [['bus', 'car']],
    groups: [['bus', 'car']],
    objects: 3,
    allObjects: 4,
    labelled: false,
    costs: [],
  },
  temperature: 1,
  rounding: 'gptq',
  components: {
    conv: {
      weights: {
        '4': {
          divergence: spread,
          guards: { objectness: 0, box: 0.1, others: 0 },
          robust: { divergence: spread, objectness: 0, box: 0.01, others: 0 },
          outputError: 0.1,
          relativeWeightError: 0.2,
        },
      },
      activations: {},
    },
  },
  reliability: { weights: { '4': { divergence: 0.8, robust: 0.9 } }, activations: {} },
};

t.test('the file of a map', (t) => {
  const path = join(t.testdir(), 'map.json');
  writeSignificance(path, map);
  t.same(readSignificance(path), map);
  const text = readFileSync(path, 'utf8');
  t.throws(() => parseSignificance(text.slice(0, -20), 'm.json'), { code: 'BAD_CONFIG', message: /m\.json/ });
  t.throws(() => parseSignificance('{}', 'm.json'), { code: 'BAD_CONFIG' });
  t.throws(() => readSignificance(join(path, 'none')), { code: 'BAD_CONFIG' });
  const negative = text.replace('"outputError":0.1', '"outputError":-0.1');
  t.throws(() => parseSignificance(negative, 'm.json'), { code: 'BAD_CONFIG', message: /outputError/ });
  t.end();
});

t.test('numbers on disk are whole or not there', (t) => {
  const path = join(t.testdir(), 'deep', 'numbers.bin');
  const header = z.strictObject({ what: z.string() });
  writeRecord(path, { what: 'x' }, [Float32Array.of(1, 2), Float32Array.of(3)]);
  t.same(readRecord(path, header)?.floats, Float32Array.of(1, 2, 3));
  t.equal(readRecord(path, z.strictObject({ other: z.string() })), undefined);
  const bytes = readFileSync(path);
  for (let end = 0; end < bytes.length; end++) {
    writeFileSync(path, bytes.subarray(0, end));
    if (readRecord(path, header) !== undefined) t.fail(`${end} of ${bytes.length} bytes were read`);
  }
  t.end();
});
