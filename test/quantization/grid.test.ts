// Grids: what onnxruntime computes, to the last bit; covering ranges, zero, few bits, mixtures.
import fc from 'fast-check';
import t from 'tap';
import { tensorOf } from '../../src/onnx/index.js';
import {
  channelGrid,
  dequantize,
  dequantizeChannels,
  fakeQuantize,
  type Grid,
  gridOfRanges,
  joinGrids,
  levelsOf,
  quantize,
  quantizeChannels,
  splitGrid,
} from '../../src/quantization/index.js';
import { withSession } from '../../src/runtime/index.js';
import { Net } from '../onnx/net.js';
import { gauss, seed } from './random.js';

/** QuantizeLinear, Clip to the grid's codes, DequantizeLinear: in onnxruntime, without optimizations. */
const engine = async (
  values: Float32Array,
  grid: Grid,
  shape: readonly number[],
): Promise<{ codes: number[]; values: number[] }> => {
  const net = new Net(21);
  const type = grid.signed ? 'int8' : 'uint8';
  const bytes = (numbers: ArrayLike<number>, dims: readonly number[]) =>
    grid.signed
      ? tensorOf('int8', dims, Int8Array.from(numbers))
      : tensorOf('uint8', dims, Uint8Array.from(numbers));
  const dims = grid.axis === null ? [] : [grid.scale.length];
  const axis = { axis: grid.axis ?? 0 };
  const scale = tensorOf('float32', dims, grid.scale);
  const zero = bytes(grid.zeroPoint, dims);
  const x = net.input('x', shape);
  const raw = net.op('QuantizeLinear', [x, scale, zero], axis);
  const codes = net.op('Clip', [raw, bytes([grid.low], []), bytes([grid.high], [])]);
  codes.type = type;
  const back = net.op('DequantizeLinear', [codes, scale, zero], axis);
  const out = await withSession(net.bytes(codes, back), { optimization: 'disabled' }, (session) =>
    session.run({ x: { type: 'float32', dims: shape, data: values } }),
  );
  return {
    codes: Array.from(out[codes.name]?.data ?? [], Number),
    values: Array.from(out[back.name]?.data ?? [], Number),
  };
};

/** Values that hit ties, the ends, and what is beyond them. */
const awkward = (grid: Grid, size: number, from: number): Float32Array => {
  const values = gauss(size, from, 3);
  return values.map((value, i) => {
    const scale = grid.scale[i % grid.scale.length] ?? 1;
    const half = Math.round(value * 40) + 0.5;
    const cases = [
      value,
      value * scale * 50,
      half * scale,
      (half - 0.5) * scale,
      0,
      1e30 * value,
      1e-40 * value,
    ];
    return cases[i % cases.length] ?? 0;
  });
};

const options = fc.record({
  bits: fc.integer({ min: 2, max: 8 }),
  signed: fc.boolean(),
  symmetric: fc.boolean(),
  reduceRange: fc.boolean(),
});
const ranges = fc
  .tuple(fc.double({ min: -50, max: 50, noNaN: true }), fc.double({ min: 0, max: 60, noNaN: true }))
  .map(([min, width]) => ({ min, max: min + width }));

t.test('codes and values are those of onnxruntime, bit for bit', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      options,
      fc.array(ranges, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(null, 0, 1, 2),
      seed,
      async (levels, list, axis, from) => {
        const used = axis === null ? list.slice(0, 1) : list;
        const grid = gridOfRanges(used, { ...levels, axis });
        const shape = [3, 4, 7].map((dim, index) => (index === axis ? used.length : dim));
        const size = shape.reduce((a, b) => a * b, 1);
        const values = awkward(grid, size, from);
        const theirs = await engine(values, grid, shape);
        const codes = quantize(values, grid, shape);
        if (theirs.codes.length !== size) return false;
        const back = dequantize(codes, grid, shape);
        return (
          codes.every((code, i) => code === theirs.codes[i]) &&
          back.every((value, i) => value === theirs.values[i]) &&
          fakeQuantize(values, grid, shape).every((value, i) => value === theirs.values[i])
        );
      },
    ),
    { numRuns: 150 },
  );
  const grid = gridOfRanges([{ min: -1, max: 2 }], { bits: 8, signed: false });
  const odd = Float32Array.of(NaN, Infinity, -Infinity, -0);
  t.same([...quantize(odd, grid)], (await engine(odd, grid, [4])).codes, 'NaN and infinities');
});

