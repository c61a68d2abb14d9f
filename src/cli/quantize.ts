// `bitlane quantize`: an artifact at a given allocation, with what it costs and what it is worth.
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { writeImported } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { openDataSet } from '../evaluation/index.js';
import {
  type Allocation,
  DEFAULT_RANGE_METHOD,
  integersSaturate,
  quantizeArtifact,
  RANGE_METHODS,
  type Rounding,
  type Step,
  validationOf,
} from '../quantization/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import { allocationOption, isWidth } from './allocation-option.js';
import type { Cli } from './cli.js';
import { install } from './install.js';
import { findPlace } from './place.js';
import { documentOf, type Made, notesOf, textOf } from './quantize-text.js';
import { StepBars } from './step-bars.js';
import { choice, numberOption } from './values.js';

interface Options {
  readonly model: string;
  readonly data: string;
  readonly bits: string;
  readonly split: string;
  readonly pictures?: string;
  readonly execution?: string;
  readonly rounding?: string;
  readonly activations?: string;
  readonly ranges?: string;
  readonly equalize?: boolean;
  readonly biasCorrection?: boolean;
  readonly floatLayers?: string;
  readonly search: boolean;
  readonly validate?: readonly string[];
  readonly validateSplit: string;
  readonly limit?: string;
  readonly name?: string;
  readonly out?: string;
  readonly config?: string;
  readonly state?: string;
}

const MAX_NAME = 128;

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

const isLow = ({ components }: Allocation): boolean =>
  Object.values(components).some(({ bits }) =>
    (typeof bits === 'number' ? [bits] : bits).some((width) => width < 8),
  );

const UNITS: Readonly<Record<Step, string>> = {
  choosing: 'candidates',
  calibrating: 'pictures',
  rounding: 'layers',
  'comparing layers': 'pictures',
  timing: '',
  validating: 'pictures',
};

export const addQuantize = (program: Command, cli: Cli): void => {
  program
    .command('quantize')
    .description(
      "quantize a model: fewer bits a weight, integer kernels; says what that costs and what it's worth",
    )
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .requiredOption(
      '--data <data>',
      'calibration pictures: a data.yaml, a COCO .json, or a folder that holds one',
    )
    .requiredOption(
      '--bits <bits>',
      '8, 4 or 2 for all layers but the first and the last ones, which keep 8; or an allocation file',
    )
    .option('--split <split>', 'split of the calibration pictures: train, val or test', 'train')
    .option('--pictures <n>', 'calibration pictures, evenly spread over the split (default 64)')
    .option(
      '--execution <precision>',
      'what kernels compute in: int8 (default) or fp32; with --bits 8, 4 or 2',
    )
    .option('--rounding <rounding>', 'nearest, or gptq (default where a layer has fewer than 8 bits)')
    .option(
      '--activations <kind>',
      'static (default: ranges from the calibration pictures) or dynamic (from each picture as it runs; slower)',
    )
    .option(
      '--ranges <method>',
      `how static ranges are found where none are sought: ${RANGE_METHODS.join(', ')} (default ${DEFAULT_RANGE_METHOD})`,
    )
    .option('--equalize', 'even out the ranges of channels between layers first; for networks with ReLU')
    .option('--bias-correction', 'let biases take back what rounding does to means (always so with gptq)')
    .option(
      '--float-layers <n>',
      'with --bits and int8: layers that may stay in fp32, sought where int8 hurts most (default 10)',
    )
    .option('--no-search', 'with --bits and int8: everything in int8 as it comes; quick, and often bad')
    .option('--validate <data...>', 'labelled pictures to measure both models on')
    .option('--validate-split <split>', 'their split', 'val')
    .option('--limit <n>', 'take the first n of them only')
    .option(
      '--name <name>',
      "the artifact's name (default: its parent's with the bits, or -mixed where layers differ)",
    )
    .option('--out <dir>', 'write an artifact folder there instead of installing it')
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane quantize --model ./yolox-nano --data ./highway --bits 4 --validate ./highway --out ./yolox-nano-4bit',
    )
    .action(
      cli.action(async (options: Options) => {
        const pictures = numberOption(
          '--pictures',
          options.pictures,
          { min: 1, max: 10_000, integer: true },
          64,
        );
        const limit = numberOption('--limit', options.limit, { min: 1, max: 1e9, integer: true }, undefined);
        const maxFloatLayers = numberOption(
          '--float-layers',
          options.floatLayers,
          { min: 0, max: 10_000, integer: true },
          10,
        );
        // An allocation file says of every layer what it computes in.
        const activations = choice('--activations', options.activations ?? 'static', ['static', 'dynamic']);
        const seek =
          options.search && isWidth(options.bits) && options.execution !== 'fp32' && activations === 'static';
        const method =
          options.ranges === undefined ? undefined : choice('--ranges', options.ranges, RANGE_METHODS);
        if (method !== undefined && (seek || activations === 'dynamic')) {
          throw badUsage(
            seek
              ? '--ranges goes with --no-search or an allocation file: a search finds the method itself'
              : '--ranges goes with static activations: dynamic ones have no ranges',
          );
        }
        if (options.floatLayers !== undefined && !seek) {
          throw badUsage('--float-layers goes with --bits 8, 4 or 2, int8 execution and a search');
        }
        const given: Rounding | undefined =
          options.rounding === undefined
            ? undefined
            : choice('--rounding', options.rounding, ['nearest', 'gptq']);
        const { name, out } = options;
        if (name !== undefined && (name === '' || name.length > MAX_NAME)) {
          throw badUsage(`--name takes 1 to ${MAX_NAME} characters`);
        }
        if (out !== undefined && statSync(out, { throwIfNoEntry: false }) !== undefined) {
          throw badUsage(`${out} is there already: an artifact goes into a new folder`);
        }
        const place = findPlace(options);
        const parent = await resolveModel(options.model, place);
        const allocation = allocationOption('--bits', parent, options.bits, options.execution);
        const calibration = openDataSet(options.data, { split: options.split });
        const validation = (options.validate ?? []).map((path) =>
          validationOf(
            parent,
            openDataSet(path, { split: options.validateSplit, ...(limit !== undefined && { limit }) }),
          ),
        );
        const bars = new StepBars(cli, UNITS);
        try {
          const made = await quantizeArtifact(parent, {
            allocation,
            calibration,
            pictures,
            validation,
            rounding: given ?? (isLow(allocation) ? 'gptq' : 'nearest'),
            reduceRange: await integersSaturate(),
            activations,
            ...(method !== undefined && { method }),
            ...(options.equalize === true && { equalize: true }),
            ...(options.biasCorrection === true && { biasCorrection: true }),
            ...(seek && { seek: { maxFloatLayers } }),
            ...(name !== undefined && { name }),
            signal: cli.signal,
            onProgress: bars.show,
          });
          bars.stop();
          const { bytes, manifest, report } = made;
          const model = { bytes, manifest, inferenceMs: report.latency.ms };
          const { artifact, active, notices } =
            out === undefined
              ? await install(cli, place, model, options.state === undefined)
              : { artifact: await writeImported(model, out), active: false, notices: [] };
          for (const notice of notices) cli.log.warn(notice);
          const result: Made = {
            id: artifact.id,
            manifest,
            path: artifact.modelPath,
            active,
            report,
            notes: notesOf(calibration, validation, pictures),
          };
          cli.print(documentOf(result), () => textOf(result));
        } finally {
          bars.stop();
        }
      }),
    );
};
