// Optimizers against a plain reading of the papers, one number at a time.
import fc from 'fast-check';
import t from 'tap';
import {
  adamwStep,
  clippingScale,
  decayAt,
  globalNorm,
  moveAverage,
  rowSizes,
  sgdStep,
} from '../../../src/training/step/optimizer.js';
import { rateAt } from '../../../src/training/step/schedule.js';
import { applyGradients } from '../../../src/training/step/state.js';
import {
  buildTraining,
  type OptimizerOptions,
  startState,
  usualOptimizer,
} from '../../../src/training/index.js';
import { Net } from '../../onnx/net.js';
import { distance, OUTPUTS } from '../small.js';

const number = (most: number) => fc.float({ min: -most, max: most, noNaN: true });
const close = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(a), Math.abs(b));

/** Gradients of several steps for one weight. */
const course = fc.record(
  {
    weight: number(2),
    gradients: fc.array(number(3), { minLength: 1, maxLength: 8 }),
    rate: fc.constantFrom(0.1, 0.01),
    scale: fc.constantFrom(1, 0.25),
    decay: fc.constantFrom(0, 0.05),
    nesterov: fc.boolean(),
  },
  { noNullPrototype: true },
);

t.test('SGD with momentum', async () => {
  fc.assert(
    fc.property(course, ({ weight, gradients, rate, scale, decay, nesterov }) => {
      const [weights, velocity] = [Float32Array.of(0, weight), new Float32Array(2)];
      let [w, v] = [Math.fround(weight), 0];
      for (const gradient of gradients) {
        const update = { rate, gradientScale: scale, weightDecay: decay };
        sgdStep(weights, Float32Array.of(0, gradient), velocity, update, { momentum: 0.8, nesterov });
        const d = scale * gradient + decay * w;
        v = v * 0.8 + d;
        w = w - rate * (nesterov ? d + 0.8 * v : v);
      }
      return close(weights[1] ?? NaN, w) && weights[0] === 0;
    }),
  );
});

t.test('AdamW', async () => {
  fc.assert(
    fc.property(course, ({ weight, gradients, rate, scale, decay }) => {
      const [weights, first, second] = [Float32Array.of(weight), new Float32Array(1), new Float32Array(1)];
      const history: number[] = [];
      let w = Math.fround(weight);
      for (const gradient of gradients) {
        history.push(scale * gradient);
        const step = history.length;
        const update = { rate, gradientScale: scale, weightDecay: decay };
        adamwStep(weights, Float32Array.of(gradient), first, second, step, update, { epsilon: 1e-3 });
        // The moments written out as sums over all gradients so far.
        const moment = (beta: number, power: number): number =>
          history.reduce((sum, g, i) => sum + (1 - beta) * beta ** (step - 1 - i) * g ** power, 0) /
          (1 - beta ** step);
        w = w - rate * decay * w - (rate * moment(0.9, 1)) / (Math.sqrt(moment(0.999, 2)) + 1e-3);
      }
      return Math.abs((weights[0] ?? NaN) - w) < 1e-4;
    }),
  );
});

t.test('AdamW with relative rates: rows that differ in size alone stay as many times apart', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(-3, -0.5, 0.125, 1, 2), { minLength: 1, maxLength: 6 }),
      fc.array(fc.float({ min: 0.5, max: 2, noNaN: true }), { minLength: 4, maxLength: 4 }),
      (gradients, row) => {
        const times = 4;
        const weights = Float32Array.from([...row, ...row.map((value) => times * value)]);
        const sizes = rowSizes(weights, 2, 1e-6);
        const [first, second] = [new Float32Array(8), new Float32Array(8)];
        gradients.forEach((gradient, i) => {
          // The loss of the larger row has the smaller slope.
          const slopes = Float32Array.from({ length: 8 }, (_, k) => (k < 4 ? gradient : gradient / times));
          const update = { rate: 0.05, gradientScale: 1, weightDecay: 0.1 };
          adamwStep(weights, slopes, first, second, i + 1, update, { epsilon: 0 }, sizes);
        });
        return row.every((_, k) => close(times * (weights[k] ?? NaN), weights[k + 4] ?? NaN));
      },
    ),
  );
  t.same(
    [...rowSizes(Float32Array.of(3, 4, 0, 0), 2, 0)].map((size) => size.toFixed(3)),
    ['3.536', '0.250'],
  );
  t.same([...rowSizes(new Float32Array(3), 1, 0.5)], [0.5]);
});

