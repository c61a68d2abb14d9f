// Calibration: each method against its definition on all the values, zero, outliers, order, odd values.
import fc from 'fast-check';
import t from 'tap';
import { gaussClip, laplaceClip } from '../../src/quantization/aciq.js';
import { Histogram, SIDE_BINS } from '../../src/quantization/histogram.js';
import {
  ActivationObserver,
  fakeQuantize,
  gridOfRanges,
  type Range,
  RANGE_METHODS,
} from '../../src/quantization/index.js';
import { gauss, laplace, seed, sumOf } from './random.js';

const seen = (values: Float32Array, parts = 1): ActivationObserver => {
  const observer = new ActivationObserver({ samples: 1e9 });
  const length = Math.ceil(values.length / parts);
  for (let i = 0; i < values.length; i += length) observer.observe(values.subarray(i, i + length));
  return observer;
};

/** Mean squared error of all the values on the range's grid. */
const errorOf = (values: Float32Array, range: Range, bits: number): number => {
  const grid = gridOfRanges([range], { bits, signed: false });
  return sumOf(fakeQuantize(values, grid).map((v, i) => (v - (values[i] ?? 0)) ** 2)) / values.length;
};

const silu = (values: Float32Array): Float32Array => values.map((v) => v / (1 + Math.exp(-v)));
const relu = (values: Float32Array): Float32Array => values.map((v) => Math.max(0, v));
const SHAPES: readonly (readonly [string, (from: number) => Float32Array])[] = [
  ['gauss', (from) => gauss(20_000, from, 2)],
  ['laplace', (from) => laplace(20_000, from)],
  ['silu', (from) => silu(gauss(20_000, from, 3))],
  ['relu', (from) => relu(laplace(20_000, from))],
  ['negative', (from) => relu(gauss(20_000, from)).map((v) => -v)],
  ['shifted', (from) => gauss(20_000, from).map((v) => v + 5)],
];

t.test('every method gives a range that holds zero and lies within the values', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 60 }),
      fc.constantFrom(2, 4, 8),
      fc.integer({ min: 1, max: 5 }),
      (list, bits, parts) => {
        const observer = seen(Float32Array.from(list), parts);
        const low = Math.min(0, ...list);
        const high = Math.max(0, ...list);
        return RANGE_METHODS.every((method) => {
          const { min, max } = observer.range(method, bits);
          if (!(min <= 0 && max >= 0 && min >= low && max <= high)) return false;
          if (method === 'min-max' && (min !== low + 0 || max !== high + 0)) return false;
          return max > min || (low === 0 && high === 0);
        });
      },
    ),
    { numRuns: 300 },
  );
});

t.test('the order and the cuts of what is seen change nothing', async () => {
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 9 }), (from, parts) => {
      const values = gauss(3_000, from, 10).map((v) => v ** 3);
      const one = seen(values);
      const other = seen(values.slice().reverse(), parts);
      return RANGE_METHODS.every((method) => {
        const [a, b] = [one.range(method, 4), other.range(method, 4)];
        return a.min === b.min && a.max === b.max;
      });
    }),
    { numRuns: 30 },
  );
});

t.test('a tiny negative value is below zero, whatever came before it', async (t) => {
  const before = new Histogram();
  before.add(Float32Array.of(-1e-14, 0.5), 0.5, 0, 1);
  before.add(Float32Array.of(3000), 3000, 0, 1);
  const after = new Histogram();
  after.add(Float32Array.of(3000, -1e-14, 0.5), 3000, 0, 1);
  t.same(before.counts, after.counts);
  t.equal(after.counts[SIDE_BINS - 1], 1);
  t.equal(after.counts[SIDE_BINS], 1);
});

t.test('percentiles are those of the sorted values, to a bin', async (t) => {
  for (const [name, make] of SHAPES) {
    const values = make(3);
    const sorted = values.slice().sort();
    for (const percentile of [99.99, 99.5, 90]) {
      const range = seen(values, 3).range('percentile', 8, { percentile });
      const at = (share: number): number =>
        sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
      const magnitude = Math.max(...values.map(Math.abs));
      // Neighbouring values of the tail may lie apart by more than a bin: one rank of freedom.
      const near = (value: number, share: number): boolean =>
        value <= Math.max(0, at(share + 1.01 / sorted.length)) + magnitude / 1000 &&
        value >= Math.min(0, at(share - 1.01 / sorted.length)) - magnitude / 1000;
      t.ok(near(range.max, percentile / 100), `${name} ${percentile}: ${range.max}`);
      t.ok(near(range.min, 1 - percentile / 100), `${name} ${percentile}: ${range.min}`);
    }
  }
});

