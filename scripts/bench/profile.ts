// `npm run bench:profile`: the best plan of a profile against both uniform precisions, and how good its predictions are.
import { inTurns, pairedRatios, type Profiled, profileModel, Stopwatch } from '../../src/allocation/index.js';
import { cloneModel, type Model, readModel, removeDeadNodes, runPasses } from '../../src/onnx/index.js';
import type { FeedSource } from '../../src/quantization/index.js';
import { hashFile } from '../../src/registry/index.js';
import { floatTensor, type Tensors } from '../../src/runtime/index.js';
import { median } from '../../src/system/index.js';
import {
  census,
  countOption,
  dataPath,
  type Figure,
  medianFigure,
  printReport,
  runBench,
  readOptions,
} from './lib.js';

const SIDE = 416;
const OPENINGS = 6;
const ROUNDS = 15;

/** The same network with every x * sigmoid(x) replaced by Relu: for timing only. */
const withRelu = (model: Model): Model => {
  const copy = cloneModel(model);
  const { graph } = copy;
  for (const product of graph.nodes()) {
    const gate = product.inputs.find((value) => value?.producer?.is('Sigmoid') === true)?.producer;
    const [input, output] = [gate?.input(0), product.output()];
    if (!product.is('Mul') || input === undefined || output === undefined) continue;
    if (!product.inputs.includes(input)) continue;
    const relu = graph.addNode({ opType: 'Relu', inputs: [input] }, { after: product }).output();
    if (relu !== undefined) graph.replaceUses(output, relu);
  }
  runPasses(copy, [removeDeadNodes]);
  return copy;
};

const feed = (): Tensors => {
  let state = 7;
  const data = Float32Array.from({ length: 3 * SIDE * SIDE }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
  return { images: floatTensor([1, 3, SIDE, SIDE], data) };
};

const feeds: FeedSource = () => [feed()];

interface Rounds {
  readonly fp32: readonly number[];
  readonly int8: readonly number[];
  readonly folded: readonly number[];
  readonly plan: readonly number[];
}

/** All against each other, afresh, opened several times. */
const measure = async ({ variants, best, profile }: Profiled): Promise<Rounds> => {
  const uniform = (execution: 'fp32' | 'int8') => variants.regions.map(() => execution);
  const models = [
    variants.bytes(uniform('fp32'), { fold: false }),
    variants.bytes(uniform('int8')),
    variants.bytes(uniform('fp32')),
    variants.bytes(best),
  ];
  const { configuration } = profile.kernels;
  const stopwatch = new Stopwatch(feed(), { threads: profile.threads, session: { configuration } });
  const columns: number[][] = models.map(() => []);
  for (let opening = 0; opening < OPENINGS; opening++) {
    const times = await stopwatch.with(models, (contenders) =>
      inTurns(contenders, { least: ROUNDS, most: ROUNDS }),
    );
    times.forEach((column, i) => columns[i]?.push(...column));
  }
  const [fp32 = [], int8 = [], folded = [], plan = []] = columns;
  return { fp32, int8, folded, plan };
};

const figuresOf = async (profiled: Profiled, name: string): Promise<Figure[]> => {
  const { fp32, int8, folded, plan } = await measure(profiled);
  const isInt8Better = median(pairedRatios(int8, fp32)) < 1;
  const better = isInt8Better ? int8 : fp32;
  const isFoldedBetter = median(pairedRatios(folded, better)) < 1;
  return [
    medianFigure(`${name}.int8Ratio`, 'ratio', pairedRatios(int8, fp32)),
    medianFigure(`${name}.foldedFp32Ratio`, 'ratio', pairedRatios(folded, fp32)),
    medianFigure(`${name}.fp32Ratio`, 'ratio', pairedRatios(plan, fp32)),
    medianFigure(`${name}.uniformRatio`, 'ratio', pairedRatios(plan, better)),
    medianFigure(`${name}.precisionRatio`, 'ratio', pairedRatios(plan, isFoldedBetter ? folded : better)),
  ];
};

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    seconds: { type: 'string', default: '300' },
  });
  const path = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const seconds = countOption(values.seconds, '--seconds');
  const id = await hashFile(path);
  const source = readModel(path);
  const profile = (model: Model, name: string, share: number): Promise<Profiled> =>
    profileModel(model, feeds, { model: { id, name }, threads: 1, seconds: share * seconds });
  const silu = await profile(source, 'yolox-nano', 1);
  const own = await figuresOf(silu, 'plan.best');
  const relu = await profile(withRelu(source), 'yolox-nano-relu', 0.3);
  const others = await figuresOf(relu, 'plan.relu');
  const named = (figures: readonly Figure[], from: string, to: string): Figure[] =>
    figures.map((figure) => (figure.name === from ? { ...figure, name: to } : figure));
  const predictions = (prefix: string, { prediction }: Profiled['profile']): Figure[] => [
    census(`${prefix}.medianError`, 'share', prediction.medianError, prediction.plans),
    census(`${prefix}.worstError`, 'share', prediction.worstError, prediction.plans),
    census(`${prefix}.rankCorrelation`, 'rank', prediction.rankCorrelation ?? NaN, prediction.plans),
  ];
  printReport(
    {
      bench: 'profile',
      model: { id, name: 'yolox-nano', seconds },
      data: null,
      figures: [
        ...named(own, 'plan.best.uniformRatio', 'plan.best.latencyRatio'),
        ...named(others, 'plan.relu.fp32Ratio', 'plan.relu.latencyRatio'),
        ...predictions('predict', silu.profile),
        ...predictions('predict.relu', relu.profile),
      ],
    },
    values.json,
  );
});
