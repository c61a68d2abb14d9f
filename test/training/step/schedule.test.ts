// The learning rate over a run: up in a line, held, down along half a cosine.
import t from 'tap';
import { rateAt } from '../../../src/training/step/schedule.js';

t.test('it rises, is held, and falls to what is left', (t) => {
  const schedule = { rate: 2, warmUp: 4, hold: 6, steps: 31, last: 0.1 };
  t.same(
    [0, 1, 2, 3].map((step) => rateAt(step, schedule)),
    [0.5, 1, 1.5, 2],
  );
  for (let step = 4; step <= 10; step += 1) t.equal(rateAt(step, schedule), 2, `step ${step}`);
  t.equal(rateAt(20, schedule).toFixed(9), (2 * 0.55).toFixed(9), 'half way down');
  for (let step = 11; step < 30; step += 1) t.ok(rateAt(step, schedule) > rateAt(step + 1, schedule));
  t.equal(rateAt(30, schedule).toFixed(9), '0.200000000');
  t.equal(rateAt(99, schedule).toFixed(9), '0.200000000', 'and stays there');
  t.end();
});

t.test('a longer run with a longer hold begins alike', (t) => {
  const short = { rate: 1e-3, warmUp: 10, hold: 40, steps: 80 };
  const long = { rate: 1e-3, warmUp: 10, hold: 90, steps: 160 };
  for (let step = 0; step <= 50; step += 1) t.equal(rateAt(step, short), rateAt(step, long));
  t.end();
});

t.test('without a hold it falls at once', (t) => {
  t.equal(rateAt(0, { rate: 1, steps: 10 }), 1);
  t.ok(rateAt(1, { rate: 1, steps: 10 }) < 1);
  t.equal(rateAt(9, { rate: 1, steps: 10 }).toFixed(9), '0.050000000');
  t.end();
});