t.test('mse: no clipping of either end does noticeably better on the values themselves', async (t) => {
  for (const [name, make] of SHAPES) {
    const values = make(11);
    const observer = seen(values, 4);
    const whole = observer.range('min-max');
    for (const bits of [3, 4, 8]) {
      const found = errorOf(values, observer.range('mse', bits), bits);
      let best = Infinity;
      for (let a = 1; a <= 12; a++) {
        for (let b = 1; b <= 12; b++) {
          const range = { min: (whole.min * a) / 12, max: (whole.max * b) / 12 };
          best = Math.min(best, errorOf(values, range, bits));
        }
      }
      t.ok(found <= best * 1.03, `${name}, ${bits} bits: ${found} against ${best}`);
    }
  }
});

t.test('one outlier sets the scale of min-max alone', async (t) => {
  const values = gauss(50_000, 21);
  values[1234] = 60;
  const observer = seen(values);
  t.equal(observer.range('min-max').max, 60);
  for (const method of ['percentile', 'mse', 'kl', 'aciq'] as const) {
    const { max } = observer.range(method, 4);
    t.ok(max < 20 && max > 1, `${method}: ${max}`);
  }
  t.ok(observer.range().max < 10, 'the default is robust');
});

/** KL(P || Q) as Migacz gives it, for values that are all positive, threshold = the first `used` of `bins`. */
const divergence = (bins: readonly number[], used: number, levels: number): number => {
  const inside = bins.slice(0, used);
  const p = [...inside];
  p[used - 1] = (p[used - 1] ?? 0) + sumOf(bins.slice(used));
  const q = inside.map(() => 0);
  for (let level = 0; level < levels; level++) {
    const from = Math.floor((level * used) / levels);
    const to = Math.floor(((level + 1) * used) / levels);
    const part = inside.slice(from, to);
    const filled = part.filter((count) => count > 0).length;
    for (let i = from; i < to; i++) if ((inside[i] ?? 0) > 0) q[i] = sumOf(part) / filled;
  }
  const [totalP, totalQ] = [sumOf(p), sumOf(q)];
  return sumOf(
    p.map((count, i) => {
      if (count === 0) return 0;
      const other = (q[i] ?? 0) > 0 ? (q[i] ?? 0) / totalQ : 1e-6 / totalP;
      return (count / totalP) * Math.log(count / totalP / other);
    }),
  );
};

t.test('kl: the threshold with the least divergence', async (t) => {
  for (const [name, make] of [
    ['half laplace', (from: number) => laplace(40_000, from).map(Math.abs)],
    [
      'half gauss with a tail',
      (from: number) => gauss(40_000, from).map((v, i) => Math.abs(i % 200 === 0 ? 4 * v : v)),
    ],
  ] as const) {
    const values = make(5);
    const most = Math.max(...values);
    const width = 2 ** Math.ceil(Math.log2(most)) / 4096;
    const bins = new Array<number>(4096).fill(0);
    for (const value of values) bins[Math.floor(value / width)] = (bins[Math.floor(value / width)] ?? 0) + 1;
    for (const bits of [4, 8]) {
      const { max } = seen(values, 2).range('kl', bits);
      const costOf = (threshold: number): number => divergence(bins, Math.ceil(threshold / width), 2 ** bits);
      const costs = Array.from({ length: 128 }, (_, k) => (most * (k + 1)) / 128)
        .filter((threshold) => threshold / width >= 2 ** bits)
        .map(costOf);
      t.ok(costOf(max) <= Math.min(...costs) + 1e-9, `${name}, ${bits} bits: ${max} of ${most}`);
    }
  }
});

