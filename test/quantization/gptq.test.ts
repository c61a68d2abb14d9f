// Error-feedback rounding: against the published procedure done the slow way, and what it promises.
import fc from 'fast-check';
import t from 'tap';
import { type ChannelGrid, gptqRound, quantizeChannels, weightGrids } from '../../src/quantization/index.js';
import { gauss, quadratic, seed, sumOf } from './random.js';

/** Second moments of correlated inputs. */
const momentsOf = (size: number, count: number, from: number): Float64Array => {
  const mix = gauss(size * size, from);
  const h = new Float64Array(size * size);
  for (let n = 0; n < count; n++) {
    const z = gauss(size, from * 1000 + n + 1);
    const x = Array.from({ length: size }, (_, i) =>
      sumOf(Array.from({ length: size }, (_, k) => (mix[i * size + k] ?? 0) * (z[k] ?? 0))),
    );
    x.forEach((a, i) => x.forEach((b, j) => (h[i * size + j] = (h[i * size + j] ?? 0) + (a * b) / count)));
  }
  return h;
};

/** Gauss-Jordan. */
const inverse = (matrix: number[][]): number[][] => {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < size; i++) {
    let pivot = i;
    for (let r = i; r < size; r++)
      if (Math.abs(rows[r]?.[i] ?? 0) > Math.abs(rows[pivot]?.[i] ?? 0)) pivot = r;
    [rows[i], rows[pivot]] = [rows[pivot] ?? [], rows[i] ?? []];
    const own = rows[i]?.[i] ?? 0;
    rows[i] = (rows[i] ?? []).map((value) => value / own);
    for (let r = 0; r < size; r++) {
      const factor = rows[r]?.[i] ?? 0;
      if (r !== i) rows[r] = (rows[r] ?? []).map((value, c) => value - factor * (rows[i]?.[c] ?? 0));
    }
  }
  return rows.map((row) => row.slice(size));
};

const codeOf = (value: number, grid: ChannelGrid): number => {
  const ratio = Math.fround(value / grid.scale);
  const floor = Math.floor(ratio);
  const rest = ratio - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  return Math.min(grid.high, Math.max(grid.low, rounded + grid.zeroPoint));
};

/** Optimal brain quantization in a fixed order: round one weight, spread its error, drop it from the inverse, go on. */
const slowly = (
  row: Float32Array,
  h: Float64Array,
  grid: ChannelGrid,
  damping: number,
  byDiagonal: boolean,
): number[] => {
  const size = row.length;
  const diagonal = Array.from({ length: size }, (_, i) => h[i * size + i] ?? 0);
  const added = (damping * sumOf(diagonal)) / size;
  const order = diagonal.map((_, i) => i);
  if (byDiagonal) order.sort((a, b) => (diagonal[b] ?? 0) - (diagonal[a] ?? 0) || a - b);
  const w = Array.from(row);
  const codes = new Array<number>(size).fill(0);
  for (let step = 0; step < size; step++) {
    const left = order.slice(step);
    const inv = inverse(left.map((i) => left.map((j) => (h[i * size + j] ?? 0) + (i === j ? added : 0))));
    const at = left[0] ?? 0;
    const code = codeOf(w[at] ?? 0, grid);
    codes[at] = code;
    const error = ((w[at] ?? 0) - (code - grid.zeroPoint) * grid.scale) / (inv[0]?.[0] ?? 1);
    left.forEach((i, k) => (w[i] = (w[i] ?? 0) - error * (inv[0]?.[k] ?? 0)));
  }
  return codes;
};

t.test('the codes of the published procedure', async (t) => {
  let different = 0;
  let compared = 0;
  for (let from = 1; from <= 25; from++) {
    const size = 3 + (from % 8);
    const h = momentsOf(size, 40, from);
    const weights = gauss(4 * size, from + 500);
    const grids = weightGrids(weights, 4, [2, 3, 4, 8]);
    for (const order of ['diagonal', 'natural'] as const) {
      const fast = gptqRound(weights, h, grids, { order, damping: 0.02 });
      grids.forEach((grid, channel) => {
        const row = weights.subarray(channel * size, (channel + 1) * size);
        const slow = slowly(row, h, grid, 0.02, order === 'diagonal');
        const errors = slow.map((code, i) => (row[i] ?? 0) - (code - grid.zeroPoint) * grid.scale);
        // Where the procedure does worse than nearest, nearest it is.
        if (quadratic(h, errors) > (fast.nearestError[channel] ?? 0)) return;
        compared++;
        if (slow.some((code, i) => code !== fast.codes[channel * size + i])) different++;
      });
    }
  }
  t.ok(compared > 150, `${compared} rows`);
  t.equal(different, 0);
});

