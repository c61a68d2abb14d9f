// Equalization and bias correction: the function stays, ranges meet, means come back; against a convolution done the slow way.
import fc from 'fast-check';
import t from 'tap';
import {
  ChannelMeans,
  correctedBias,
  dequantizeChannels,
  equalizeChain,
  equalizePair,
  isScaleEquivariant,
  type Layer,
  outputShift,
  PatchMatrix,
  quantizeChannels,
  weightGrids,
} from '../../src/quantization/index.js';
import { gauss, seed, sumOf } from './random.js';

/** A 'same' convolution with a kernel x kernel window (odd), stride 1, of one picture [inputs, side, side]. */
const convolve = (layer: Layer, x: Float32Array, side: number): Float32Array => {
  const kernel = Math.sqrt(layer.area);
  const perGroup = layer.weights.length / layer.channels / layer.area;
  const out = new Float32Array(layer.channels * side * side);
  const reach = (kernel - 1) / 2;
  for (let o = 0; o < layer.channels; o++) {
    const group = Math.floor((o * layer.groups) / layer.channels);
    for (let y = 0; y < side; y++) {
      for (let column = 0; column < side; column++) {
        let sum = layer.bias?.[o] ?? 0;
        for (let c = 0; c < perGroup; c++) {
          for (let k = 0; k < layer.area; k++) {
            const [yy, xx] = [y + Math.floor(k / kernel) - reach, column + (k % kernel) - reach];
            if (yy < 0 || xx < 0 || yy >= side || xx >= side) continue;
            const input = x[((group * perGroup + c) * side + yy) * side + xx] ?? 0;
            sum += input * (layer.weights[(o * perGroup + c) * layer.area + k] ?? 0);
          }
        }
        out[(o * side + y) * side + column] = sum;
      }
    }
  }
  return out;
};

const layer = (from: number, channels: number, inputs: number, groups: number, area: number): Layer => {
  const uneven = gauss(channels, from + 31, 2).map(Math.exp);
  const length = (inputs / groups) * area;
  return {
    weights: gauss(channels * length, from).map((w, i) => w * (uneven[Math.floor(i / length)] ?? 1)),
    bias: gauss(channels, from + 77),
    channels,
    groups,
    area,
  };
};

const leaky = (x: Float32Array): Float32Array => x.map((v) => (v < 0 ? 0.1 * v : v));
const relu = (x: Float32Array): Float32Array => x.map((v) => Math.max(0, v));
const SIDE = 4;

const chain = (from: number, groups: number): Layer[] => [
  layer(from, 6, 4, 1, 1),
  layer(from + 1, 6, 6, groups, 9),
  layer(from + 2, 4, 6, 1, 1),
];

const run = (
  layers: readonly Layer[],
  x: Float32Array,
  between: (x: Float32Array) => Float32Array,
): Float32Array => layers.reduce((value, one, k) => convolve(one, k === 0 ? value : between(value), SIDE), x);

t.test('what is computed stays the same: bit for bit with powers of two, to rounding without', async () => {
  fc.assert(
    fc.property(seed, fc.constantFrom(1, 2, 6), fc.boolean(), (from, groups, leak) => {
      const layers = chain(from, groups);
      const x = gauss(4 * SIDE * SIDE, from + 9);
      const between = leak ? leaky : relu;
      const operators = [leak ? 'LeakyRelu' : 'Relu', leak ? 'LeakyRelu' : 'Relu'];
      const before = run(layers, x, between);
      const exact = run(equalizeChain(layers, operators, { powersOfTwo: true }), x, between);
      const near = run(equalizeChain(layers, operators), x, between);
      const size = Math.max(...before.map(Math.abs));
      return (
        before.every((value, i) => value === exact[i]) &&
        before.every((value, i) => Math.abs(value - (near[i] ?? 0)) < 1e-4 * size)
      );
    }),
    { numRuns: 100 },
  );
});

const rangesOf = (first: Layer, second: Layer): [number[], number[]] => {
  const length = first.weights.length / first.channels;
  const inputs = second.weights.length / second.channels / second.area;
  const made = Array.from({ length: first.channels }, (_, c) =>
    Math.max(...first.weights.subarray(c * length, (c + 1) * length).map(Math.abs)),
  );
  const taken = new Array<number>(first.channels).fill(0);
  second.weights.forEach((w, i) => {
    const o = Math.floor(i / (inputs * second.area));
    const group = Math.floor((o * second.groups) / second.channels);
    const channel = group * inputs + (Math.floor(i / second.area) % inputs);
    taken[channel] = Math.max(taken[channel] ?? 0, Math.abs(w));
  });
  return [made, taken];
};

