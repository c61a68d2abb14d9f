// `bitlane finetune`: a model learns on, from labelled pictures of its place, from its own FP32 word on unlabelled ones, or both.
import type { Command } from 'commander';
import { writeImported } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { type ClassOverride, openDataSet, parseClassOverrides } from '../evaluation/index.js';
import { type Model, readModel, writeModel } from '../onnx/index.js';
import { prepareModel } from '../quantization/index.js';
import { type Artifact, createManifest, foldName, type Manifest, resolveModel } from '../registry/index.js';
import {
  FINE_TUNING_AUGMENTATION,
  judgeModel,
  labelledSpec,
  trainDetector,
  unlabelledSpec,
  WEIGHT_METHODS,
  WITHOUT_LABELS,
} from '../training/index.js';
import type { Cli } from './cli.js';
import { beginRun, packRun, type QuantizedFlags } from './finetune-quantized.js';
import { findPlace } from './place.js';
import {
  addTrainingOptions,
  keepHistory,
  RunBar,
  runOptions,
  summaryOf,
  type TrainingFlags,
  trainingNumbers,
  validationRhythm,
} from './training-options.js';
import { listOption, numberOption } from './values.js';

interface Options extends TrainingFlags, QuantizedFlags {
  readonly model: string;
  readonly validateSplit: string;
  readonly map?: string;
  readonly pairs?: string;
  readonly pairWeight?: string;
  readonly teacherWeight?: string;
  readonly name?: string;
  readonly config?: string;
  readonly state?: string;
}

const USUAL = {
  steps: 400,
  batch: 8,
  learningRate: 3e-4,
  rateOf: 'how large the weights of each channel are; 0.001 under quantization',
  weightDecay: 0.01,
} as const;
/** Codes of few bits hardly move at the rate that suits floats (docs/training.md). */
const QUANTIZED_RATE = 1e-3;
const PAIR_WEIGHT = 2;

/** `car:truck,bus:truck` as numbers of the model's classes. */
const pairsOf = (text: string, classes: readonly string[]): [number, number][] =>
  listOption(text).map((pair) => {
    const ids = pair
      .split(':')
      .map((name) => classes.findIndex((known) => foldName(known) === foldName(name)));
    const [a = -1, b = -1] = ids;
    if (ids.length === 2 && a >= 0 && b >= 0 && a !== b) return [a, b];
    throw new BitlaneError(
      'BAD_USAGE',
      `--pairs takes pairs of the model's classes, like car:truck,bus:truck, not ${JSON.stringify(pair)}`,
    );
  });

