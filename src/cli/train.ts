// `bitlane train`: a detector from scratch, by a graph definition, on labelled pictures or on simulated roads.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { writeImported } from '../detector/index.js';
import { type DataSet, openDataSet } from '../evaluation/index.js';
import { writeModel } from '../onnx/index.js';
import { createManifest } from '../registry/index.js';
import { SCENE_CLASSES, sceneSpec, writeDataSet } from '../scene/index.js';
import {
  buildNetwork,
  detectorOf,
  labelledSpec,
  type NetworkDefinition,
  NETWORKS,
  openNetwork,
  SCRATCH_AUGMENTATION,
  type SourceSpec,
  trainDetector,
} from '../training/index.js';
import type { Cli } from './cli.js';
import {
  addTrainingOptions,
  keepHistory,
  RunBar,
  runOptions,
  summaryOf,
  type TrainingFlags,
  type TrainingNumbers,
  trainingNumbers,
  validationRhythm,
} from './training-options.js';
import { listOption, numberOption } from './values.js';

interface Options extends TrainingFlags {
  readonly definition: string;
  readonly data: string;
  readonly split: string;
  readonly validateSplit: string;
  readonly classes?: string;
  readonly mosaic?: string;
  readonly name?: string;
}

const USUAL = { steps: 3000, batch: 16, learningRate: 2e-3, weightDecay: 0.05 } as const;
const SCENE = 'scene';
/** Simulated pictures that a run on the scene is validated on. */
const SCENE_VALIDATION = 300;
/** Scenes show many vehicles of their own: fewer pictures need be made of four. */
const SCENE_MOSAIC = 0.25;

interface Data {
  readonly classes: readonly string[];
  readonly labelled: SourceSpec;
  readonly validation: DataSet;
}

/** Held-out pictures of simulated roads, rendered once. Their seed is none that training draws from. */
const sceneValidation = async (
  cli: Cli,
  { width, height }: NetworkDefinition,
  { seed, work, validationLimit }: TrainingNumbers,
): Promise<DataSet> => {
  const folder = join(work, 'validation');
  if (!existsSync(join(folder, 'data.yaml'))) {
    const pictures = validationLimit ?? SCENE_VALIDATION;
    const bar = cli.progress('rendering', pictures, 'pictures');
    try {
      mkdirSync(work, { recursive: true });
      await writeDataSet({
        folder,
        pictures,
        seed: (seed ^ 0x5eed_0001) >>> 0,
        width,
        height,
        shares: [0, 1, 0],
        signal: cli.signal,
        onProgress: (done) => bar.update(done),
      });
    } finally {
      bar.stop();
    }
  }
  return openDataSet(folder, { split: 'val' });
};

const dataOf = async (
  cli: Cli,
  options: Options,
  network: NetworkDefinition,
  numbers: TrainingNumbers,
): Promise<Data> => {
  const named = options.classes === undefined ? undefined : listOption(options.classes);
  if (options.data === SCENE) {
    const classes = named ?? [...SCENE_CLASSES];
    const { width, height } = network;
    return {
      classes,
      labelled: sceneSpec({ width, height, seed: numbers.seed, classes }),
      validation: await sceneValidation(cli, network, numbers),
    };
  }
  const limit = numbers.validationLimit;
  const train = openDataSet(options.data, { split: options.split });
  const classes = named ?? train.classes;
  return {
    classes,
    labelled: labelledSpec({ path: options.data, split: options.split, classes }),
    validation: openDataSet(options.data, {
      split: options.validateSplit,
      ...(limit !== undefined && { limit }),
    }),
  };
};

export const addTrain = (program: Command, cli: Cli): void => {
  const command = program
    .command('train')
    .description('train a detector from scratch: a graph definition and pictures in, an FP32 artifact out')
    .requiredOption('--definition <network>', `a JSON file, or ${Object.keys(NETWORKS).join(', ')}`)
    .requiredOption(
      '--data <data>',
      "labelled pictures (a data.yaml, a COCO .json, or a folder that holds one), or `scene`: simulated roads, drawn as they're needed",
    )
    .requiredOption('--out <dir>', 'folder of the artifact; must not be there yet')
    .option('--split <split>', 'split to learn from', 'train')
    .option('--validate-split <split>', 'split to validate on', 'val')
    .option('--classes <a,b,...>', "the model's classes (default: the data's)")
    .option('--mosaic <share>', 'share of inputs that are four pictures in one, 0 to 1')
    .option('--name <name>', "the artifact's name (default: the definition's)");
  addTrainingOptions(command, USUAL)
    .addHelpText(
      'after',
      '\nExample:\n  bitlane train --definition tiny --data scene --steps 4000 --out ./road-tiny',
    )
    .action(
      cli.action(async (options: Options) => {
        const network = openNetwork(options.definition);
        const numbers = trainingNumbers(options, USUAL);
        const mosaic = numberOption(
          '--mosaic',
          options.mosaic,
          { min: 0, max: 1 },
          options.data === SCENE ? SCENE_MOSAIC : SCRATCH_AUGMENTATION.mosaic,
        );
        const { classes, labelled, validation } = await dataOf(cli, options, network, numbers);
        const detector = detectorOf(network, classes);
        const bar = new RunBar(cli, numbers.steps);
        const { seed, work } = numbers;
        try {
          const trained = await trainDetector({
            model: buildNetwork(network, classes, seed),
            detector,
            labelled,
            normalization: 'batch',
            augmentation: { ...SCRATCH_AUGMENTATION, mosaic },
            validation: {
              dataSet: validation,
              ...validationRhythm(numbers),
            },
            ...runOptions(cli, numbers, bar),
          });
          bar.stop();
          const bytes = writeModel(trained.model);
          const name = options.name ?? (options.definition.split('/').at(-1) ?? '').replace(/\.json$/i, '');
          const manifest = createManifest(bytes, { name, detector });
          const artifact = await writeImported({ bytes, manifest, inferenceMs: 0 }, options.out);
          const files = keepHistory(work, trained.history, `${name}, trained on ${options.data}`);
          const result = {
            id: artifact.id,
            name,
            model: artifact.modelPath,
            modelBytes: bytes.length,
            best: trained.best ?? null,
            stoppedEarly: trained.stoppedEarly,
            ...summaryOf(trained.history),
            files,
          };
          cli.print(result, () =>
            [
              `${name} is artifact ${artifact.id.slice(0, 12)} (${bytes.length} bytes)`,
              `  ${artifact.modelPath}`,
              `  loss     ${result.firstLoss.toFixed(3)} at first, ${result.lastLoss.toFixed(3)} at last, in ${result.steps} steps`,
              ...(trained.best === undefined
                ? []
                : [`  mAP50    ${trained.best.map50.toFixed(4)} after ${trained.best.step} steps`]),
              `  curve    ${files.curve}`,
            ].join('\n'),
          );
        } finally {
          bar.stop();
        }
      }),
    );
};
