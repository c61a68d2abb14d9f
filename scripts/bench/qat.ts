// `npm run bench:qat`: what training under quantization gets back of what rounding costs, with labels and without.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { problemOf, solveLayers } from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import {
  bootstrap,
  type DataSet,
  evaluate,
  type Evaluation,
  mapClasses,
  predict,
} from '../../src/evaluation/index.js';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import {
  type Allocation,
  averageBits,
  componentsOf,
  edgedAllocation,
  prepareModel,
} from '../../src/quantization/index.js';
import type { Artifact } from '../../src/registry/index.js';
import { NO_AUGMENTATION, WITHOUT_LABELS } from '../../src/training/index.js';
import { Store } from './allocation-lib.js';
import { census, countOption, dataPath, type Figure, printReport, readOptions, runBench } from './lib.js';
import { nanoArtifact } from './nano.js';
import { layOut } from './qat-data.js';
import { divergenceFigures, recovered, seedFigures } from './qat-figures.js';
import { map50Drop, meanMap50 } from './quantize-lib.js';
import { type RoundedModel, round, trainRounded } from './qat-models.js';
import { labels, type RunOptions, type Runs, SEED, trainFloats, withoutLabels } from './qat-runs.js';
import { significanceOf } from './qat-significance.js';
import { withArtifact } from './quantize-lib.js';

/**
 * Learning rates, of FP32 runs and by bits, chosen on the pictures held out: FP32 gained half as much at 1e-3 (100 steps); codes of few bits
 * hardly move at 3e-4, where the model of 3 bits lost half as much again (300 steps).
 */
const RATES = { floats: 3e-4, four: 1e-3, free: 1e-3, three: 1e-3 } as const;
const AVERAGE = 3;

interface Bench {
  readonly runs: Runs;
  /** FP32 at the place: what is quantized. */
  readonly site: Model;
  /** FP32 after as many more steps: what quantized models are held against. */
  readonly reference: Evaluation;
  readonly judge: (bytes: Uint8Array) => Promise<Evaluation>;
  readonly pictures: number;
  readonly rates: Readonly<Record<'four' | 'free' | 'three', number>>;
  /** Pictures without labels are only mirrored. */
  readonly plain: boolean;
  /** Without labels the teacher's word alone is learned, all at one rate. */
  readonly word: boolean;
  /** Of trained runs; what they came to is averaged. */
  readonly seeds: readonly number[];
}

/** The labelled run: its labels, and beside them the word of the model that it comes from. */
const labelled = ({ runs, site }: Bench, learningRate: number): Omit<RunOptions, 'model' | 'weights'> => ({
  labelled: labels(runs),
  teacher: site,
  learningRate,
});

const labelFree = (
  { runs, site, plain, word }: Bench,
  learningRate: number,
): Omit<RunOptions, 'model' | 'weights'> => ({
  unlabelled: withoutLabels(runs),
  teacher: site,
  ...(!word && WITHOUT_LABELS),
  ...(plain && { augmentation: { ...NO_AUGMENTATION, flip: 0.5 } }),
  learningRate,
});

interface TrainedRuns {
  /** What each seed came to. */
  readonly evaluations: readonly Evaluation[];
  readonly bytes: readonly Uint8Array[];
}

const trainedRuns = async (
  { runs, judge, seeds }: Bench,
  name: string,
  rounded: RoundedModel,
  options: Omit<RunOptions, 'model' | 'weights'>,
): Promise<TrainedRuns> => {
  const [evaluations, bytes]: [Evaluation[], Uint8Array[]] = [[], []];
  for (const seed of seeds) {
    const own = { ...options, ...(seed !== SEED && { seed }) };
    const made = await trainRounded(runs, name, rounded, own);
    bytes.push(made);
    evaluations.push(await judge(made));
  }
  return { evaluations, bytes };
};

