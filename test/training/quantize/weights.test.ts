// Gradients of fake quantization against the formulas of the papers, written out a number at a time.
import fc from 'fast-check';
import t from 'tap';
import { writeModel } from '../../../src/onnx/index.js';
import { componentsOf, levelsOf, uniformAllocation } from '../../../src/quantization/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import {
  buildTraining,
  stepSizeName,
  type BuildLoss,
  type WeightMethod,
} from '../../../src/training/index.js';
import { noise } from '../../onnx/bits.js';
import { Net } from '../../onnx/net.js';

const ROWS = 5;
const COLUMNS = 7;

/** The sum of a linear layer's outputs times given numbers: each weight's gradient is then a number that is known. */
const weighted: BuildLoss = ({ graph, ops, outputs }) => {
  const [output] = outputs;
  if (output === undefined) throw new Error('no output');
  const share = graph.addInput('share', 'float32', [1, ROWS]);
  return { loss: ops.sum(ops.mul(output, share), [0, 1], false), parts: {} };
};

interface Run {
  /** What the layer used for weights shows in its output. */
  readonly loss: number;
  readonly toWeights: Float32Array;
  readonly toStep: Float32Array | undefined;
  readonly factors: Float32Array | undefined;
  readonly step: Float32Array;
  /** The gradient of the weight as the layer used it. */
  readonly upstream: (row: number, column: number) => number;
  readonly weight: Float32Array;
}

const run = async (method: WeightMethod, bits: 2 | 4 | 8, seed: number): Promise<Run> => {
  const net = new Net(13);
  const x = net.input('x', [1, COLUMNS]);
  const y = net.op('Gemm', [x, net.weights([ROWS, COLUMNS])], { transB: 1 });
  const model = net.model(y);
  const [component] = componentsOf(model);
  if (component === undefined) throw new Error('no component');
  const graph = buildTraining(model, {
    batch: 1,
    loss: weighted,
    weights: { allocation: uniformAllocation([component], bits, 'fp32'), method },
  });
  const weight = noise(ROWS * COLUMNS, seed);
  const name = stepSizeName(component.name);
  const started = graph.stepSizes.get(name) ?? new Float32Array();
  // Smaller grids than the weights need: some are clipped.
  const step =
    method === 'fixed' || method === 'dorefa'
      ? started
      : started.map((s) => (method === 'lsq' ? 0.7 * s : s - 0.5));
  const [input, share] = [noise(COLUMNS, seed + 1), noise(ROWS, seed + 2)];
  const results = await withSession(writeModel(graph.model), {}, (session) =>
    session.run({
      x: floatTensor([1, COLUMNS], input),
      share: floatTensor([1, ROWS], share),
      [component.weight]: floatTensor([ROWS, COLUMNS], weight),
      ...(graph.gradients.has(name) && { [name]: floatTensor([ROWS], step) }),
    }),
  );
  const floats = (output: string | undefined) => results[output ?? '']?.data as Float32Array;
  return {
    loss: floats(graph.loss)[0] ?? NaN,
    toWeights: floats(graph.gradients.get(component.weight)),
    toStep: floats(graph.gradients.get(name)),
    factors: graph.parameters.find((parameter) => parameter.name === name)?.gradientFactors,
    step,
    weight,
    upstream: (row, column) => (share[row] ?? 0) * (input[column] ?? 0),
  };
};

const close = (a: number, b: number): boolean =>
  Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(a), Math.abs(b));

/** Every weight with its scale, its gradient upstream and where it ended. */
const each = ({ weight, upstream }: Run, scaleOf: (row: number) => number, bits: number) => {
  const { low, high } = levelsOf({ bits, signed: true, symmetric: true });
  return Array.from(weight, (w, i) => {
    const row = Math.floor(i / COLUMNS);
    const scale = scaleOf(row);
    const ratio = w / scale;
    const code = Math.min(high, Math.max(low, Math.round(ratio)));
    return {
      i,
      row,
      scale,
      ratio,
      code,
      isInside: ratio >= low && ratio <= high,
      g: upstream(row, i % COLUMNS),
    };
  });
};

