import fc from 'fast-check';
import t from 'tap';
import { LatencyWindow, Rate } from '../../src/daemon/latency.js';

t.test('quantiles are those of the newest values', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (values, size, share) => {
        const window = new LatencyWindow(size);
        for (const value of values) window.add(value);
        const kept = values.slice(-size).sort((a, b) => a - b);
        const rank = Math.max(1, Math.ceil(share * kept.length));
        return window.quantile(share) === kept[rank - 1];
      },
    ),
  );
  t.equal(new LatencyWindow().quantile(0.5), null);
});

t.test('a rate is what came between two looks', async (t) => {
  const rate = new Rate(10, 1_000);
  t.equal(rate.look(30, 3_000), 10);
  t.equal(rate.look(30, 4_000), 0);
  t.equal(rate.look(5, 5_000), 0, 'a counter that began anew is no negative rate');
  t.equal(rate.look(6, 5_000), 0, 'no time has passed');
});
