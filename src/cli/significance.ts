// `bitlane significance`: which layers, or filters, of a model tell the critical classes apart, measured.
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type DataSet, mapClasses, openDataSet, parseClassOverrides } from '../evaluation/index.js';
import { integersSaturate } from '../quantization/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import {
  calibrationOf,
  drawFilterMap,
  drawMap,
  labelledPictures,
  type MeasuredBits,
  measureFilterMap,
  measureSignificance,
  parseCosts,
  parsePairs,
  type SignificanceMap,
  type SignificanceStep,
  usualProcesses,
  writeFilterMap,
  writeSignificance,
} from '../significance/index.js';
import { writeFileAtomic } from '../system/index.js';
import type { AddCommand } from './commands.js';
import { findPlace, type PlaceOptions } from './place.js';
import { filterText, short, three, unreliableNotes } from './significance-text.js';
import { StepBars } from './step-bars.js';
import { alignColumns, choice, listOption, numberOption } from './values.js';

interface Options extends PlaceOptions {
  readonly model: string;
  readonly data: string;
  readonly split: string;
  readonly pairs?: string;
  readonly costs?: string;
  readonly map?: string;
  readonly bits: string;
  readonly granularity: string;
  readonly limit?: string;
  readonly calibration?: string;
  readonly processes?: string;
  readonly rounding: string;
  readonly weightsOnly?: boolean;
  readonly exact?: string;
  readonly baselines?: boolean;
  readonly labelFree?: boolean;
  readonly cache?: string;
  readonly out?: string;
  readonly svg?: string;
}

const CALIBRATION_PICTURES = 64;
const EXACT_FILTERS = 32;
const SHOWN = 10;
const WIDTHS: Readonly<Record<string, MeasuredBits>> = { '2': 2, '4': 4, '8': 8 };

const bitsOf = (text: string): MeasuredBits[] => {
  const bits = [...new Set(listOption(text))].map((width) => {
    const known = Object.hasOwn(WIDTHS, width) ? WIDTHS[width] : undefined;
    if (known !== undefined) return known;
    throw new BitlaneError('BAD_USAGE', `--bits takes 2, 4 and 8, not ${JSON.stringify(width)}`);
  });
  if (bits.length === 0) throw new BitlaneError('BAD_USAGE', '--bits takes 2, 4 and 8, and there is none');
  return bits.sort((a, b) => a - b);
};

/** Where measurements are kept. */
export const cacheFolder = (given: string | undefined): string =>
  given ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'bitlane', 'significance');

const UNITS: Readonly<Record<SignificanceStep, string>> = {
  'finding objects': 'pictures',
  rounding: 'layers',
  measuring: 'layers',
  estimating: 'pictures',
  information: 'pictures',
};

/** Options that mean nothing here are not passed over in silence. */
const refuseStrangers = (granularity: 'layer' | 'channel', options: Options): void => {
  const strangers =
    granularity === 'layer'
      ? [['--exact', options.exact]]
      : [
          ['--processes', options.processes],
          ['--weights-only', options.weightsOnly],
        ];
  const stranger = strangers.find(([, value]) => value !== undefined);
  if (stranger === undefined) return;
  throw new BitlaneError(
    'BAD_USAGE',
    `${String(stranger[0])} means nothing with --granularity ${granularity}: leave it out`,
  );
};

/** What people read. */
const textOf = (map: SignificanceMap, artifact: Artifact, notes: readonly string[]): string => {
  const { critical, reliability } = map;
  const lines = [
    `${artifact.manifest.name} (${artifact.id.slice(0, 12)}): ${critical.objects} critical objects of ${critical.allObjects}, in ${map.data.pictures} pictures`,
    `  critical     ${critical.pairs.map((pair) => pair.join(' / ')).join(', ')}`,
    `  temperature  ${three(map.temperature)}${critical.labelled ? ', fitted' : ''}`,
  ];
  for (const side of ['weights', 'activations'] as const) {
    for (const bits of ['2', '4', '8'] as const) {
      const trust = reliability[side][bits];
      if (trust === undefined) continue;
      const ranked = Object.entries(map.components)
        .flatMap(([name, entry]) => {
          const measures = entry[side][bits];
          return measures === undefined ? [] : [{ name, measures }];
        })
        .sort((a, b) => b.measures.robust.divergence.mean - a.measures.robust.divergence.mean)
        .slice(0, SHOWN);
      lines.push(
        '',
        `${side} at ${bits} bits; split-half rank correlation: robust ${three(trust.robust)}, divergence ${three(trust.divergence)}` +
          (trust.signed === undefined
            ? ''
            : `, signed ${three(trust.signed)}, absolute ${three(trust.absolute)}`),
        ...alignColumns([
          ['layer', 'robust', '95 %', 'divergence', 'signed', 'objectness', 'box', 'others'],
          ...ranked.map(({ name, measures: { robust, divergence, signed, guards } }) => [
            name,
            short(robust.divergence.mean),
            `${short(robust.divergence.low)} to ${short(robust.divergence.high)}`,
            short(divergence.mean),
            signed === undefined ? '-' : short(signed.mean),
            short(guards.objectness),
            short(guards.box),
            short(guards.others),
          ]),
        ]),
      );
    }
  }
  return [...lines, ...notes.map((note) => `note: ${note}`)].join('\n');
};

const notesOf = (dataSet: DataSet, mapNotes: readonly string[], map: SignificanceMap): string[] => [
  ...dataSet.notes,
  ...mapNotes,
  ...unreliableNotes(map.reliability, 'layers'),
];