t.test('with an identity H it is rounding to nearest', async () => {
  fc.assert(
    fc.property(seed, fc.constantFrom(2, 4, 8), fc.boolean(), (from, bits, signed) => {
      const size = 9;
      const h = new Float64Array(size * size);
      for (let i = 0; i < size; i++) h[i * size + i] = 1;
      const weights = gauss(3 * size, from);
      const grids = weightGrids(weights, 3, bits, { signed });
      const { codes, error, nearestError } = gptqRound(weights, h, grids, { sweeps: 1 });
      const nearest = quantizeChannels(weights, grids);
      return codes.every((code, i) => code === nearest[i]) && error.every((e, i) => e === nearestError[i]);
    }),
  );
});

t.test('never worse than nearest, better on average, and sweeps go down', async (t) => {
  let [better, swept, nearest] = [0, 0, 0];
  fc.assert(
    fc.property(seed, fc.constantFrom(2, 3, 4), fc.constantFrom(1, 2, 4), (from, bits, groups) => {
      const size = 8;
      const h = Float64Array.from(
        Array.from({ length: groups }, (_, g) => [...momentsOf(size, 12, from + g)]).flat(),
      );
      const weights = gauss(8 * size, from);
      const grids = weightGrids(weights, 8, bits);
      const plain = gptqRound(weights, h, grids);
      const more = gptqRound(weights, h, grids, { sweeps: 2 });
      better += sumOf(plain.error) / sumOf(plain.nearestError);
      swept += sumOf(more.error) / sumOf(plain.nearestError);
      nearest++;
      const honest = grids.every((grid, channel) => {
        const start = Math.floor((channel * groups) / 8) * size * size;
        const errors = Array.from(
          { length: size },
          (_, i) => (weights[channel * size + i] ?? 0) - (plain.weights[channel * size + i] ?? 0),
        );
        const slow = quadratic(h.subarray(start, start + size * size), errors);
        return (
          Math.abs(slow - (plain.error[channel] ?? 0)) <= 1e-5 * (1e-9 + slow) + 1e-9 &&
          plain.codes
            .subarray(channel * size, (channel + 1) * size)
            .every((c) => c >= grid.low && c <= grid.high)
        );
      });
      const close = (a: number, b: number): boolean => a <= b + 1e-9 * (1 + b);
      return (
        honest &&
        plain.error.every((e, i) => close(e, plain.nearestError[i] ?? 0)) &&
        more.error.every((e, i) => close(e, plain.error[i] ?? 0))
      );
    }),
    { numRuns: 60 },
  );
  t.ok(better / nearest < 0.7, `mean ratio ${better / nearest}`);
  t.ok(swept < better, `mean ratio with sweeps ${swept / nearest}`);
});

t.test('inputs that are always zero, few samples, nothing seen, sizes that do not fit', async (t) => {
  const size = 6;
  const weights = gauss(2 * size, 3);
  const grids = weightGrids(weights, 2, 4);
  const none = gptqRound(weights, new Float64Array(size * size), grids);
  t.same([...none.codes], [...quantizeChannels(weights, grids)], 'nothing seen: nearest');
  const thin = new Float64Array(size * size);
  thin[0] = 1;
  thin[7] = 1;
  thin[1] = thin[6] = 1;
  const some = gptqRound(weights, thin, grids);
  t.ok(some.error.every((e, i) => e <= (some.nearestError[i] ?? 0)));
  const undamped = gptqRound(weights, thin, grids, { damping: 0 });
  t.ok(undamped.error.every(Number.isFinite), 'a singular H is damped until it can be factored');
  const impossible = new Float64Array(size * size).fill(-1);
  t.throws(() => gptqRound(weights, impossible, grids), { code: 'INTERNAL' });
  t.throws(() => gptqRound(weights, new Float64Array(35), grids), { code: 'INTERNAL' });
  t.throws(() => gptqRound(new Float32Array(13), thin, grids), { code: 'INTERNAL' });
});
