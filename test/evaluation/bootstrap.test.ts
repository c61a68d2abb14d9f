// The bootstrap: deterministic, about right, and narrower when paired.
import t from 'tap';
import { bootstrap, pairedBootstrap, placesOf, quantile } from '../../src/evaluation/index.js';

const weightedMean =
  (values: readonly number[]) =>
  (weights: Int32Array): number =>
    values.reduce((sum, value, i) => sum + value * (weights[i] ?? 0), 0) /
    weights.reduce((sum, w) => sum + w, 0);

t.test('quantiles are linear between neighbours', async (t) => {
  t.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  t.equal(quantile([1, 2, 3], 0), 1);
  t.equal(quantile([1, 2, 3], 1), 3);
  t.ok(Number.isNaN(quantile([], 0.5)));
});

t.test('the interval of a mean is that of the textbook', async (t) => {
  // 400 values of mean 0.5 and variance 1/12: the standard error is 0.01443.
  const values = Array.from({ length: 400 }, (_, i) => (i + 0.5) / 400);
  const { value, low, high } = bootstrap(values.length, weightedMean(values), { rounds: 2000, seed: 7 });
  t.ok(Math.abs(value - 0.5) < 1e-12);
  t.ok(Math.abs(low - (0.5 - 1.96 * 0.01443)) < 0.003, `low ${low}`);
  t.ok(Math.abs(high - (0.5 + 1.96 * 0.01443)) < 0.003, `high ${high}`);
});

t.test('the same seed gives the same interval, another seed another', async (t) => {
  const values = Array.from({ length: 50 }, (_, i) => (i * 37) % 50);
  const run = (seed: number) => bootstrap(50, weightedMean(values), { rounds: 200, seed });
  t.same(run(3), run(3));
  t.not(run(3).low, run(4).low);
});

t.test('every resample draws as many pictures as there are', async (t) => {
  const sums = new Set<number>();
  bootstrap(
    17,
    (weights) => {
      const sum = weights.reduce((total, weight) => total + weight, 0);
      sums.add(sum);
      return sum;
    },
    { rounds: 50 },
  );
  t.same([...sums], [17]);
});

t.test('a paired difference sees what two intervals do not', async (t) => {
  const first = Array.from({ length: 200 }, (_, i) => ((i * 7919) % 200) / 200);
  const second = first.map((value, i) => value + 0.01 + (i % 2) * 0.01);
  const paired = pairedBootstrap(200, weightedMean(first), weightedMean(second), { rounds: 500 });
  t.ok(Math.abs(paired.value - 0.015) < 1e-9);
  t.ok(paired.low > 0.013 && paired.high < 0.017, `${paired.low} to ${paired.high}`);
  const alone = bootstrap(200, weightedMean(second), { rounds: 500 });
  t.ok(alone.high - alone.low > 10 * (paired.high - paired.low));
});

t.test('resamples without a figure are left out', async (t) => {
  const { value, low, high } = bootstrap(3, (weights) => ((weights[0] ?? 0) === 0 ? Number.NaN : 1), {
    rounds: 100,
  });
  t.same([value, low, high], [1, 1, 1]);
});

t.test('pictures of one place are drawn together', async (t) => {
  // 40 places of 25 pictures that are alike: what 40 pictures say, and no more.
  const [places, each] = [40, 25];
  const values = Array.from({ length: places * each }, (_, i) => (Math.floor(i / each) + 0.5) / places);
  const names = values.map((_, i) => `${Math.floor(i / each)}-${i % each}.jpg`);
  const together = bootstrap(values.length, weightedMean(values), {
    rounds: 2000,
    places: placesOf(names, '-'),
  });
  const error = Math.sqrt(1 / 12 / places);
  t.ok(Math.abs(together.value - 0.5) < 1e-12);
  t.ok(
    Math.abs(together.high - together.low - 2 * 1.96 * error) < 0.02,
    `${together.low} to ${together.high}`,
  );
  const alone = bootstrap(values.length, weightedMean(values), { rounds: 2000 });
  t.ok(Math.abs((together.high - together.low) / (alone.high - alone.low) - Math.sqrt(each)) < 0.6);
  t.same(
    bootstrap(50, weightedMean(values), { rounds: 50, places: Int32Array.from({ length: 50 }, (_, i) => i) }),
    bootstrap(50, weightedMean(values), { rounds: 50 }),
    'places of one picture each are pictures',
  );
});

t.test('a place is what names have in common', async (t) => {
  t.same([...placesOf(['a-1', 'b-1', 'a-2', 'a', 'a-1-2', 'a-1-3', 'b-'], '-')], [0, 1, 0, 2, 3, 3, 1]);
  t.same([...placesOf(['cam1__3', 'cam1__4', 'cam1_3'], '__')], [0, 0, 1]);
  t.same([...placesOf([], '-')], []);
});
