// Four bits a weight: nearest and better rounding, fp32 and int8 execution.
import { writeModel } from '../../src/onnx/index.js';
import {
  alongPlan,
  averageBits,
  componentsOf,
  edgedAllocation,
  edgesOf,
  type Execution,
  prepareModel,
  quantizeModel,
  type Rounding,
} from '../../src/quantization/index.js';
import { census, type Figure } from './lib.js';
import { type BenchPart, map50Drop, type QuantizeBench } from './quantize-lib.js';

const measure = async (
  bench: QuantizeBench,
  name: string,
  execution: Execution,
  rounding: Rounding,
): Promise<readonly Figure[]> => {
  const allocation = edgedAllocation(prepareModel(bench.model), 4, execution);
  const made = await quantizeModel(bench.model, {
    // Every convolution in int8, by the way that was found with 8-bit weights.
    ...(execution === 'int8' ? alongPlan(allocation, (await bench.choice()).all) : { allocation }),
    feeds: bench.feeds,
    rounding,
    reduceRange: await bench.reduceRange(),
  });
  const bytes = writeModel(made.model);
  const pictures = bench.valid.images.length;
  const drop = map50Drop(`${name}.map50Drop`, await bench.fp32(), [await bench.evaluate(bytes)], pictures);
  return [drop, census(`${name}.bytesRatio`, 'ratio', bytes.length / bench.parent.manifest.modelBytes, 1)];
};

/** Bits a weight on average, first and last layers left out. */
const innerBits = ({ model }: QuantizeBench): number => {
  const prepared = prepareModel(model);
  const edges = new Set(edgesOf(prepared).map(({ name }) => name));
  const inner = componentsOf(prepared).filter(({ name }) => !edges.has(name));
  return averageBits(inner, edgedAllocation(prepared, 4, 'fp32'));
};

export const weightsFigures: BenchPart = async (bench) => {
  const nearest = await measure(bench, 'w4.nearest', 'fp32', 'nearest');
  const better = await measure(bench, 'w4.better', 'fp32', 'gptq');
  const executed = await measure(bench, 'w4a8.better', 'int8', 'gptq');
  const sized = better.map((figure) =>
    figure.name === 'w4.better.bytesRatio' ? { ...figure, name: 'w4.bytesRatio' } : figure,
  );
  return [
    census('w4.averageBits', 'bits', innerBits(bench), 1),
    ...nearest.filter(({ name }) => name.endsWith('Drop')),
    ...sized,
    ...executed,
  ];
};
