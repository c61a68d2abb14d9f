// Rows in pairs: differences on the same pictures, seeds averaged, and what an interval says.
import fc from 'fast-check';
import t from 'tap';
import { differenceOf, intervalOfRow, type ResultRow, ROWS, verdictOf } from '../../src/experiment/index.js';
import { row, run } from './rows-of.js';

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
  t.equal(difference?.p, 2 / 201, 'never worse in 200 rounds');
  t.equal(difference && verdictOf(difference), 'better');
  const back = differenceOf(low, high, 'map50');
  t.equal(back?.p, 2 / 201, 'the same, seen from the other side');
  t.equal(back && verdictOf(back), 'worse');
  const none = differenceOf(low, low, 'map50');
  t.equal(none?.p, 1, 'neither is worse');
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

t.test('seeds are resampled, too, and those that only one row has are left out', (t) => {
  const rounds = Array.from({ length: 400 }, () => 0.5);
  const runs = [0.4, 0.5, 0.6].map((value) =>
    run(
      value,
      rounds.map(() => value),
    ),
  );
  const three = intervalOfRow(row('qat4-lsq', runs), 'map50');
  t.ok((three?.low ?? 1) < 0.44 && (three?.high ?? 0) > 0.56, 'pictures say nothing here, seeds do');
  const two = row('trained-hawq', [
    run(
      0.4,
      rounds.map(() => 0.4),
    ),
    run(
      0.5,
      rounds.map(() => 0.5),
    ),
  ]);
  const paired = differenceOf(row('trained-product', runs), two, 'map50');
  t.same([paired?.value, paired?.low, paired?.high], [0, 0, 0], 'seeds 1 and 2, drawn alike');
  const fixed = differenceOf(row('trained-product', runs), row('fp32', [run(0.4, rounds)]), 'map50');
  t.ok(Math.abs((fixed?.value ?? 0) - 0.1) < 1e-12, 'a row that is not random stands for every seed');
  t.end();
});

t.test('every row has an id of its own, fit for a file name', (t) => {
  const ids = ROWS.map(({ id }) => id);
  t.equal(new Set(ids).size, ids.length);
  for (const id of ids) t.match(id, /^[a-zA-Z0-9-]+$/);
  t.end();
});