t.test('relative rates are shares of output channels, wherever a layer has them', async (t) => {
  const net = new Net(13);
  const weights: Readonly<Record<string, readonly number[]>> = {
    conv: [4, 2, 1, 1],
    transposed: [4, 3, 2, 2],
    gemm: [6, 5],
    turned: [3, 5],
    matmul: [3, 4],
  };
  const [conv, transposed, gemm, turned, matmul] = Object.entries(weights).map(([name, dims]) =>
    net.graph.addInitializer(name, net.weights(dims, 0.2, 2)),
  );
  let x = net.op('Conv', [net.input('image', [1, 4, 4, 4]), conv], { group: 2 });
  x = net.op('ConvTranspose', [x, transposed], { group: 2, strides: [2, 2] });
  x = net.op('Flatten', [net.op('GlobalAveragePool', [x])]);
  x = net.op('Gemm', [net.op('Gemm', [x, gemm]), turned], { transB: 1 });
  x = net.op('MatMul', [x, matmul]);
  x.shape = [1, OUTPUTS];
  const graph = buildTraining(net.model(x), { batch: 1, loss: distance });
  const options: OptimizerOptions = {
    kind: 'adamw',
    schedule: { rate: 0.125, steps: 10 },
    relative: true,
  };
  const state = startState(graph, options);
  applyGradients(
    state,
    graph.parameters.map(({ value }) => new Float32Array(value.length).fill(1)),
    options,
  );
  // The output channel of an element by its place: two groups of four, two inputs each, three outputs each.
  const channelOf: Readonly<Record<string, (i: number) => number>> = {
    conv: (i) => Math.floor(i / 2),
    transposed: (i) => (i < 24 ? 0 : 3) + (Math.floor(i / 4) % 3),
    gemm: (i) => i % 5,
    turned: (i) => Math.floor(i / 5),
    matmul: (i) => i % 4,
  };
  const rate = rateAt(0, options.schedule);
  t.equal(graph.parameters.length, 5);
  for (const [at, { name, value }] of graph.parameters.entries()) {
    const channel = channelOf[name];
    if (channel === undefined) throw new Error(name);
    const now = state.slots[at]?.value ?? new Float32Array();
    const wrong = [...value].filter((before, i) => {
      const own = value.filter((_, k) => channel(k) === channel(i));
      const size = Math.sqrt(own.reduce((sum, each) => sum + each ** 2, 0) / own.length);
      // The first step of Adam is the whole rate, whatever the gradient.
      return Math.abs(before - (now[i] ?? NaN) - rate * size) > 1e-5;
    });
    t.same(wrong, [], name);
  }
});

t.test('clipping by the norm of all gradients', async (t) => {
  const gradients = [Float32Array.of(3, 0), Float32Array.of(0, 4, 12)];
  t.equal(globalNorm(gradients), 13);
  t.equal(clippingScale(13, 6.5), 0.5);
  t.equal(clippingScale(13, 20), 1);
  t.equal(clippingScale(13, undefined), 1);
});

t.test('an average forgets its start', async (t) => {
  const average = Float32Array.of(0, 8);
  moveAverage(average, Float32Array.of(4, 4), 0.75);
  t.same([...average], [1, 7]);
  t.equal(decayAt(5, 0.9, 0), 0.9);
  t.ok(decayAt(1, 0.999, 100) < 0.02);
  t.ok(Math.abs(decayAt(2000, 0.999, 100) - 0.999) < 1e-6);
});

t.test('the rate rises in a line and falls along half a cosine', async (t) => {
  const schedule = { rate: 1, steps: 111, warmUp: 10, last: 0.1 };
  const rates = Array.from({ length: 111 }, (_, step) => rateAt(step, schedule));
  t.same(rates.slice(0, 10), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
  t.equal(rates[10], 1);
  t.ok(close(rates[60] ?? NaN, 0.55), 'half way down');
  t.ok(close(rates[110] ?? NaN, 0.1));
  t.equal(rateAt(500, schedule), rateAt(110, schedule));
});

t.test('biases and step sizes take a share of the rate where one is given', (t) => {
  const groups = (relative: boolean, biasRate?: number) =>
    usualOptimizer(300, 1e-3, 0.01, relative, biasRate).groups;
  t.equal(groups(true), undefined, 'all alike');
  t.same(groups(true, 0.2), { bias: { rate: 0.2 }, 'step-size': { rate: 0.2 } });
  t.end();
});
