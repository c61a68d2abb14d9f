// Weight grids: nothing clipped or clipped best, channels of zeros, importance; and the measures of error.
import fc from 'fast-check';
import t from 'tap';
import {
  type ChannelGrid,
  dequantizeChannels,
  quantizeChannels,
  relativeError,
  sqnr,
  weightGrids,
} from '../../src/quantization/index.js';
import { gauss, laplace, seed, sumOf } from './random.js';

const rounded = (weights: Float32Array, grids: readonly ChannelGrid[]): Float32Array =>
  dequantizeChannels(quantizeChannels(weights, grids), grids);

const costOf = (weights: Float32Array, grids: readonly ChannelGrid[], costs?: Float64Array): number[] => {
  const length = weights.length / grids.length;
  const values = rounded(weights, grids);
  return grids.map((_, channel) =>
    sumOf(
      Array.from({ length }, (_, k) => {
        const i = channel * length + k;
        return ((weights[i] ?? 0) - (values[i] ?? 0)) ** 2 * (costs?.[k] ?? 1);
      }),
    ),
  );
};

const kinds = fc.record({ symmetric: fc.boolean(), signed: fc.boolean() });

t.test('min-max covers every weight', async () => {
  fc.assert(
    fc.property(
      seed,
      kinds,
      fc.array(fc.integer({ min: 2, max: 8 }), { minLength: 4, maxLength: 4 }),
      (from, kind, bits) => {
        const weights = gauss(4 * 27, from);
        const grids = weightGrids(weights, 4, bits, { ...kind, method: 'min-max' });
        const values = rounded(weights, grids);
        return grids.every((grid, channel) => {
          const row = [...weights.subarray(channel * 27, channel * 27 + 27)];
          // Half a step of rounding, and half a step that the zero point moves the ends of an asymmetric grid.
          const most = grid.scale * (kind.symmetric ? 0.5001 : 1.0001);
          return (
            grid.bits === bits[channel] &&
            row.every((weight, k) => Math.abs(weight - (values[channel * 27 + k] ?? 0)) <= most)
          );
        });
      },
    ),
  );
});

t.test('mse is never worse than min-max, nor noticeably than any scale tried one by one', async (t) => {
  let [found, plain] = [0, 0];
  fc.assert(
    fc.property(seed, kinds, fc.constantFrom(2, 3, 4, 8), (from, kind, bits) => {
      const weights = laplace(3 * 32, from);
      const ours = costOf(weights, weightGrids(weights, 3, bits, kind));
      const uncut = weightGrids(weights, 3, bits, { ...kind, method: 'min-max' });
      const whole = costOf(weights, uncut);
      found += sumOf(ours);
      plain += sumOf(whole);
      if (ours.some((cost, c) => cost > (whole[c] ?? 0))) return false;
      if (!kind.symmetric) return true;
      return uncut.every((grid, channel) => {
        const row = weights.subarray(channel * 32, channel * 32 + 32);
        let best = Infinity;
        for (let k = 20; k <= 100; k++) {
          const [cost] = costOf(row, [{ ...grid, scale: Math.fround((grid.scale * k) / 100) }]);
          best = Math.min(best, cost ?? Infinity);
        }
        return (ours[channel] ?? 0) <= best * 1.1;
      });
    }),
    { numRuns: 150 },
  );
  t.ok(found < 0.9 * plain, `${found} against ${plain}`);
});

t.test('importance is what the search minimizes', async (t) => {
  let [with_, without] = [0, 0];
  for (let from = 1; from <= 20; from++) {
    const weights = gauss(4 * 16, from);
    // Two groups: channels 0 and 1 take the first.
    const importance = Float64Array.from(gauss(2 * 16, from + 99), (v) => Math.exp(2 * v));
    const half = (grids: readonly ChannelGrid[], group: number): number =>
      sumOf(
        costOf(
          weights.subarray(group * 32, group * 32 + 32),
          grids.slice(group * 2, group * 2 + 2),
          importance.subarray(group * 16, group * 16 + 16),
        ),
      );
    const knowing = weightGrids(weights, 4, 3, { importance });
    const blind = weightGrids(weights, 4, 3);
    with_ += half(knowing, 0) + half(knowing, 1);
    without += half(blind, 0) + half(blind, 1);
  }
  t.ok(with_ < without, `${with_} against ${without}`);
  t.throws(() => weightGrids(new Float32Array(64), 4, 3, { importance: new Float64Array(48) }), {
    code: 'INTERNAL',
  });
});

t.test('channels of zeros, smallest scales, sizes that do not fit', async (t) => {
  const weights = Float32Array.of(0, 0, 1, -1, 0.1, 0.1);
  const grids = weightGrids(weights, 3, 8);
  const least = Math.min(grids[1]?.scale ?? 0, grids[2]?.scale ?? 0);
  t.equal(grids[0]?.scale, least, 'a channel of zeros has the finest scale of the others');
  t.same(
    weightGrids(new Float32Array(4), 2, 4).map(({ scale }) => scale),
    [1, 1],
  );
  const floored = weightGrids(weights, 3, 8, { minScale: [0.5, 0.25, 0.001] });
  t.ok(floored.every(({ scale }, i) => scale >= ([0.5, 0.25, 0.001][i] ?? 0)));
  t.equal(floored[0]?.scale, 0.5);
  t.throws(() => weightGrids(new Float32Array(7), 2, 4), { code: 'INTERNAL' });
  t.throws(() => weightGrids(weights, 3, 1), { code: 'INTERNAL' });
  t.throws(() => weightGrids(weights, 3, [4, 4]), { code: 'INTERNAL' }, 'bits for two of three channels');
  t.equal(weightGrids(weights, 3, 8, { reduceRange: true })[1]?.high, 63);
});

t.test('relative error and SQNR', async (t) => {
  const a = Float32Array.of(3, 4);
  t.equal(relativeError(a, Float32Array.of(3, 4.5)), 0.1);
  t.ok(Math.abs(sqnr(a, Float32Array.of(3, 4.5)) - 20) < 1e-9);
  t.equal(sqnr(a, a), Infinity);
  t.equal(relativeError(new Float32Array(2), new Float32Array(2)), 0);
  t.throws(() => sqnr(a, new Float32Array(3)), { code: 'INTERNAL' });
  const values = gauss(100_000, 8);
  const grids = [6, 7, 8].map((bits) => {
    const all = weightGrids(values, 1, bits, { narrow: true });
    return sqnr(values, rounded(values, all));
  });
  t.ok(
    (grids[1] ?? 0) - (grids[0] ?? 0) > 4.5 && (grids[2] ?? 0) - (grids[1] ?? 0) > 4.5,
    `about 6 dB a bit: ${grids.join(', ')}`,
  );
});
