// Rows in pairs: differences on the same pictures, seeds averaged, and what an interval says.
import fc from 'fast-check';
import t from 'tap';
import {
  differenceOf,
  type ExperimentResult,
  hypothesesOf,
  intervalOfRow,
  type MeasuredRow,
  type ResultRow,
  ROWS,
  verdictOf,
} from '../../src/experiment/index.js';

const run = (value: number, rounds: readonly number[]): MeasuredRow => {
  const figure = { value, rounds: [...rounds] };
  return {
    status: 'measured',
    figures: { map50: figure, map5095: figure, criticalAccuracy: figure, nearConfusion: figure },
    criticalObjects: 10,
    confusion: { classes: ['a', 'b'], counts: [] },
    modelBytes: 1000,
    averageBits: 4,
    latencyRatio: { value: 1, low: 1, high: 1 },
    memoryMb: null,
    searchPasses: null,
    trainedPictures: 0,
    seconds: 1,
    allocation: null,
  };
};

const row = (id: string, runs: readonly MeasuredRow[]): ResultRow => ({
  id,
  family: 'mixed',
  label: id,
  runs: runs.map((result, i) => ({ seed: i + 1, result })),
});

t.test('a difference is taken round by round', (t) => {
  // Both move with the pictures; what is between them does not.
  const shared = Array.from({ length: 200 }, (_, i) => Math.sin(i) / 4);
  const [low, high] = [
    row('low', [
      run(
        0.5,
        shared.map((value) => 0.5 + value),
      ),
    ]),
    row('high', [
      run(
        0.52,
        shared.map((value) => 0.52 + value),
      ),
    ]),
  ];
  const alone = intervalOfRow(high, 'map50');
  t.ok((alone?.low ?? 1) < 0.4 && (alone?.high ?? 0) > 0.6);
  const difference = differenceOf(high, low, 'map50');
  t.ok(Math.abs((difference?.low ?? 0) - 0.02) < 1e-9 && Math.abs((difference?.high ?? 0) - 0.02) < 1e-9);
  t.equal(difference?.p, 1 / 201, 'never worse in 200 rounds');
  t.equal(difference && verdictOf(difference), 'better');
  const back = differenceOf(low, high, 'map50');
  t.equal(back?.p, 1);
  t.equal(back && verdictOf(back), 'worse');
  const none = differenceOf(low, low, 'map50');
  t.equal(none?.p, 101 / 201, 'neither is worse');
  t.equal(none && verdictOf(none), 'undecided');
  t.end();
});

t.test('swapping the rows turns the sign', (t) => {
  const rounds = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(rounds, rounds, (a, b) => {
      const [first, second] = [row('a', [run(a[0] ?? 0, a)]), row('b', [run(b[0] ?? 0, b)])];
      const [one, other] = [differenceOf(first, second, 'map50'), differenceOf(second, first, 'map50')];
      if (Math.abs((one?.value ?? NaN) + (other?.value ?? NaN)) > 1e-12) throw new Error('values');
      if (Math.abs((one?.low ?? NaN) + (other?.high ?? NaN)) > 1e-12) throw new Error('ends');
    }),
  );
  t.end();
});

t.test('seeds are averaged; what could not be measured is left out', (t) => {
  const both = row('a', [run(0.4, [0.4, 0.5]), run(0.6, [0.6, 0.7])]);
  t.ok(Math.abs((intervalOfRow(both, 'map50')?.value ?? 0) - 0.5) < 1e-12);
  const none: ResultRow = {
    ...row('b', []),
    runs: [{ seed: 1, result: { status: 'impossible', reason: 'no' } }],
  };
  t.equal(intervalOfRow(none, 'map50'), undefined);
  t.equal(differenceOf(both, none, 'map50'), undefined);
  t.end();
});

t.test('the hypothesis is looked at where both rows are there', (t) => {
  const result = (rows: readonly ResultRow[]): ExperimentResult => ({
    format: 'bitlane-experiment',
    version: 1,
    model: { id: 'x', name: 'x', modelBytes: 1 },
    data: { tuning: { name: 'a', pictures: 1 }, validation: { name: 'b', pictures: 1 } },
    pairs: [],
    execution: 'fp32',
    scale: {},
    device: 'test',
    budget: { modelBytes: 1 },
    rows: [...rows],
  });
  const rounds = [0.5, 0.6, 0.7];
  t.same(hypothesesOf(result([row('mixed-product', [run(0.6, rounds)])]), 'map50'), []);
  const found = hypothesesOf(
    result([row('mixed-product', [run(0.6, rounds)]), row('mixed-hawq', [run(0.5, rounds)])]),
    'map50',
  );
  t.same(
    found.map(({ ours, against }) => [ours, against]),
    [['mixed-product', 'mixed-hawq']],
  );
  const verdicts = (other: MeasuredRow): string[] =>
    hypothesesOf(
      result([row('mixed-product', [run(0.6, rounds)]), row('mixed-fisher', [other])]),
      'map50',
    ).map(({ verdict }) => verdict);
  t.same(verdicts(run(0.6, rounds)), ['the same']);
  t.same(verdicts({ ...run(0.6, rounds), modelBytes: 999 }), ['undecided'], 'as good, but another model');
  t.end();
});

t.test('every row has an id of its own, fit for a file name', (t) => {
  const ids = ROWS.map(({ id }) => id);
  t.equal(new Set(ids).size, ids.length);
  for (const id of ids) t.match(id, /^[a-zA-Z0-9-]+$/);
  t.end();
});