export const addSignificance: AddCommand = (program, cli) => {
  program
    .command('significance')
    .description(
      'measure which layers, or filters, tell the critical classes apart: each rounded alone, all else FP32',
    )
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .requiredOption(
      '--data <data>',
      'labelled pictures: a data.yaml, a COCO .json, or a folder that holds one',
    )
    .option('--split <split>', 'train, val or test', 'train')
    .option('--pairs <pairs>', 'critical pairs a:b,... (default: what the model confuses on these pictures)')
    .option('--costs <costs>', 'what confusions cost, truth:predicted=cost,... (default 1 each)')
    .option('--map <map>', 'model-class=data-class,..., where names do not say it')
    .option('--bits <bits>', 'bit-widths to measure: any of 2, 4, 8', '2,4')
    .option(
      '--granularity <granularity>',
      'layer: each measured exactly; channel: every filter, estimated from gradients, weights only',
      'layer',
    )
    .option(
      '--exact <n>',
      'with --granularity channel: measure so many of the most significant filters exactly (default 32)',
    )
    .option(
      '--baselines',
      'also Fisher information and Hessian traces, for `bitlane allocate --objective fisher` and hawq',
    )
    .option('--limit <n>', 'take the first n pictures only')
    .option(
      '--calibration <n>',
      `calibration pictures of the rounding, spread over the split (default ${CALIBRATION_PICTURES})`,
    )
    .option('--rounding <rounding>', 'gptq or nearest: as the artifact will be rounded', 'gptq')
    .option(
      '--weights-only',
      'measure no activations: enough where everything runs in fp32, in half the time',
    )
    .option(
      '--label-free',
      "take the model's own detections for the truth: no labels are read; needs --pairs",
    )
    .option('--processes <n>', 'processes that measure (default: one less than there are cores)')
    .option('--cache <dir>', 'where measurements are kept (default: ~/.cache/bitlane/significance)')
    .option('--out <file>', 'write the map to this file')
    .option('--svg <file>', 'draw the map over the network to this file')
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print the map as one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane significance --model ./yolox-nano --data ./highway --limit 250 --out map.json --svg map.svg\n  bitlane significance --model ./yolox-nano --data ./highway --limit 100 --granularity channel --bits 2,4,8 --out filters.json --svg filters.svg',
    )
    .action(
      cli.action(async (options: Options) => {
        const granularity = choice('--granularity', options.granularity, ['layer', 'channel']);
        refuseStrangers(granularity, options);
        const bits = bitsOf(options.bits);
        const rounding = choice('--rounding', options.rounding, ['nearest', 'gptq']);
        const whole = { min: 1, max: 1e9, integer: true };
        const limit = numberOption('--limit', options.limit, whole, undefined);
        const calibration = numberOption(
          '--calibration',
          options.calibration,
          { ...whole, max: 10_000 },
          CALIBRATION_PICTURES,
        );
        const processes = numberOption(
          '--processes',
          options.processes,
          { ...whole, max: 256 },
          usualProcesses(),
        );
        const exact = numberOption(
          '--exact',
          options.exact,
          { ...whole, min: 0, max: 100_000 },
          EXACT_FILTERS,
        );
        const labelFree = options.labelFree === true;
        if (labelFree && options.pairs === undefined) {
          throw new BitlaneError(
            'BAD_USAGE',
            '--label-free needs --pairs: without labels nobody knows what is confused',
          );
        }
        const artifact = await resolveModel(options.model, findPlace(options));
        const { detector } = artifact.manifest;
        const dataSet = openDataSet(options.data, {
          split: options.split,
          ...(limit !== undefined && { limit }),
        });
        const whereFrom = openDataSet(options.data, { split: options.split });
        const overrides = options.map === undefined ? [] : parseClassOverrides(options.map);
        const classes = mapClasses(detector.classes, dataSet.classes, overrides);
        const pairs = options.pairs === undefined ? undefined : parsePairs(options.pairs, classes.classes);
        const costs = options.costs === undefined ? [] : parseCosts(options.costs, classes.classes);
        const cache = cacheFolder(options.cache);
        mkdirSync(cache, { recursive: true });
        const bars = new StepBars(cli, UNITS);
        try {
          const common = {
            model: { id: artifact.id, path: artifact.modelPath, detector },
            data: { name: dataSet.path, split: dataSet.split },
            pictures: await labelledPictures(dataSet, classes, !labelFree),
            space: { classes: classes.classes, fromModel: classes.fromModel },
            ...(pairs && { pairs }),
            costs,
            bits,
            rounding,
            reduceRange: await integersSaturate(),
            calibration: calibrationOf(whereFrom, detector.input, calibration),
            cache,
            baselines: options.baselines === true,
            signal: cli.signal,
            onProgress: bars.show,
          };
          if (granularity === 'channel') {
            const { map } = await measureFilterMap({ ...common, exact });
            bars.stop();
            if (options.out !== undefined) writeFilterMap(options.out, map);
            if (options.svg !== undefined) writeFileAtomic(options.svg, drawFilterMap(map));
            const notes = [
              ...dataSet.notes,
              ...classes.notes,
              ...unreliableNotes(map.reliability, 'filters'),
            ];
            cli.print({ ...map, notes }, () => filterText(map, artifact, notes));
            return;
          }
          const { map } = await measureSignificance({
            ...common,
            ...(options.weightsOnly === true && { kinds: ['weights'] as const }),
            processes,
          });
          bars.stop();
          if (options.out !== undefined) writeSignificance(options.out, map);
          if (options.svg !== undefined) writeFileAtomic(options.svg, drawMap(map));
          const notes = notesOf(dataSet, classes.notes, map);
          cli.print({ ...map, notes }, () => textOf(map, artifact, notes));
        } finally {
          bars.stop();
        }
      }),
    );
};
