import fc from 'fast-check';
import t from 'tap';
import { wilsonLower } from '../../src/evaluation/index.js';
import {
  type ConfusionReport,
  criticalPairs,
  type Looks,
  observedConfusions,
  readConfusions,
  toObservationRow,
} from '../../src/examples/index.js';
import { openStore } from '../../src/store/index.js';
import { confusions as config, MODEL } from './parts.js';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 4, 20);

const look = (change: Partial<Looks> = {}): Looks => ({
  seenMs: NOW,
  source: 'operator',
  predicted: 'car',
  presumed: 'truck',
  weight: 1,
  model: MODEL,
  ...change,
});
const many = (count: number, change: Partial<Looks> = {}): Looks[] =>
  Array.from({ length: count }, () => look(change));
const countOf = ({ classes, matrix }: ConfusionReport, truth: string, predicted: string): number => {
  const indexOf = (name: string): number => (name === '' ? classes.length : classes.indexOf(name));
  return matrix.count(indexOf(truth), indexOf(predicted));
};

t.test('what an observation counts for: its weight, its source, its age', async (t) => {
  const weights = { operator: 1, track: 0.5, teacher: 0 };
  const report = (looks: readonly Looks[]) => observedConfusions(looks, { ...config, weights }, NOW);
  t.equal(countOf(report([look({ weight: 0.4 })]), 'truck', 'car'), 0.4);
  t.equal(countOf(report([look({ source: 'track' })]), 'truck', 'car'), 0.5);
  t.equal(
    report([look({ source: 'teacher' })]).matrix.classes.length,
    0,
    'a weight of 0 leaves a source out',
  );
  const old = look({ seenMs: NOW - config.halfLifeDays * DAY_MS });
  t.equal(countOf(report([old]), 'truck', 'car'), 0.5);
  t.same(report([look({ seenMs: NOW - (config.windowDays + 0.1) * DAY_MS })]).classes, []);
  t.equal(countOf(report([look({ seenMs: NOW + DAY_MS })]), 'truck', 'car'), 1, 'a clock that ran ahead');
  t.equal(countOf(report([look({ presumed: null })]), '', 'car'), 1);
  t.equal(countOf(report([look({ predicted: null })]), 'truck', ''), 1);
  t.same(report([look({ predicted: 'Motor-Bike', presumed: 'motorbike' })]).classes.length, 1, 'one class');
});

t.test('critical: support and a lower bound, pinned, banned', async (t) => {
  const right = many(30, { predicted: 'truck' });
  const critical = (looks: readonly Looks[], change: Partial<typeof config> = {}) =>
    criticalPairs(observedConfusions(looks, { ...config, ...change }, NOW));
  t.same(critical([...many(8), ...right]), [['car', 'truck']]);
  t.same(critical(many(config.minSupport - 1)), [], 'too few');
  t.same(critical([...many(1), ...many(2000, { predicted: 'truck' })]), [], 'too rare');
  t.same(critical([...many(8), ...right], { banned: [['truck', 'Car']] }), []);
  t.same(critical([], { pinned: [['car', 'bus']] }), [['bus', 'car']]);
  t.same(critical([], { pinned: [['car', 'bus']], banned: [['bus', 'car']] }), [], 'a ban wins');
  const report = observedConfusions([...many(8), ...right], { ...config, pinned: [['car', 'truck']] }, NOW);
  t.match(report.pairs, [{ a: 'car', b: 'truck', because: 'pinned', critical: true, support: 38 }]);
  t.equal(report.pairs.length, 1, 'what is pinned and observed is there once');
});

