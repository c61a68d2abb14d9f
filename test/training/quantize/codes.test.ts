// What the fake-quantized graph computes is what the packed artifact computes.
import fc from 'fast-check';
import t from 'tap';
import { type Model, readModel, writeModel } from '../../../src/onnx/index.js';
import {
  allocate,
  type BitWidth,
  BIT_WIDTHS,
  componentsOf,
  measureRanges,
  prepareModel,
  quantizeModel,
  rangesNeeded,
} from '../../../src/quantization/index.js';
import { floatTensor, type Tensors, withSession } from '../../../src/runtime/index.js';
import {
  buildTraining,
  type BuildLoss,
  trainedCodes,
  trainedGrids,
  type TrainingGraph,
  type WeightQuantization,
  withLearned,
} from '../../../src/training/index.js';
import { requireData, skipWithout } from '../../helpers/data.js';
import { noise } from '../../onnx/bits.js';
import { batchOf, distance, smallModel } from '../small.js';

/** What one run of the training graph gives under these tensors. */
const run = (graph: TrainingGraph, feeds: Tensors, learned: ReadonlyMap<string, Float32Array>) =>
  withSession(writeModel(graph.model), { configuration: { 'session.disable_quant_qdq': '1' } }, (session) =>
    session.run({
      ...feeds,
      ...Object.fromEntries(
        graph.parameters.map(({ name, dims, value }) => [
          name,
          floatTensor(dims, learned.get(name) ?? value),
        ]),
      ),
    }),
  );

/** Tensors near those that training starts from, as if some steps had been done. */
const moved = (graph: TrainingGraph, seed: number): Map<string, Float32Array> =>
  new Map(
    graph.parameters.map(({ name, kind, value }, i) => {
      const shift = noise(value.length, seed + i);
      const isFactor = kind === 'step-size';
      return [
        name,
        value.map((v, k) => (isFactor ? v * (1 + 0.2 * (shift[k] ?? 0)) : v + 0.1 * (shift[k] ?? 0))),
      ];
    }),
  );

const outputOf = (results: Tensors, name: string | undefined): Float32Array => {
  const tensor = results[name ?? ''];
  if (tensor?.type !== 'float32') throw new Error('no floats');
  return tensor.data;
};

/** The largest difference beside the largest value. */
const difference = (a: Float32Array, b: Float32Array): number => {
  let [most, scale] = [0, 1e-12];
  a.forEach((value, i) => {
    most = Math.max(most, Math.abs(value - (b[i] ?? NaN)));
    scale = Math.max(scale, Math.abs(value));
  });
  return most / scale;
};

/** The trained model, packed, on the training graph's input. */
const packed = async (
  model: Model,
  graph: TrainingGraph,
  quantization: WeightQuantization,
  learned: ReadonlyMap<string, Float32Array>,
  feeds: Tensors,
): Promise<Tensors> => {
  const trained = withLearned(model, learned);
  const stepSizes = new Map([...graph.stepSizes].map(([name, start]) => [name, learned.get(name) ?? start]));
  const weights = await trainedCodes(trained, { ...quantization, stepSizes });
  const { allocation } = quantization;
  const made = await quantizeModel(trained, { allocation, feeds: () => [], weights });
  return withSession(writeModel(made.model), {}, (session) => session.run(feeds));
};

t.test('random mixtures of bits, every method', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(
        'fixed' as const,
        'lsq' as const,
        'tqt' as const,
        'tqt-power-of-two' as const,
        'dorefa' as const,
      ),
      fc.infiniteStream(fc.constantFrom(...BIT_WIDTHS)),
      fc.boolean(),
      fc.integer({ min: 1, max: 1_000_000 }),
      async (method, stream, reduceRange, seed) => {
        const model = prepareModel(smallModel());
        const allocation = allocate(componentsOf(model), ({ outputChannels }) => ({
          bits: Array.from({ length: outputChannels }, (): BitWidth => {
            const next: IteratorResult<BitWidth, unknown> = stream.next();
            return next.done === true ? 8 : next.value;
          }),
          execution: 'fp32',
        }));
        const quantization = { allocation, method, reduceRange };
        const graph = buildTraining(model, { batch: 1, loss: distance, weights: quantization });
        const learned = moved(graph, seed);
        const { image, target } = batchOf(1, seed);
        if (image === undefined || target === undefined) throw new Error('no batch');
        const fake = await run(graph, { image, target }, learned);
        const real = await packed(model, graph, quantization, learned, { image });
        const [output] = Object.keys(real);
        return difference(outputOf(fake, graph.parts.get('output')), outputOf(real, output)) <= 1e-5;
      },
    ),
    { numRuns: 25 },
  );
});

