// A run under quantization begins as the rounded model is, and what it computes is what the packed model computes.
import fc from 'fast-check';
import t from 'tap';
import { tensorOf, writeModel } from '../../../src/onnx/index.js';
import {
  allocate,
  arranged,
  type BitWidth,
  BIT_WIDTHS,
  componentNodes,
  componentsOf,
  prepareModel,
  quantizeModel,
  roundWeights,
  trainedOptions,
  weightRows,
} from '../../../src/quantization/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import {
  beginQuantized,
  buildTraining,
  startFromCodes,
  stepSizeName,
  trainedCodes,
  trainedGrids,
  withLearned,
} from '../../../src/training/index.js';
import { bentModel } from '../../../src/training/quantize/start.js';
import { batchOf, distance, smallModel } from '../small.js';

const mixture = (stream: Iterator<BitWidth>) =>
  allocate(componentsOf(prepareModel(smallModel())), ({ outputChannels }) => ({
    bits: Array.from({ length: outputChannels }, (): BitWidth => {
      const next: IteratorResult<BitWidth, unknown> = stream.next();
      return next.done === true ? 8 : next.value;
    }),
    execution: 'fp32',
  }));

t.test('codes are those that were rounded to, and weights move no further than they must', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('gptq' as const, 'nearest' as const),
      fc.constantFrom('lsq' as const, 'fixed' as const, 'tqt' as const),
      fc.infiniteStream(fc.constantFrom(...BIT_WIDTHS)),
      fc.integer({ min: 1, max: 1e6 }),
      async (rounding, method, stream, seed) => {
        const model = prepareModel(smallModel());
        const allocation = mixture(stream);
        const { image } = batchOf(1, seed);
        const feeds = () => (image === undefined ? [] : [{ image }]);
        const rounded = await roundWeights(model, allocation, feeds, { rounding });
        const start = startFromCodes(rounded.model, rounded.weights, { allocation, method });
        const codes = await trainedCodes(start.model, start.quantization);
        return [...componentNodes(start.model)].every(([node, component]) => {
          const { name, outputChannels } = component;
          const [wanted, found] = [rounded.weights.get(name), codes.get(name)];
          const before = weightRows(component, rounded.model.graph.value(component.weight));
          const now = weightRows(component, node.input(1));
          const length = now.length / outputChannels;
          const entry = allocation.components[name]?.bits;
          return Array.from(now).every((weight, i) => {
            const channel = Math.floor(i / length);
            const bits = typeof entry === 'number' ? entry : (entry?.[channel] ?? 32);
            const was = before[i] ?? NaN;
            if (bits === 32) return weight === was;
            const step = wanted?.grids[channel]?.scale ?? NaN;
            const centre = (wanted?.codes[i] ?? NaN) * step;
            return (
              wanted?.codes[i] === found?.codes[i] &&
              // Where its code was the nearest one it stays, or moves towards it only.
              Math.abs(weight - was) <= Math.max(0, Math.abs(was - centre) - 0.44 * step)
            );
          });
        });
      },
    ),
    { numRuns: 20 },
  );
});

t.test('dorefa cannot start from codes, and begins with plain rounding', async (t) => {
  const model = prepareModel(smallModel());
  const allocation = mixture(
    (function* (): Generator<BitWidth> {
      for (;;) yield* [2, 4, 8];
    })(),
  );
  const weights = { allocation, method: 'dorefa' as const };
  t.throws(() => startFromCodes(model, new Map(), weights), { code: 'BAD_CONFIG' });
  // Weights of any size: a large channel is bent no more than a small one.
  for (const [node, component] of componentNodes(model)) {
    const value = model.graph.value(component.weight);
    const rows = weightRows(component, node.input(1));
    if (value === undefined) throw new Error('no weights');
    const large = rows.map((weight, i) => (i % 3 === 0 ? 9 : 0.7) * weight);
    model.graph.setTensor(
      value,
      tensorOf('float32', component.weightDims, arranged(large, component.outputChannels, component.axis)),
    );
  }
  const begun = await beginQuantized(model, { weights, feeds: () => [] });
  const codes = await trainedCodes(begun.model, begun.weights);
  for (const [node, component] of componentNodes(model)) {
    const found = codes.get(component.name);
    const rows = weightRows(component, node.input(1));
    const length = rows.length / component.outputChannels;
    // Where a weight lies in the middle of two codes, floats may take the other one.
    const isOff = (weight: number, i: number): boolean => {
      const grid = found?.grids[Math.floor(i / length)];
      return !(
        Math.abs(weight - (found?.codes[i] ?? NaN) * (grid?.scale ?? NaN)) <=
        0.5001 * (grid?.scale ?? 0)
      );
    };
    t.notOk(rows.some(isOff), `${component.name} is rounded to nearest`);
    const tops = (found?.grids ?? []).map(({ scale, high }) => scale * high);
    t.ok(
      tops.every((top, channel) => {
        const row = rows.subarray(channel * length, (channel + 1) * length);
        const most = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        return Math.abs(top - most) <= 1e-5 * most;
      }),
      `${component.name}: the greatest weight is the highest code`,
    );
  }
});