const drawn = (work: (bits: 2 | 4 | 8, seed: number) => Promise<boolean>): Promise<void> =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom(2 as const, 4 as const, 8 as const),
      fc.integer({ min: 1, max: 1e6 }),
      work,
    ),
    { numRuns: 8 },
  );

t.test('learned step sizes: forward, weights, steps, gradient scale', async () => {
  await drawn(async (bits, seed) => {
    const result = await run('lsq', bits, seed);
    const all = each(result, (row) => result.step[row] ?? 1, bits);
    const forward = all.reduce((sum, { code, scale, g }) => sum + code * scale * g, 0);
    const { high } = levelsOf({ bits, signed: true, symmetric: true });
    // Esser et al. 2019, equation 3: the code, less the ratio where it was not clipped.
    const steps = Array.from(result.step, (_, row) =>
      all
        .filter((weight) => weight.row === row)
        .reduce((sum, { code, ratio, isInside, g }) => sum + g * (code - (isInside ? ratio : 0)), 0),
    );
    return (
      close(result.loss, forward) &&
      all.every(({ i, isInside, g }) => close(result.toWeights[i] ?? NaN, isInside ? g : 0)) &&
      steps.every((gradient, row) => close(result.toStep?.[row] ?? NaN, gradient)) &&
      result.factors?.every((factor) => close(factor, 1 / Math.sqrt(COLUMNS * high))) === true
    );
  });
});

t.test('learned thresholds: scales are powers of two, gradients as in equations 6 to 8', async () => {
  for (const method of ['tqt', 'tqt-power-of-two'] as const) {
    await drawn(async (bits, seed) => {
      const result = await run(method, bits, seed);
      const exponent = (row: number): number => {
        const threshold = result.step[row] ?? 0;
        return (method === 'tqt' ? threshold : Math.ceil(threshold)) - (bits - 1);
      };
      const all = each(result, (row) => Math.fround(2 ** exponent(row)), bits);
      const steps = Array.from(result.step, (_, row) =>
        all
          .filter((weight) => weight.row === row)
          .reduce(
            (sum, { code, ratio, scale, isInside, g }) =>
              sum + g * scale * Math.LN2 * (code - (isInside ? ratio : 0)),
            0,
          ),
      );
      return (
        close(
          result.loss,
          all.reduce((sum, { code, scale, g }) => sum + code * scale * g, 0),
        ) &&
        all.every(({ i, isInside, g }) => close(result.toWeights[i] ?? NaN, isInside ? g : 0)) &&
        steps.every((gradient, row) => close(result.toStep?.[row] ?? NaN, gradient))
      );
    });
  }
});

t.test('weights squeezed by tanh fill their range', async () => {
  await drawn(async (bits, seed) => {
    const result = await run('dorefa', bits, seed);
    const { high } = levelsOf({ bits, signed: true, symmetric: true });
    let [forward, isRight] = [0, true];
    for (let row = 0; row < ROWS; row++) {
      const weights = result.weight.slice(row * COLUMNS, (row + 1) * COLUMNS);
      const most = Math.max(...weights.map((w) => Math.abs(Math.tanh(w))));
      weights.forEach((w, column) => {
        const g = result.upstream(row, column);
        const scale = result.step[row] ?? 1;
        forward += g * scale * Math.round((Math.tanh(w) / most) * high);
        const slope = (g * scale * high * (1 - Math.tanh(w) ** 2)) / most;
        isRight &&= close(result.toWeights[row * COLUMNS + column] ?? NaN, slope);
      });
    }
    return isRight && close(result.loss, forward) && result.toStep === undefined;
  });
});

t.test('fixed scales: straight through inside the grid', async () => {
  await drawn(async (bits, seed) => {
    const result = await run('fixed', bits, seed);
    const all = each(result, (row) => result.step[row] ?? 1, bits);
    return all.every(({ i, isInside, g }) => close(result.toWeights[i] ?? NaN, isInside ? g : 0));
  });
});