t.test('aciq: the published clippings, and the minimum of the expected error', async (t) => {
  const published = [
    [2, 2.83, 1.71],
    [3, 3.89, 2.15],
    [4, 5.03, 2.55],
  ] as const;
  for (const [bits, forLaplace, forGauss] of published) {
    t.ok(Math.abs(laplaceClip(bits) - forLaplace) < 0.01, `laplace ${bits}: ${laplaceClip(bits)}`);
    t.ok(Math.abs(gaussClip(bits) - forGauss) < 0.01, `gauss ${bits}: ${gaussClip(bits)}`);
  }
  for (const bits of [2, 4, 6, 8, 9]) {
    // Clipping error by numeric integration of the tail, and a uniform rounding error, as the paper models them.
    const cost = (density: (x: number) => number, clip: number): number => {
      let sum = clip ** 2 / (3 * 4 ** bits);
      for (let x = clip; x < clip + 40; x += 1e-3)
        sum += 2 * 1e-3 * density(x + 5e-4) * (x + 5e-4 - clip) ** 2;
      return sum;
    };
    for (const [clip, density] of [
      [laplaceClip(bits), (x: number) => 0.5 * Math.exp(-x)],
      [gaussClip(bits), (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)],
    ] as const) {
      const here = cost(density, clip);
      t.ok(here < cost(density, clip * 1.02) && here < cost(density, clip * 0.98), `${bits} bits: ${clip}`);
    }
  }
  const wide = laplace(60_000, 9);
  const { max } = seen(wide).range('aciq', 4, { family: 'laplace' });
  t.ok(Math.abs(max - laplaceClip(4)) < 0.15, `two sides: ${max}`);
  const half = seen(relu(wide)).range('aciq', 4, { family: 'laplace' });
  t.equal(half.min, 0);
  t.ok(Math.abs(half.max - laplaceClip(5)) < 0.15, `after a ReLU, one bit more: ${half.max}`);
  const bell = seen(gauss(60_000, 4)).range('aciq', 3);
  t.ok(Math.abs(bell.max - gaussClip(3)) < 0.1, `a bell is told from a peak: ${bell.max}`);
});

t.test('samples: deterministic, near the whole, extremes from every value', async (t) => {
  const run = (samples: number): ActivationObserver => {
    const observer = new ActivationObserver({ samples });
    for (let n = 0; n < 20; n++) observer.observe(silu(gauss(10_001, n + 1, 2)));
    return observer;
  };
  const [some, again, all] = [run(1000), run(1000), run(1e9)];
  for (const method of RANGE_METHODS) {
    const [a, b, c] = [some, again, all].map((o) => o.range(method, 6, { percentile: 99.5 }));
    t.same(a, b, method);
    if (method === 'min-max') t.same(a, c, 'extremes');
    t.ok(Math.abs((a?.max ?? 0) - (c?.max ?? 0)) < 0.2 * (c?.max ?? 0), `${method}: ${a?.max} and ${c?.max}`);
  }
});

t.test('with sampled extremes the ranges are those of the samples', async (t) => {
  const values = gauss(90_000, 2);
  const sampled = new ActivationObserver({ samples: 9_000, sampledExtremes: true });
  sampled.observe(values);
  const taken = values.filter((_, i) => i % 11 === 0);
  t.equal(sampled.count, taken.length);
  for (const method of RANGE_METHODS) t.same(sampled.range(method, 4), seen(taken).range(method, 4), method);
});

t.test('odd values', async (t) => {
  const observer = new ActivationObserver();
  t.throws(() => observer.range(), { code: 'INTERNAL' });
  observer.observe(new Float32Array(0));
  observer.observe(Float32Array.of(NaN, Infinity, -Infinity));
  t.throws(() => observer.range(), { code: 'INTERNAL' });
  t.equal(observer.ignored, 3);
  observer.observe(new Float32Array(9));
  for (const method of RANGE_METHODS)
    t.same(observer.range(method), { min: 0, max: 0 }, `${method}: zeros only`);
  observer.observe(Float32Array.of(1, NaN, -2, 0.5, Infinity));
  t.same(observer.range('min-max'), { min: -2, max: 1 });
  t.equal(observer.ignored, 5);
  t.equal(observer.count, 12);
});