t.test('a grid covers its range, holds zero, and rounds to the nearest code', async () => {
  fc.assert(
    fc.property(options, ranges, seed, (levels, { min, max }, from) => {
      const grid = channelGrid(min, max, levels);
      const { low, high } = levelsOf(levels);
      if (grid.low !== low || grid.high !== high) return false;
      const all = Array.from({ length: high - low + 1 }, (_, k) => (low + k - grid.zeroPoint) * grid.scale);
      const holdsZero = grid.zeroPoint >= low && grid.zeroPoint <= high && all.includes(0);
      const ends = [Math.min(min, 0), Math.max(max, 0)];
      const slack = grid.scale * (0.5 + 1e-5);
      const covers =
        (all[0] ?? 0) <= (ends[0] ?? 0) + slack && (all[all.length - 1] ?? 0) >= (ends[1] ?? 0) - slack;
      const values = gauss(20, from, 30);
      const single = joinGrids([grid], null);
      const nearest = [...fakeQuantize(values, single)].every((value, i) => {
        const wanted = values[i] ?? 0;
        const best = Math.min(...all.map((level) => Math.abs(level - wanted)));
        return Math.abs(value - wanted) <= best + 1e-5 * (grid.scale + Math.abs(wanted));
      });
      return holdsZero && covers && nearest;
    }),
    { numRuns: 500 },
  );
});

t.test('codes of few bits', async (t) => {
  const codes = (bits: number, more: object): number[] => {
    const { low, high } = levelsOf({ bits, signed: true, ...more });
    return [low, high];
  };
  t.same(codes(8, { symmetric: true }), [-127, 127]);
  t.same(codes(8, { symmetric: true, narrow: false }), [-128, 127]);
  t.same(codes(8, { symmetric: true, reduceRange: true }), [-63, 63]);
  t.same(codes(8, { reduceRange: true }), [-64, 63]);
  t.same(codes(4, { symmetric: true }), [-8, 7]);
  t.same(codes(4, { symmetric: true, narrow: true }), [-7, 7]);
  t.same(codes(4, { symmetric: true, reduceRange: true }), [-8, 7]);
  t.same(codes(2, { symmetric: true }), [-2, 1]);
  t.same(codes(2, { symmetric: true, narrow: true }), [-1, 1]);
  t.same(codes(8, { signed: false, symmetric: true }), [1, 255]);
  t.same(codes(2, { signed: false }), [0, 3]);
  for (const bits of [1, 9, 4.5, NaN]) {
    t.throws(() => levelsOf({ bits, signed: true }), { code: 'INTERNAL' }, String(bits));
  }
});

t.test('the lowest code never makes a symmetric grid coarser', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 8 }), ranges, (bits, { min, max }) => {
      const wide = channelGrid(min, max, { bits, signed: true, symmetric: true, narrow: false });
      const narrow = channelGrid(min, max, { bits, signed: true, symmetric: true, narrow: true });
      return wide.scale <= narrow.scale && wide.zeroPoint === 0 && narrow.zeroPoint === 0;
    }),
  );
});

t.test('empty and impossible ranges', async (t) => {
  const empty = channelGrid(0, 0, { bits: 4, signed: true });
  t.equal(empty.scale, 1);
  t.same([...fakeQuantize(Float32Array.of(0, 0), joinGrids([empty], null))], [0, 0]);
  t.equal(channelGrid(0, 1e-3, { bits: 8, signed: false, minScale: 0.5 }).scale, 0.5);
  for (const [min, max] of [
    [1, 0],
    [NaN, 1],
    [0, Infinity],
  ] as const) {
    t.throws(() => channelGrid(min, max, { bits: 4, signed: true }), { code: 'INTERNAL' });
  }
  const two = gridOfRanges(
    [
      { min: 0, max: 1 },
      { min: 0, max: 2 },
    ],
    { bits: 8, signed: false, axis: 0 },
  );
  t.throws(
    () => quantize(new Float32Array(6), two, [3, 2]),
    { code: 'INTERNAL' },
    'three slices, two scales',
  );
  t.throws(
    () => quantize(new Float32Array(6), two, [2, 2]),
    { code: 'INTERNAL' },
    'six values, room for four',
  );
  t.throws(() =>
    gridOfRanges(
      [
        { min: 0, max: 1 },
        { min: 0, max: 1 },
      ],
      { bits: 8, signed: false },
    ),
  );
});

t.test('channels of several bits, each as alone', async (t) => {
  const weights = gauss(4 * 9, 5);
  const grids = [2, 4, 8, 7].map((bits) => channelGrid(-1, 1.5, { bits, signed: true, symmetric: true }));
  const codes = quantizeChannels(weights, grids);
  const values = dequantizeChannels(codes, grids);
  grids.forEach((grid, channel) => {
    const alone = joinGrids([grid], null);
    const row = weights.subarray(channel * 9, channel * 9 + 9);
    t.same([...codes.subarray(channel * 9, channel * 9 + 9)], [...quantize(row, alone)]);
    t.same([...values.subarray(channel * 9, channel * 9 + 9)], [...fakeQuantize(row, alone)]);
  });
  const same = [1, 2, 3].map((max) => channelGrid(-max, max, { bits: 4, signed: true }));
  t.same(splitGrid(joinGrids(same, 0)), same);
  t.throws(() => joinGrids(grids, 0), { code: 'INTERNAL' });
  t.throws(() =>
    quantizeChannels(weights, [channelGrid(0, 1, { bits: 8, signed: false }), ...grids.slice(1)]),
  );
});