t.test('8-bit activations, learned step sizes: within one code of the output', async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const model = prepareModel(smallModel());
    const widths = [4, 8, 2, 8] as const;
    const allocation = allocate(componentsOf(model), (_, index) => ({
      bits: widths[index % 4] ?? 8,
      execution: 'int8',
    }));
    const { image, target } = batchOf(1, seed);
    if (image === undefined || target === undefined) throw new Error('no batch');
    const feeds = () => [{ image }];
    const ranges = await measureRanges(model, rangesNeeded(model, allocation), feeds, { method: 'min-max' });
    const weights = { allocation, reduceRange: true };
    const graph = buildTraining(model, {
      batch: 1,
      loss: distance,
      weights,
      activations: { allocation, ranges },
    });
    const learned = moved(graph, seed);
    for (const { name, kind, value } of graph.parameters) if (kind !== 'step-size') learned.set(name, value);
    const fake = outputOf(await run(graph, { image, target }, learned), graph.parts.get('output'));
    const trained = withLearned(model, learned);
    const stepSizes = new Map(
      [...graph.stepSizes].map(([name, start]) => [name, learned.get(name) ?? start]),
    );
    const grids = trainedGrids(graph.activations, learned);
    const made = await quantizeModel(trained, {
      allocation,
      feeds,
      ranges,
      activationGrids: grids,
      weights: await trainedCodes(trained, { ...weights, stepSizes }),
      reduceRange: true,
    });
    const real = await withSession(writeModel(made.model), {}, (session) => session.run({ image }));
    const [output = ''] = Object.keys(real);
    const code = grids.get(model.graph.outputs[0]?.name ?? '')?.scale ?? NaN;
    const real32 = outputOf(real, output);
    const most = Math.max(...fake.map((value, i) => Math.abs(value - (real32[i] ?? NaN))));
    t.ok(most <= 1.001 * code, `${most / code} codes`);
    t.ok(graph.activations.length > 5, `${graph.activations.length} grids are learned`);
  }
});

const first: BuildLoss = ({ ops, outputs }) => {
  const [output] = outputs;
  if (output === undefined) throw new Error('no output');
  return { loss: ops.mean(output, [0, 1, 2], false), parts: { output } };
};

t.test('YOLOX-nano, filters of 2, 4 and 8 bits', { skip: skipWithout('models') }, async (t) => {
  const model = prepareModel(readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx')));
  let turn = 0;
  const allocation = allocate(componentsOf(model), ({ outputChannels }) => ({
    bits: Array.from({ length: outputChannels }, () => ([4, 8, 4, 2, 8, 32] as const)[turn++ % 6] ?? 8),
    execution: 'fp32',
  }));
  const quantization = { allocation, grids: 'min-max' } as const;
  const graph = buildTraining(model, { batch: 1, loss: first, weights: quantization });
  const images = floatTensor(
    [1, 3, 416, 416],
    noise(3 * 416 * 416, 5).map((v) => 127 * (v + 1)),
  );
  const learned = moved(graph, 9);
  // As they are, weights would be 0.1 away, which is more than many of them.
  for (const { name, kind, value } of graph.parameters) if (kind !== 'step-size') learned.set(name, value);
  const fake = await run(graph, { images }, learned);
  const real = await packed(model, graph, quantization, learned, { images });
  const [output] = Object.keys(real);
  const [a, b] = [outputOf(fake, graph.parts.get('output')), outputOf(real, output)];
  t.ok(difference(a, b) < 1e-4, `${difference(a, b)} of the largest value`);
});
