// Rounding layer by layer: what a layer is shown, what it makes up for, and what that is worth.
import fc from 'fast-check';
import t from 'tap';
import { cloneModel, type Model, tensorOf } from '../../src/onnx/index.js';
import {
  adjustedRows,
  type ChannelGrid,
  componentsOf,
  dequantizeChannels,
  edgedAllocation,
  edgesOf,
  averageBits,
  gptqFit,
  gptqRound,
  prepareModel,
  roundWeights,
  tapValues,
  uniformAllocation,
  walk,
  weightGrids,
  weightRows,
} from '../../src/quantization/index.js';
import { floatTensor, type Tensors } from '../../src/runtime/index.js';
import { Net } from '../onnx/net.js';
import { noiseFeeds } from './helpers.js';
import { tinyNets } from './nets.js';
import { gauss, quadratic, seed, sumOf } from './random.js';

/** Inputs of all components, by name and run. */
const inputsOf = async (model: Model, feeds: readonly Tensors[]): Promise<Map<string, Float32Array[]>> => {
  const found = new Map<string, Float32Array[]>();
  const names = [...new Set(componentsOf(model).map(({ input }) => input))];
  await tapValues(
    model,
    names,
    () => feeds,
    (name, values) => found.set(name, [...(found.get(name) ?? []), values.slice()]),
    { session: { optimization: 'disabled' } },
  );
  return found;
};

t.test('a walk shows what whole runs of both models give', async (t) => {
  for (const { name, model } of tinyNets()) {
    const prepared = prepareModel(model);
    const feeds: Tensors[] = [];
    for await (const feed of (await noiseFeeds(model, 2))()) feeds.push(feed);
    const rounded = cloneModel(prepared);
    // Weights of another model: halved, layer by layer, as the walk comes by.
    const halve = (names: ReadonlySet<string>): void => {
      for (const component of componentsOf(rounded)) {
        const value = rounded.graph.value(component.weight);
        if (!names.has(component.name) || value?.tensor?.kind !== 'dense' || value.tensor.type !== 'float32')
          continue;
        const { dims, data } = value.tensor;
        rounded.graph.setTensor(
          value,
          tensorOf(
            'float32',
            dims,
            data.map((weight) => weight / 2),
          ),
        );
      }
    };
    const shown = new Map<string, [Float32Array[], Float32Array[]]>();
    const components = componentsOf(prepared);
    await walk(
      prepared,
      rounded,
      () => feeds,
      new Set(components.map((component) => component.name)),
      async (level, { original, rounded: now }) => {
        for (const { input } of level) {
          const [a, b] = [original, now].map((side) =>
            (side.get(input) ?? []).map(({ data }) => Float32Array.from(data, Number)),
          );
          shown.set(input, [a ?? [], b ?? []]);
        }
        halve(new Set(level.map((component) => component.name)));
      },
      { session: { optimization: 'disabled' } },
    );
    const wanted = [await inputsOf(prepared, feeds), await inputsOf(rounded, feeds)];
    t.equal(shown.size, new Set(components.map(({ input }) => input)).size, name);
    for (const [input, sides] of shown) {
      sides.forEach((pictures, side) => t.same(pictures, wanted[side]?.get(input), `${name}: ${input}`));
    }
  }
});