const fourBits = async (bench: Bench): Promise<Figure[]> => {
  const { runs, site, judge, reference, pictures, rates, seeds } = bench;
  const allocation = edgedAllocation(prepareModel(site), 4, 'fp32');
  const nearest = await judge((await round(runs, 'nearest4', site, allocation, 'nearest')).bytes);
  const rounded = await round(runs, 'ptq4', site, allocation, 'gptq');
  const untrained = await judge(rounded.bytes);
  const trained = await trainedRuns(bench, 'qat4', rounded, labelled(bench, rates.four));
  const distilled = await trainedRuns(bench, 'distill4', rounded, labelFree(bench, rates.free));
  const share = (name: string, from: Evaluation): Figure =>
    recovered(
      name,
      pictures,
      meanMap50([from]),
      meanMap50(trained.evaluations),
      meanMap50(distilled.evaluations),
    );
  return [
    map50Drop('ptq4.nearest.map50Drop', reference, [nearest], pictures),
    map50Drop('ptq4.map50Drop', reference, [untrained], pictures),
    map50Drop('qat4.map50Drop', reference, trained.evaluations, pictures),
    map50Drop('distill4.map50Drop', reference, distilled.evaluations, pictures),
    share('distill4.recoveredShare', untrained),
    share('distill4.recoveredShareOfNearest', nearest),
    ...seedFigures('qat4', seeds, trained.evaluations),
    ...seedFigures('distill4', seeds, distilled.evaluations),
    ...(await divergenceFigures(bench, {
      ptq4: [rounded.bytes],
      qat4: trained.bytes,
      distill4: distilled.bytes,
    })),
  ];
};

/** By significance, every layer's bits together no more than 3 a weight. */
const threeBitAllocation = async ({ runs, site }: Bench): Promise<Allocation> => {
  const map = await significanceOf(runs, site);
  const problem = await problemOf(site, { objective: 'semantic', map, execution: 'fp32', widths: [2, 4, 8] });
  const solved = await solveLayers(problem, { averageBits: AVERAGE }, { gap: 1e-5, seconds: 20 });
  if (solved !== undefined) return solved.allocation;
  throw new BitlaneError('BAD_USAGE', `${AVERAGE} bits a weight are not possible`);
};

const threeBits = async (bench: Bench): Promise<Figure[]> => {
  const { runs, site, judge, reference, pictures, rates, seeds } = bench;
  const store = new Store(runs.folder);
  const key = createHash('sha256').update(writeModel(site)).digest('hex');
  const allocation = await store.kept('allocation3', key, () => threeBitAllocation(bench));
  const rounded: RoundedModel = await round(runs, 'ptq3', site, allocation, 'gptq');
  const trained = await trainedRuns(bench, 'qat3', rounded, labelled(bench, rates.three));
  return [
    map50Drop('ptq3.map50Drop', reference, [await judge(rounded.bytes)], pictures),
    map50Drop('qat3.map50Drop', reference, trained.evaluations, pictures),
    ...seedFigures('qat3', seeds, trained.evaluations),
    census('qat3.averageBits', 'bits', averageBits(componentsOf(prepareModel(site)), allocation), 1),
  ];
};

const PARTS: Readonly<Record<string, (bench: Bench) => Promise<Figure[]>>> = {
  '4': fourBits,
  '3': threeBits,
};

/** @throws BitlaneError `BAD_USAGE` */
const rateOption = (text: string, option: string): number => {
  const rate = Number(text);
  if (rate > 0 && rate < 1) return rate;
  throw new BitlaneError('BAD_USAGE', `${option} must lie between 0 and 1, not ${text}`);
};

