// Trains the model that ships, from nothing: renders the scenes, trains on them, judges on places that it never saw.
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../src/errors.js';
import { openDataSet } from '../src/evaluation/index.js';
import { type Model, readModel, writeModel } from '../src/onnx/index.js';
import {
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  MODEL_FILE,
  readArtifactFolder,
} from '../src/registry/index.js';
import { writeDataSet } from '../src/scene/index.js';
import { writeFileAtomic } from '../src/system/index.js';
import {
  buildNetwork,
  buildTraining,
  detectionLoss,
  detectorOf,
  judgeModel,
  runTraining,
  type StepReport,
  type Values,
  withLearned,
} from '../src/training/index.js';
import { makeMixed } from './shipped/mixed.js';
import { packedSpec, packPictures } from './shipped/packed.js';
import * as recipe from './shipped/recipe.js';

const NAME = 'bitlane-scene';

const log = (text: string): void => {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
};

/** Renders a data set that is not there yet; all its pictures go to one split. */
const render = async (
  folder: string,
  seed: number,
  pictures: number,
  split: 'train' | 'test',
): Promise<void> => {
  if (existsSync(join(folder, 'data.yaml'))) return;
  rmSync(folder, { recursive: true, force: true });
  log(`rendering ${pictures} pictures of seed ${seed}`);
  const shares = split === 'train' ? ([1, 0, 0] as const) : ([0, 0, 1] as const);
  await writeDataSet({ folder, pictures, seed, ...recipe.FRAME, shares });
};

/**
 * The model with what was learned. Its normalizations stay in the file: onnxruntime folds them when it loads, training goes on from
 * them, and methods without data read their statistics.
 */
const finished = (model: Model, values: Values): Uint8Array => writeModel(withLearned(model, values));

const STEM = 'stem.weight';

/** Weights whose first convolution [channels, 3, kernel, kernel] is cut down to the middle of its window. */
const withStem = (weights: Values, kernel: number): Values => {
  const given = weights.get(STEM);
  const planes = recipe.NETWORK.stem * 3;
  const side = Math.sqrt((given?.length ?? 0) / planes);
  if (given === undefined || side <= kernel) return weights;
  const edge = (side - kernel) / 2;
  const middle = Float32Array.from({ length: planes * kernel * kernel }, (_, i) => {
    const [plane, row, column] = [
      Math.floor(i / kernel ** 2),
      Math.floor(i / kernel) % kernel,
      i % kernel,
    ] as const;
    return given[plane * side ** 2 + (row + edge) * side + column + edge] ?? 0;
  });
  return new Map([...weights, [STEM, middle]]);
};

/** What is made of it has the same. */
const ORIGIN = {
  source: "npm run train:shipped, bitlane's own simulated road",
  licence: 'Apache-2.0',
} as const;

const writeArtifact = (folder: string, bytes: Uint8Array, given?: Manifest): void => {
  mkdirSync(folder, { recursive: true });
  const detector = detectorOf(recipe.NETWORK, recipe.CLASSES);
  const manifest = given ?? createManifest(bytes, { name: NAME, detector, origin: ORIGIN });
  writeFileAtomic(join(folder, MODEL_FILE), bytes);
  writeFileAtomic(
    join(folder, MANIFEST_FILE),
    `${JSON.stringify(manifest, null, 2)}
`,
  );
};

/** Its calibration pictures named as they lie in the work folder: where that folder is concerns nobody who gets the model. */
const seenFrom = (work: string, manifest: Manifest): Manifest => {
  const { calibration } = manifest;
  if (calibration === undefined) return manifest;
  return { ...manifest, calibration: { ...calibration, data: relative(work, calibration.data) } };
};

/** One line every few steps. */
const shown =
  (steps: number) =>
  ({ step, loss, parts, gradientNorm }: StepReport): void => {
    if (step % 20 !== 0) return;
    const figures = Object.entries(parts).map(([name, value]) => `${name} ${value.toFixed(3)}`);
    log(
      `step ${step} of ${steps}: loss ${loss.toFixed(3)}, ${figures.join(', ')}, gradient ${gradientNorm.toFixed(1)}`,
    );
  };

/** Validations of a stage. */
const VALIDATIONS = 4;