t.test('adjusted weights make of changed inputs what the others made of the first', async () => {
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 6 }), (from, size) => {
      const count = 50;
      const x = gauss(size * count, from);
      const mix = gauss(size * size, from + 1, 0.2);
      // x' = (1 + mix) x: the answer is w (1 + mix)^-1.
      const changed = x.map((value, i) => {
        const [row, n] = [Math.floor(i / count), i % count];
        return (
          value +
          sumOf(Array.from({ length: size }, (_, k) => (mix[row * size + k] ?? 0) * (x[k * count + n] ?? 0)))
        );
      });
      const moment = (a: Float32Array, b: Float32Array): Float64Array =>
        Float64Array.from({ length: size * size }, (_, ij) => {
          const [i, j] = [Math.floor(ij / size) * count, (ij % size) * count];
          return sumOf(Array.from({ length: count }, (_, n) => (a[i + n] ?? 0) * (b[j + n] ?? 0))) / count;
        });
      const h = moment(changed, changed);
      const difference = moment(x, changed).map((value, i) => value - (h[i] ?? 0));
      const rows = gauss(3 * size, from + 2);
      const adjusted = adjustedRows(rows, difference, h, size, 1e-12);
      const output = (w: Float32Array, inputs: Float32Array, channel: number, n: number): number =>
        sumOf(
          Array.from({ length: size }, (_, k) => (w[channel * size + k] ?? 0) * (inputs[k * count + n] ?? 0)),
        );
      const scale = Math.sqrt(Math.max(...adjusted.map((value) => value * value), 1));
      return [0, 1, 2].every((channel) =>
        Array.from({ length: count }, (_, n) => n).every(
          (n) => Math.abs(output(rows, x, channel, n) - output(adjusted, changed, channel, n)) < 1e-3 * scale,
        ),
      );
    }),
    { numRuns: 60 },
  );
});

t.test('codes and scales together do better than codes on a given grid', async (t) => {
  let [better, count] = [0, 0];
  fc.assert(
    fc.property(seed, fc.constantFrom(2, 4), fc.constantFrom(1, 2), (from, bits, groups) => {
      const size = 8;
      const h = Float64Array.from(
        Array.from({ length: groups }, (_, g) => {
          const mix = gauss(size * size, from + g);
          return Array.from({ length: size * size }, (_, ij) =>
            sumOf(
              Array.from(
                { length: size },
                (_, k) => (mix[Math.floor(ij / size) * size + k] ?? 0) * (mix[(ij % size) * size + k] ?? 0),
              ),
            ),
          );
        }).flat(),
      );
      const weights = gauss(4 * size, from + 7);
      const grids = weightGrids(weights, 4, bits);
      const fit = gptqFit(weights, h, grids);
      const errorOf = (codes: ArrayLike<number>, on: readonly ChannelGrid[], channel: number): number => {
        const start = Math.floor((channel * groups) / 4) * size * size;
        const errors = Array.from(
          { length: size },
          (_, i) =>
            (weights[channel * size + i] ?? 0) - (codes[channel * size + i] ?? 0) * (on[channel]?.scale ?? 0),
        );
        return quadratic(h.subarray(start, start + size * size), errors);
      };
      const plain = gptqRound(weights, h, grids);
      for (const channel of [0, 1, 2, 3]) {
        better += errorOf(fit.codes, fit.grids, channel) / (1e-12 + errorOf(plain.codes, grids, channel));
        count++;
      }
      return fit.codes.every((code, i) => {
        const grid = fit.grids[Math.floor(i / size)];
        return (
          grid !== undefined && grid.bits === bits && code >= grid.low && code <= grid.high && grid.scale > 0
        );
      });
    }),
    { numRuns: 80 },
  );
  t.ok(better / count < 0.9, `mean ratio of errors ${better / count}`);
});

t.test('twice the same, and progress to the last layer', async (t) => {
  for (const { name, model } of tinyNets()) {
    const prepared = prepareModel(model, 21);
    const components = componentsOf(prepared);
    const feeds = await noiseFeeds(model, 4);
    const steps: number[] = [];
    const round = () =>
      roundWeights(prepared, uniformAllocation(components, 4, 'fp32'), feeds, {
        rounding: 'gptq',
        onProgress: (done) => steps.push(done),
      });
    const [a, b] = [await round(), await round()];
    t.equal(a.weights.size, components.length, name);
    t.same([...a.weights], [...b.weights], name);
    t.equal(steps.at(-1), components.length, name);
  }
});