interface Made {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

const asItIs = (parent: Artifact, model: Model, name: string): Made => {
  const bytes = writeModel(model);
  const { detector, origin } = parent.manifest;
  return { bytes, manifest: createManifest(bytes, { name, detector, parentId: parent.id, origin }) };
};

export const addFinetune = (program: Command, cli: Cli): void => {
  const command = program
    .command('finetune')
    .description(
      'train a model on: labelled pictures, unlabelled ones (its own word is the truth there), or both',
    )
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .requiredOption('--out <dir>', 'folder of the artifact; must not be there yet')
    .option('--data <data>', 'labelled pictures: a data.yaml, a COCO .json, or a folder that holds one')
    .option('--unlabelled <dir>', 'a folder of pictures without labels')
    .option('--split <split>', 'split to learn from', 'train')
    .option('--validate-split <split>', 'split to validate on', 'val')
    .option(
      '--allocation <bits>',
      'train under quantization: 8, 4 or 2 for all layers but the first and the last ones, or an allocation file',
    )
    .option('--execution <precision>', 'with 8, 4 or 2: what kernels compute in, int8 (default) or fp32')
    .option(
      '--method <method>',
      `with --allocation: how weights meet their grids, ${WEIGHT_METHODS.join(', ')} (default lsq)`,
    )
    .option(
      '--start <rounding>',
      'with --allocation: how weights are rounded before the first step, gptq (default) or nearest',
    )
    .option(
      '--activations <grids>',
      'of int8 layers: learned with the weights (default), or measured when the training is done',
    )
    .option('--map <from=to,...>', "model class = data class, where names don't say it")
    .option('--pairs <a:b,...>', 'critical pairs: their class loss counts more')
    .option('--pair-weight <n>', `how much more (default ${PAIR_WEIGHT})`)
    .option(
      '--teacher-weight <n>',
      "what the FP32 model's word counts beside labels (default: 1, and 0 without --unlabelled)",
    )
    .option('--name <name>', "the artifact's name (default: its parent's, -tuned)")
    .option('--config <file>', "the daemon's configuration")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration');
  addTrainingOptions(command, USUAL)
    .addHelpText(
      'after',
      '\nExample:\n  bitlane finetune --model ./yolox-nano --data ./highway --steps 400 --out ./yolox-nano-highway',
    )
    .action(
      cli.action(async (options: Options) => {
        const { data, unlabelled } = options;
        if (data === undefined && unlabelled === undefined) {
          throw new BitlaneError(
            'BAD_USAGE',
            'name pictures to learn from with --data, --unlabelled, or both',
          );
        }
        const usual = options.allocation === undefined ? USUAL : { ...USUAL, learningRate: QUANTIZED_RATE };
        const numbers = trainingNumbers(options, usual);
        const parent = await resolveModel(options.model, findPlace(options));
        const { detector } = parent.manifest;
        const overrides: readonly ClassOverride[] =
          options.map === undefined ? [] : parseClassOverrides(options.map);
        const teacherWeight = numberOption(
          '--teacher-weight',
          options.teacherWeight,
          { min: 0, max: 100 },
          unlabelled === undefined ? 0 : 1,
        );
        const weight = numberOption('--pair-weight', options.pairWeight, { min: 0, max: 100 }, PAIR_WEIGHT);
        const critical =
          options.pairs === undefined
            ? undefined
            : { pairs: pairsOf(options.pairs, detector.classes), weight };
        const limit = numbers.validationLimit;
        const validation =
          data === undefined
            ? undefined
            : openDataSet(data, { split: options.validateSplit, ...(limit !== undefined && { limit }) });
        const run = await beginRun(cli, parent, options);
        const original = readModel(parent.modelPath);
        const model = run?.model ?? original;
        const { threads, steps, work } = numbers;
        const judged = { threads, overrides, signal: cli.signal };
        const before =
          validation === undefined
            ? undefined
            : await judgeModel(writeModel(original), detector, validation, judged);
        const bar = new RunBar(cli, steps);
        try {
          const trained = await trainDetector({
            model,
            detector,
            ...(run !== undefined && { weights: run.weights }),
            ...(run?.activations !== undefined && { activations: run.activations }),
            ...(data !== undefined && {
              labelled: labelledSpec({
                path: data,
                split: options.split,
                classes: detector.classes,
                overrides,
              }),
            }),
            ...(unlabelled !== undefined && { unlabelled: unlabelledSpec({ folder: unlabelled }) }),
            // What the student is compared with on the way has the student's form.
            ...(teacherWeight > 0 && {
              teacher: run === undefined ? original : prepareModel(original),
              teacherWeight,
            }),
            ...(data === undefined && run !== undefined && WITHOUT_LABELS),
            ...(critical !== undefined && { critical }),
            augmentation: FINE_TUNING_AUGMENTATION,
            ...(validation !== undefined && {
              validation: {
                dataSet: validation,
                overrides,
                ...validationRhythm(numbers),
              },
            }),
            ...runOptions(cli, numbers, bar),
          });
          bar.stop();
          const name = options.name ?? `${parent.manifest.name.slice(0, 100)}-tuned`;
          const made =
            trained.quantized === undefined || run === undefined
              ? asItIs(parent, trained.model, name)
              : await packRun(cli, parent, trained.quantized, run, name);
          // Where ranges are measured after the training, validation has seen FP32 kernels, and what is written has others.
          const after =
            validation !== undefined && run?.isMeasured === true
              ? await judgeModel(made.bytes, detector, validation, judged)
              : trained.best;
          const artifact = await writeImported({ ...made, inferenceMs: 0 }, options.out);
          const files = keepHistory(work, trained.history, `${name}, ${steps} steps`);
          const result = {
            id: artifact.id,
            name,
            model: artifact.modelPath,
            parentId: parent.id,
            before: before ?? null,
            best: trained.best ?? null,
            after: after === undefined ? null : { map50: after.map50, map5095: after.map5095 },
            stoppedEarly: trained.stoppedEarly,
            ...summaryOf(trained.history),
            files,
          };
          cli.print(result, () =>
            [
              `${name} is artifact ${artifact.id.slice(0, 12)}`,
              `  ${artifact.modelPath}`,
              `  loss     ${result.firstLoss.toFixed(3)} at first, ${result.lastLoss.toFixed(3)} at last, in ${result.steps} steps`,
              ...(trained.best === undefined || before === undefined || after === undefined
                ? []
                : [
                    `  mAP50    ${before.map50.toFixed(4)} before, ${after.map50.toFixed(4)} after ${trained.best.step} steps${
                      run?.isMeasured === true
                        ? ` (${trained.best.map50.toFixed(4)} with activations not quantized)`
                        : ''
                    }`,
                  ]),
              `  curve    ${files.curve}`,
            ].join('\n'),
          );
        } finally {
          bar.stop();
        }
      }),
    );
};