t.test('what dorefa has learned goes on as the weights that the network has', async (t) => {
  const model = prepareModel(smallModel());
  const allocation = mixture(
    (function* (): Generator<BitWidth> {
      for (;;) yield* BIT_WIDTHS;
    })(),
  );
  const begun = await beginQuantized(model, { weights: { allocation, method: 'dorefa' }, feeds: () => [] });
  // Nothing was learned: they are the weights that it began with.
  const bent = bentModel(begun.model, begun.weights);
  for (const [node, component] of componentNodes(model)) {
    const before = weightRows(component, node.input(1));
    const after = weightRows(component, bent.graph.value(component.weight));
    const most = before.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    t.ok(
      before.every((weight, i) => Math.abs(weight - (after[i] ?? NaN)) <= 1e-5 * most),
      component.name,
    );
  }
});

t.test('activations, functions in FP32 among them: within one code of the packed model', async (t) => {
  const model = prepareModel(smallModel());
  const [first = '', second = ''] = componentsOf(model).map(({ name }) => name);
  // Wider than what is seen.
  const [picture, known] = ['image', { min: -4, max: 4 }];
  for (const floatFunctions of [new Set<string>(), new Set([first]), new Set([first, second])]) {
    const allocation = allocate(componentsOf(model), () => ({ bits: 8, execution: 'int8' }));
    const { image, target } = batchOf(1, 3);
    if (image === undefined || target === undefined) throw new Error('no batch');
    const begun = await beginQuantized(model, {
      weights: { allocation, reduceRange: true },
      feeds: () => [{ image }],
      activations: { method: 'min-max', floatFunctions, knownRanges: new Map([[picture, known]]) },
    });
    const { weights, activations } = begun;
    if (activations === undefined) throw new Error('no grids');
    const graph = buildTraining(begun.model, {
      batch: 1,
      loss: distance,
      weights,
      activations: { ...activations, allocation },
    });
    t.equal(activations.ranges.get(picture), known);
    const own = graph.activations.find(({ values }) => values.includes(picture));
    t.equal(own?.grid.scale, Math.fround(8 / 255));
    t.notOk(
      graph.parameters.some(({ name }) => name === own?.stepSize),
      'a grid that is known is not learned',
    );
    // As if training had moved every grid.
    const learned = new Map(
      graph.parameters.map(({ name, kind, value }) => [
        name,
        kind === 'step-size' ? value.map((scale) => 0.93 * scale) : value,
      ]),
    );
    const parameters = Object.fromEntries(
      graph.parameters.map(({ name, dims, value }) => [name, floatTensor(dims, learned.get(name) ?? value)]),
    );
    const fake = await withSession(
      writeModel(graph.model),
      { configuration: { 'session.disable_quant_qdq': '1' } },
      (session) => session.run({ image, target, ...parameters }),
    );
    const trained = withLearned(begun.model, learned);
    const stepSizes = new Map(
      [...graph.stepSizes].map(([name, start]) => [name, learned.get(name) ?? start]),
    );
    t.ok(stepSizes.has(stepSizeName(first)));
    const grids = trainedGrids(graph.activations, learned);
    const made = await quantizeModel(trained, {
      allocation,
      feeds: () => [],
      reduceRange: true,
      ...trainedOptions({
        model: trained,
        weights: await trainedCodes(trained, { ...weights, stepSizes }),
        activations: { grids, ranges: activations.ranges, floatFunctions },
      }),
    });
    const real = await withSession(writeModel(made.model), {}, (session) => session.run({ image }));
    const [result] = Object.values(real);
    const shown = fake[graph.parts.get('output') ?? ''];
    if (result?.type !== 'float32' || shown?.type !== 'float32') throw new Error('no floats');
    const code = grids.get(model.graph.outputs[0]?.name ?? '')?.scale ?? NaN;
    const most = Math.max(...shown.data.map((value, i) => Math.abs(value - (result.data[i] ?? NaN))));
    t.ok(most <= 1.001 * code, `${most / code} codes`);
  }
});