/** Judges files on a data set; what was judged is kept. */
const judgeOn =
  (parent: Artifact, dataSet: DataSet, store: Store): Bench['judge'] =>
  async (bytes) => {
    const map = mapClasses(parent.manifest.detector.classes, dataSet.classes);
    const about = [createHash('sha256').update(bytes).digest('hex'), dataSet.path, dataSet.images.length];
    const results = await store.kept('results', about, () =>
      withArtifact(parent, bytes, async (artifact) => (await predict(artifact, dataSet, map)).results),
    );
    return evaluate(results, map, { rounds: 0 });
  };

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    data: { type: 'string' },
    frames: { type: 'string' },
    steps: { type: 'string', default: '300' },
    batch: { type: 'string', default: '8' },
    threads: { type: 'string', default: '2' },
    limit: { type: 'string' },
    judge: { type: 'string', default: 'valid' },
    rate4: { type: 'string', default: String(RATES.four) },
    'rate-free': { type: 'string', default: String(RATES.free) },
    plain: { type: 'boolean', default: false },
    word: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '1,2,3' },
    rate3: { type: 'string', default: String(RATES.three) },
    parts: { type: 'string', default: Object.keys(PARTS).join(',') },
    keep: { type: 'string' },
  });
  const parts = values.parts.split(',').map((name) => {
    const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
    if (part !== undefined) return part;
    throw new BitlaneError('BAD_USAGE', `--parts takes ${Object.keys(PARTS).join(', ')}, not ${name}`);
  });
  const rates = {
    four: rateOption(values.rate4, '--rate4'),
    free: rateOption(values['rate-free'], '--rate-free'),
    three: rateOption(values.rate3, '--rate3'),
  };
  const seeds = values.seeds.split(',').map((seed) => countOption(seed, '--seeds'));
  const { judge: split } = values;
  if (split !== 'valid' && split !== 'held-out') {
    throw new BitlaneError('BAD_USAGE', `--judge takes valid and held-out, not ${split}`);
  }
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const highway = dataPath(values.data, '--data', 'highway');
  const frames = dataPath(values.frames, '--frames', 'junction-frames');
  const limit = values.limit === undefined ? undefined : countOption(values.limit, '--limit');
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), 'bitlane-qat-'));
  const { artifact, remove } = await nanoArtifact(modelPath);
  try {
    const data = layOut(folder, highway, frames, limit);
    const runs: Runs = {
      folder,
      detector: artifact.manifest.detector,
      data,
      steps: countOption(values.steps, '--steps'),
      batch: countOption(values.batch, '--batch'),
      threads: countOption(values.threads, '--threads'),
    };
    const given = { labelled: labels(runs), learningRate: RATES.floats };
    const model = readModel(artifact.modelPath);
    const site = await trainFloats(runs, 'site', { ...given, model });
    const reference = await trainFloats(runs, 'reference', { ...given, model: site });
    const dataSet = split === 'valid' ? data.valid : data.held;
    const judge = judgeOn(artifact, dataSet, new Store(folder));
    const fp32 = await judge(writeModel(reference));
    const pictures = dataSet.images.length;
    const bench: Bench = {
      runs,
      site,
      reference: fp32,
      judge,
      pictures,
      rates,
      plain: values.plain,
      word: values.word,
      seeds,
    };
    const worth = (name: string, { table }: Evaluation): Figure => ({
      name: `${name}.map50`,
      unit: 'mAP50',
      ...bootstrap(pictures, (weights) => table.map50(weights)),
      runs: pictures,
    });
    const figures = [
      worth('given', await judge(writeModel(model))),
      worth('site', await judge(writeModel(site))),
      worth('fp32', fp32),
    ];
    for (const part of parts) figures.push(...(await part(bench)));
    printReport(
      {
        bench: 'qat',
        model: { id: artifact.id, name: artifact.manifest.name },
        data: {
          learnedFrom: { path: highway, split: 'train', heldOut: data.held.images.length },
          unlabelled: { frames, path: highway, split: 'train' },
          judgedOn: { split: values.judge, pictures },
          steps: runs.steps,
          batch: runs.batch,
          learningRates: { floats: RATES.floats, ...rates },
          seeds,
          withoutLabels: values.word ? 'word' : WITHOUT_LABELS,
          unlabelledAugmentation: values.plain ? 'mirrored' : 'as in fine-tuning',
          activations: 'fp32',
        },
        figures,
      },
      values.json,
    );
  } finally {
    remove();
    if (values.keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
});