/** Everything from the first stage on; or, from the artifact that a stage has come to, those behind it. */
const beginningOf = (
  from: string | undefined,
  after: string | undefined,
): { readonly weights: Values; readonly stages: readonly recipe.Stage[] } => {
  if (from === undefined && after === undefined) return { weights: new Map(), stages: recipe.STAGES };
  const index = recipe.STAGES.findIndex(({ name }) => name === after);
  if (from === undefined || index < 0) {
    const names = recipe.STAGES.map(({ name }) => name).join(', ');
    throw new Error(`--from names an artifact, and --after the stage that it came from: ${names}`);
  }
  const { initializers } = readModel(join(from, MODEL_FILE)).graph;
  const weights = initializers.flatMap(({ name, constant }): [string, Float32Array][] =>
    constant?.kind === 'dense' && constant.type === 'float32' ? [[name, constant.data]] : [],
  );
  return { weights: new Map(weights), stages: recipe.STAGES.slice(index + 1) };
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      work: { type: 'string' },
      out: { type: 'string', default: join('models', NAME) },
      threads: { type: 'string', default: '2' },
      from: { type: 'string' },
      after: { type: 'string' },
    },
  });
  if (values.work === undefined) throw new Error('name a folder for pictures and checkpoints with --work');
  const { work, out } = values;
  const begin = beginningOf(values.from, values.after);
  const threads = Number(values.threads);
  const began = performance.now();
  const minutes = (): string => `after ${((performance.now() - began) / 60_000).toFixed(0)} minutes`;
  const sides = recipe.FRAME;
  const folderOf = ({ seed }: recipe.Pictures): string => join(work, `train-${seed}`);
  const sourcesOf = async (sets: readonly recipe.Pictures[]) => {
    for (const set of sets) {
      await render(folderOf(set), set.seed, set.pictures, 'train');
      await packPictures({ folder: folderOf(set), ...sides });
    }
    return sets.map((set) => ({
      ...packedSpec({ folder: folderOf(set), ...sides }),
      share: recipe.SHARE,
    }));
  };
  const [validation, heldOut] = [join(work, 'validation'), join(work, 'held-out')];
  await render(validation, recipe.VALIDATION.seed, recipe.VALIDATION.pictures, 'test');
  await render(heldOut, recipe.HELD_OUT.seed, recipe.HELD_OUT.pictures, 'test');

  const detector = detectorOf(recipe.NETWORK, recipe.CLASSES);
  const trained = detectorOf(recipe.TRAINED, recipe.CLASSES);
  const latest = join(work, 'latest');
  let weights = begin.weights;
  for (const stage of begin.stages) {
    const sources = await sourcesOf(stage.pictures);
    log(`stage ${stage.name}`);
    const { stemKernel } = stage;
    weights = withStem(weights, stemKernel);
    const network = { ...recipe.NETWORK, stemKernel };
    const fresh = buildNetwork({ ...network, ...recipe.TRAINED_SIZE }, recipe.CLASSES, recipe.SEED);
    const start = withLearned(fresh, weights);
    const model = buildNetwork(network, recipe.CLASSES, recipe.SEED);
    const { steps } = stage.optimizer.schedule;
    const result = await runTraining({
      graph: buildTraining(start, {
        batch: sources.length * recipe.SHARE,
        normalization: 'batch',
        loss: detectionLoss({ detector: trained, objects: recipe.OBJECTS, weights: recipe.LOSS_PARTS }),
      }),
      optimizer: stage.optimizer,
      steps,
      sources,
      batches: {
        detector: trained,
        objects: recipe.OBJECTS,
        seed: stage.seed,
        augmentation: recipe.AUGMENTATION,
        mosaicUntil: stage.mosaicUntil,
      },
      threads,
      checkpoint: { file: join(work, `${stage.name}.bin`), run: `${NAME} ${stage.name}`, every: 50 },
      validation: {
        every: Math.ceil(steps / VALIDATIONS),
        judge: (learned) => {
          const bytes = finished(model, learned);
          writeArtifact(latest, bytes);
          return judgeModel(bytes, detector, openDataSet(validation, { split: 'test' }));
        },
      },
      onStep: shown(steps),
      onValidation: ({ step, map50, map5095 }) =>
        log(`step ${step}: mAP50 ${map50.toFixed(4)}, mAP50-95 ${map5095.toFixed(4)}`),
    });
    weights = result.values;
  }
  const last = recipe.STAGES.at(-1);
  const [calibration] = last?.pictures ?? [];
  if (last === undefined || calibration === undefined) throw new Error('the recipe has no pictures');
  const bytes = finished(buildNetwork(recipe.NETWORK, recipe.CLASSES, recipe.SEED), weights);
  writeArtifact(out, bytes);
  log(`${out} is trained, ${minutes()}`);
  const mixed = await makeMixed(await readArtifactFolder(out), {
    sources: await sourcesOf(last.pictures),
    calibration: folderOf(calibration),
    checkpoint: join(work, 'mixed.bin'),
    threads,
    onStep: shown(recipe.MIXED.optimizer.schedule.steps),
  });
  writeArtifact(`${out}-mixed`, mixed.bytes, seenFrom(work, mixed.manifest));
  const { bytesRatio, averageBits, latency } = mixed.report;
  log(
    `${out}-mixed: ${bytesRatio.toFixed(3)} of the bytes, ${averageBits.toFixed(2)} bits, time ${latency.ratio.value.toFixed(3)}`,
  );
  const heldOutSet = openDataSet(heldOut, { split: 'test' });
  for (const [name, model, described] of [
    ['FP32', bytes, detector],
    // It takes pictures in another layout.
    ['mixed', mixed.bytes, mixed.manifest.detector],
  ] as const) {
    const { map50, map5095 } = await judgeModel(model, described, heldOutSet);
    log(
      `${name}: mAP50 ${map50.toFixed(4)}, mAP50-95 ${map5095.toFixed(4)} on ${recipe.HELD_OUT.pictures} held-out pictures`,
    );
  }
  log(minutes());
};

try {
  await main();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