t.test('afterwards a channel has the same range where it is made and where it is taken', async () => {
  fc.assert(
    fc.property(seed, fc.constantFrom(1, 2, 6), (from, groups) => {
      const [a, b] = chain(from, groups);
      if (a === undefined || b === undefined) return false;
      const pair = equalizePair(a, b, 'Relu');
      const [made, taken] = rangesOf(pair.first, pair.second);
      const [madeBefore, takenBefore] = rangesOf(a, b);
      return made.every((range, c) => {
        const wanted = Math.sqrt((madeBefore[c] ?? 0) * (takenBefore[c] ?? 0));
        return Math.abs(range / wanted - 1) < 1e-5 && Math.abs((taken[c] ?? 0) / wanted - 1) < 1e-5;
      });
    }),
    { numRuns: 100 },
  );
});

t.test('one scale for a whole layer loses less after it', async (t) => {
  let [before, after] = [0, 0];
  for (let from = 1; from <= 20; from++) {
    const layers = chain(from, 6);
    const x = gauss(4 * SIDE * SIDE, from + 9);
    const exact = run(layers, x, relu);
    const lossy = (list: readonly Layer[]): number => {
      const coarse = list.map((one) => {
        const grids = weightGrids(one.weights, 1, 6);
        return { ...one, weights: dequantizeChannels(quantizeChannels(one.weights, grids), grids) };
      });
      const out = run(coarse, x, relu);
      return sumOf(out.map((v, i) => (v - (exact[i] ?? 0)) ** 2)) / sumOf(exact.map((v) => v * v));
    };
    before += lossy(layers);
    after += lossy(equalizeChain(layers, ['Relu', 'Relu']));
  }
  t.ok(after < 0.7 * before, `${after} against ${before}`);
});

t.test('refusals', async (t) => {
  const [a, b, c] = chain(3, 1);
  if (a === undefined || b === undefined || c === undefined) throw new Error('no layers');
  for (const operator of ['Sigmoid', 'HardSwish', 'QuickGelu', 'Clip', 'Tanh']) {
    t.notOk(isScaleEquivariant(operator));
    t.throws(() => equalizePair(a, b, operator), { code: 'UNSUPPORTED' }, operator);
  }
  const kept = equalizeChain([a, b, c], ['Sigmoid', 'Relu']);
  t.equal(kept[0], a, 'the pair across a Sigmoid is left alone');
  t.not(kept[1], b);
  t.throws(() => equalizePair(a, layer(1, 4, 8, 1, 1), 'Relu'), { code: 'INTERNAL' });
  const dead = { ...a, weights: new Float32Array(a.weights.length) };
  t.ok(
    equalizePair(dead, b, 'Relu').factors.every((factor) => factor === 1),
    'channels of zeros',
  );
});

t.test('a corrected bias brings the mean of every output channel back', async () => {
  fc.assert(
    fc.property(
      seed,
      fc.constantFrom(1, 2, 4),
      fc.constantFrom(1, 9),
      fc.constantFrom(2, 4),
      (from, groups, area, bits) => {
        const one = layer(from, 8, 4, groups, area);
        const grids = weightGrids(one.weights, 8, bits);
        const weights = dequantizeChannels(quantizeChannels(one.weights, grids), grids);
        const x = gauss(4 * SIDE * SIDE, from + 5).map((v, i) => v + (i % 3));
        const reach = area === 9 ? 1 : 0;
        const kernel = area === 9 ? 3 : 1;
        const patches = new PatchMatrix(
          { channels: 4, kernel: [kernel, kernel], pads: [reach, reach, reach, reach], groups },
          SIDE * SIDE,
          SIDE * SIDE,
        );
        patches.observe(x, SIDE, SIDE);
        const shift = outputShift(one.weights, weights, patches.centre(), 8, groups);
        const means = new ChannelMeans(4);
        means.observe(x, SIDE * SIDE);
        const coarse = outputShift(one.weights, weights, means.means(), 8, groups);
        if (area === 1 && coarse.some((value, c) => Math.abs(value - (shift[c] ?? 0)) > 1e-6)) return false;
        const exact = convolve(one, x, SIDE);
        const after = convolve({ ...one, weights, bias: correctedBias(one.bias, shift) }, x, SIDE);
        return Array.from({ length: 8 }, (_, c) => c).every((c) => {
          const mean = (values: Float32Array): number => sumOf(values.subarray(c * 16, c * 16 + 16)) / 16;
          return Math.abs(mean(exact) - mean(after)) < 1e-4 * (1 + Math.abs(mean(exact)));
        });
      },
    ),
    { numRuns: 100 },
  );
});

t.test('means of channels, sizes that do not fit', async (t) => {
  const means = new ChannelMeans(2);
  means.observe(Float32Array.of(1, 2, 3, 10, 10, 10), 3);
  means.observe(Float32Array.of(5, 20, 7, 30), 1);
  t.same([...means.means()], [(1 + 2 + 3 + 5 + 7) / 5, (30 + 20 + 30) / 5]);
  t.throws(() => means.observe(new Float32Array(5), 1), { code: 'INTERNAL' });
  t.throws(() => outputShift(new Float32Array(12), new Float32Array(12), new Float64Array(5), 2, 1), {
    code: 'INTERNAL',
  });
  t.same([...correctedBias(undefined, Float64Array.of(1, -2))], [-1, 2]);
});
