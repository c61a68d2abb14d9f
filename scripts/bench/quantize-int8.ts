// The int8 figures of the quantization benchmark: chosen on training pictures, reported on others.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
  type ClassMap,
  type DataSet,
  evaluate,
  type Evaluation,
  mapClasses,
  pairedBootstrap,
  predict,
  PREDICT_DEFAULTS,
} from '../../src/evaluation/index.js';
import { readModel } from '../../src/onnx/index.js';
import {
  chooseInt8,
  type FeedSource,
  type Int8Candidate,
  integersSaturate,
  openDivergence,
  pictureFeeds,
} from '../../src/quantization/index.js';
import type { Artifact } from '../../src/registry/index.js';
import { floatTensor, openSession, type Session, type Tensors } from '../../src/runtime/index.js';
import { census, type Figure, medianFigure } from './lib.js';
import { nanoArtifact } from './nano.js';

export interface Int8Options {
  /** The FP32 model; `coco.names` beside it. */
  readonly modelPath: string;
  /** Chosen on: no label of it is read. */
  readonly train: DataSet;
  /** Reported on. */
  readonly valid: DataSet;
  /** Pictures of `train` for ranges (default 64) and for comparisons (default 48). */
  readonly calibration?: number;
  readonly comparison?: number;
  /** Timed runs of each model (default 200). */
  readonly rounds?: number;
  readonly onProgress?: (done: number, all: number, what: string) => void;
}

export interface Int8Figures {
  readonly figures: readonly Figure[];
  /** What was chosen. */
  readonly choice: unknown;
}

const WARM_UP = 5;
/** Of candidates, while one is chosen. */
const SHORT_ROUNDS = 60;
/** Timing is noise: what is chosen has this to spare. */
const LATENCY_LIMIT = 0.99;

/** Runs all models once in every round, one thread each; ratios to the first of each round, for the others. */
const latencyRatios = async (
  models: readonly Uint8Array[],
  spec: Artifact['manifest']['detector'],
  rounds: number,
): Promise<number[][]> => {
  const { name, width, height } = spec.input;
  const tensor = floatTensor([1, 3, height, width]);
  tensor.data.forEach((_, i) => (tensor.data[i] = (i * 73) % 256));
  const sessions: Session[] = [];
  try {
    for (const model of models) sessions.push(await openSession(model, { threads: 1 }));
    const times = sessions.map((): number[] => []);
    for (let round = -WARM_UP; round < rounds; round++) {
      for (const [index, session] of sessions.entries()) {
        const start = performance.now();
        await session.run({ [name]: tensor });
        if (round >= 0) times[index]?.push(performance.now() - start);
      }
    }
    const [first = [], ...others] = times;
    return others.map((other) => other.map((time, round) => time / (first[round] ?? NaN)));
  } finally {
    for (const session of sessions) await session.release();
  }
};

/** The same feeds, read once and kept. */
const keptFeeds = async (feeds: FeedSource): Promise<FeedSource> => {
  const kept: Tensors[] = [];
  for await (const feed of feeds()) {
    kept.push(
      Object.fromEntries(
        Object.entries(feed).map(([name, tensor]) => [
          name,
          tensor.type === 'float32' ? floatTensor(tensor.dims, tensor.data.slice()) : tensor,
        ]),
      ),
    );
  }
  return () => kept;
};

const median = (values: readonly number[]): number => medianFigure('', '', values).value;

/** The evaluation of one model, given by its bytes. */
const evaluateModel = async (
  bytes: Uint8Array,
  modelPath: string,
  data: DataSet,
  onProgress: (done: number) => void,
): Promise<Evaluation> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-bench-'));
  try {
    const path = join(folder, basename(modelPath));
    writeFileSync(path, bytes);
    copyFileSync(join(dirname(modelPath), 'coco.names'), join(folder, 'coco.names'));
    const { artifact, remove } = await nanoArtifact(path);
    try {
      const map: ClassMap = mapClasses(artifact.manifest.detector.classes, data.classes, []);
      const { results } = await predict(artifact, data, map, PREDICT_DEFAULTS, onProgress);
      return evaluate(results, map, { maxDetections: PREDICT_DEFAULTS.maxDetections, rounds: 0 });
    } finally {
      remove();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const describe = ({ floatLayers, floatFunctions, method, divergence, bytes }: Int8Candidate) => ({
  floatLayers,
  floatFunctions,
  method,
  divergence,
  bytes: bytes.length,
});

/** Chooses int8 models on `train` and measures them on `valid`. Blocks the thread while models run: some minutes. */
export const int8Figures = async (options: Int8Options): Promise<Int8Figures> => {
  const { modelPath, train, valid, calibration = 64, comparison = 48, rounds = 200 } = options;
  const progress = options.onProgress ?? (() => undefined);
  const original = new Uint8Array(readFileSync(modelPath));
  const { artifact, remove } = await nanoArtifact(modelPath);
  const spec = artifact.manifest.detector;
  remove();
  const reduceRange = await integersSaturate();
  const choice = await chooseInt8(readModel(modelPath), {
    feeds: await keptFeeds(pictureFeeds(train, spec.input, calibration)),
    divergence: await openDivergence(
      original,
      spec,
      await keptFeeds(pictureFeeds(train, spec.input, comparison)),
    ),
    reduceRange,
    time: async (models) =>
      (await latencyRatios([original, ...models], spec, SHORT_ROUNDS)).map((ratios) => median(ratios)),
    latencyLimit: LATENCY_LIMIT,
    onProgress: (done, all) => progress(done, all, 'candidates'),
  });
  const { best, all, without } = choice;
  const models = [original, best.bytes, without.bytes, all.bytes];
  const evaluations: Evaluation[] = [];
  for (const [index, bytes] of models.entries()) {
    evaluations.push(
      await evaluateModel(bytes, modelPath, valid, (done) =>
        progress(index * valid.images.length + done, models.length * valid.images.length, 'pictures'),
      ),
    );
  }
  const [fp32, ...int8] = evaluations;
  const pictures = valid.images.length;
  const drop = (name: string, index: number): Figure => {
    const other = int8[index];
    if (fp32 === undefined || other === undefined) throw new RangeError('a model was not evaluated');
    const interval = pairedBootstrap(
      pictures,
      (weights) => other.table.map50(weights),
      (weights) => fp32.table.map50(weights),
    );
    return { name, unit: 'mAP50', ...interval, runs: pictures };
  };
  const latency = await latencyRatios(models, spec, rounds);
  const ratio = (name: string, index: number): Figure => medianFigure(name, 'ratio', latency[index] ?? []);
  const bytes = (name: string, candidate: Int8Candidate): Figure =>
    census(name, 'ratio', candidate.bytes.length / original.length, 1);
  return {
    figures: [
      census('fp32.map50', 'mAP50', fp32?.precision.map50 ?? NaN, pictures),
      drop('int8.best.map50Drop', 0),
      bytes('int8.best.bytesRatio', best),
      ratio('int8.best.latencyRatio', 0),
      census('int8.best.fp32Layers', 'layers', best.floatLayers.length, 1),
      drop('int8.best.withoutFp32Layers.map50Drop', 1),
      ratio('int8.best.withoutFp32Layers.latencyRatio', 1),
      drop('int8.all.map50Drop', 2),
      ratio('int8.all.latencyRatio', 2),
      bytes('int8.all.bytesRatio', all),
    ],
    choice: {
      reduceRange,
      best: describe(best),
      all: describe(all),
      without: describe(without),
      tried: choice.tried.map((candidate) => describe(candidate)),
    },
  };
};