t.test('feeds that share their memory, as those of a camera do', async (t) => {
  const [net] = tinyNets();
  if (net === undefined) throw new Error('a network');
  const prepared = prepareModel(net.model, 21);
  const allocation = uniformAllocation(componentsOf(prepared), 4, 'fp32');
  const apart = await noiseFeeds(net.model, 4);
  const shared = async function* (): AsyncGenerator<Tensors> {
    let memory: Tensors | undefined;
    for await (const feed of apart()) {
      memory ??= Object.fromEntries(
        Object.entries(feed).map(([name, tensor]) => [
          name,
          { ...tensor, data: tensor.data.slice() } as (typeof feed)[string],
        ]),
      );
      for (const [name, { data }] of Object.entries(feed))
        (memory[name]?.data as Float32Array).set(data as Float32Array);
      yield memory;
    }
  };
  const [a, b] = [
    await roundWeights(prepared, allocation, apart, { rounding: 'gptq' }),
    await roundWeights(prepared, allocation, shared, { rounding: 'gptq' }),
  ];
  t.same([...a.weights], [...b.weights]);
});

t.test('four bits on average, first and last layers left out', async (t) => {
  for (const { name, model } of tinyNets()) {
    const prepared = prepareModel(model, 25);
    const edges = new Set(edgesOf(prepared).map((component) => component.name));
    const inner = componentsOf(prepared).filter((component) => !edges.has(component.name));
    t.ok(edges.size >= 2, `${name}: ${[...edges].join(', ')}`);
    t.equal(averageBits(inner, edgedAllocation(prepared, 4, 'int8')), inner.length === 0 ? 0 : 4, name);
  }
});

t.test(
  'a layer without a bias keeps the mean of its outputs: no bias could take back what rounding does to it',
  async (t) => {
    const feeds: Tensors[] = Array.from({ length: 8 }, (_, i) => ({
      x: floatTensor(
        [1, 16, 12, 12],
        gauss(16 * 144, i + 1, 0.5).map((value) => value + 4),
      ),
    }));
    const layers: readonly (readonly [string, boolean])[] = [
      ['Conv', false],
      ['Conv', true],
      ['Gemm', false],
      ['Gemm', true],
      ['MatMul', false],
    ];
    for (const [opType, bias] of layers) {
      const net = new Net(13);
      const x = net.input('x', [1, 16, 12, 12]);
      const given =
        opType === 'Conv'
          ? x
          : net.op('Reshape', [net.op('Transpose', [x], { perm: [0, 2, 3, 1] }), [-1, 16]]);
      const weights = net.weights(opType === 'Conv' ? [16, 16, 1, 1] : [16, 16]);
      const zeros = tensorOf('float32', [16], new Float32Array(16));
      const model = prepareModel(net.model(net.op(opType, [given, weights, ...(bias ? [zeros] : [])])));
      const [layer, ...others] = componentsOf(model);
      t.equal(others.length, 0);
      if (layer === undefined) throw new Error('a layer');
      const rounded = await roundWeights(model, uniformAllocation([layer], 4, 'fp32'), () => feeds, {
        rounding: 'gptq',
      });
      const made = rounded.weights.get(layer.name);
      if (made === undefined) throw new Error('codes');
      const codes = dequantizeChannels(made.codes, made.grids);
      const plain = weightRows(layer, model.graph.value(layer.weight));
      const [after] = componentsOf(rounded.model);
      const shift = rounded.model.graph.value(after?.bias ?? '')?.tensor;
      const biases = shift?.kind === 'dense' && shift.type === 'float32' ? shift.data : undefined;
      // The layer by hand: a product at every place, [16, 16] by 16 values.
      let [error, size] = [0, 0];
      for (const { x: picture } of feeds) {
        for (let place = 0; place < 144; place++) {
          for (let channel = 0; channel < 16; channel++) {
            let [wanted, own] = [0, biases?.[channel] ?? 0];
            for (let k = 0; k < 16; k++) {
              const value = Number(picture?.data[144 * k + place]);
              wanted += value * (plain[16 * channel + k] ?? 0);
              own += value * (codes[16 * channel + k] ?? 0);
            }
            error += (own - wanted) ** 2;
            size += wanted ** 2;
          }
        }
      }
      const relative = Math.sqrt(error / size);
      t.ok(relative < 0.015, `${opType}${bias ? ' with a bias' : ''}: ${relative}`);
    }
  },
);