t.test('every source is told apart', async (t) => {
  const looks = [
    ...many(3),
    ...many(5, { source: 'track', weight: 0.5 }),
    ...many(4, { source: 'teacher', predicted: 'truck' }),
  ];
  const weights = { operator: 1, track: 1, teacher: 1 };
  const report = observedConfusions(looks, { ...config, weights }, NOW);
  t.same(report.sources, {
    operator: { observations: 3, weight: 3 },
    track: { observations: 5, weight: 2.5 },
    teacher: { observations: 4, weight: 4 },
  });
  t.match(report.pairs[0]?.sources, {
    operator: { confused: 3, support: 3, lower: wilsonLower(3, 3) },
    track: { confused: 2.5, support: 2.5 },
    teacher: { confused: 0, support: 4, lower: 0 },
  });
  const alone = observedConfusions(looks, { ...config, weights }, NOW, { sources: ['track'] });
  t.equal(alone.pairs[0]?.support, 2.5);
  t.same(alone.sources.operator, { observations: 0, weight: 0 });
  const other = observedConfusions(looks, config, NOW, { models: ['b'.repeat(64)] });
  t.same(other.pairs, []);
});

t.test('against a plain sum over all observations', async () => {
  const names = fc.constantFrom('car', 'truck', 'bus', null);
  const looks = fc.array(
    fc.record(
      {
        seenMs: fc.integer({ min: NOW - 20 * DAY_MS, max: NOW }),
        source: fc.constantFrom('operator', 'track', 'teacher'),
        predicted: names,
        presumed: names,
        weight: fc.double({ min: 0.01, max: 1, noNaN: true }),
        model: fc.constant(MODEL),
      },
      { noNullPrototype: true },
    ),
    { maxLength: 40 },
  );
  const isClose = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;
  fc.assert(
    fc.property(looks, (list) => {
      const report = observedConfusions(list, config, NOW);
      const weightOf = ({ seenMs, weight, source }: Looks): number => {
        const days = (NOW - seenMs) / DAY_MS;
        return days > config.windowDays
          ? 0
          : weight * config.weights[source] * Math.exp((-Math.LN2 * days) / config.halfLifeDays);
      };
      for (const truth of [...report.classes, '']) {
        for (const predicted of [...report.classes, '']) {
          const own = list.filter(
            (one) => (one.presumed ?? '') === truth && (one.predicted ?? '') === predicted,
          );
          const sum = own.reduce((total, one) => total + weightOf(one), 0);
          if (!isClose(sum, countOf(report, truth, predicted))) throw new Error(`${truth} as ${predicted}`);
        }
      }
      for (const { a, b, support, rate, lower, sources } of report.pairs) {
        const confused = countOf(report, a, b) + countOf(report, b, a);
        const all = confused + countOf(report, a, a) + countOf(report, b, b);
        const parts = Object.values(sources);
        if (!isClose(all, support) || !isClose(confused / all, rate)) throw new Error('support or rate');
        if (!isClose(lower, wilsonLower(confused, all))) throw new Error('lower');
        if (
          !isClose(
            parts.reduce((sum, part) => sum + part.support, 0),
            all,
          )
        )
          throw new Error('parts');
      }
    }),
  );
});

t.test('read from the store: summed by kind and time, the same within a thousandth', async (t) => {
  const store = openStore(':memory:');
  t.teardown(() => store.close());
  const looks = Array.from({ length: 25_000 }, (_, index) =>
    look({
      seenMs: NOW - index * 60_000,
      predicted: index % 7 === 0 ? 'car' : 'truck',
      source: index % 2 === 0 ? 'track' : 'operator',
    }),
  );
  store.observations.add(looks.map((one) => toObservationRow({ ...one, about: 'x' })));
  const [read, plain] = [await readConfusions(store, config, NOW), observedConfusions(looks, config, NOW)];
  t.same(read.classes, plain.classes);
  t.same(read.sources.track.observations, plain.sources.track.observations);
  for (const truth of ['car', 'truck']) {
    for (const predicted of ['car', 'truck']) {
      const [a, b] = [countOf(read, truth, predicted), countOf(plain, truth, predicted)];
      t.ok(Math.abs(a - b) <= 0.001 * b, `${truth} as ${predicted}: ${a}, ${b}`);
    }
  }
  store.observations.prune(NOW - DAY_MS, 100);
  t.equal(store.observations.since(0).length, 100, 'old ones and those above the limit go');
  t.same((await readConfusions(openStore(':memory:'), config, NOW)).pairs, []);
});
