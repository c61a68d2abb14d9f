// `bitlane adapt`: from what a model confuses on labelled pictures to an artifact that keeps its bits for that, in one go.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Adapted,
  adaptationReport,
  adaptModel,
  type AdaptStep,
  artifactMeasure,
  Checkpoints,
  type Comparison,
  type Labelled,
} from '../adaptation/index.js';
import { OBJECTIVES } from '../allocation/index.js';
import { writeImported } from '../detector/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import {
  describeDevice,
  type Interval,
  mapClasses,
  openDataSet,
  parseClassOverrides,
} from '../evaluation/index.js';
import { integersSaturate } from '../quantization/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import { parseCosts, parsePairs, usualProcesses } from '../significance/index.js';
import { writeFileAtomic } from '../system/index.js';
import { addAdaptLoop } from './adapt-loop.js';
import { type BudgetOptions, budgetOf, profileFor, withBudget } from './budget-options.js';
import { candidatesOf, withCandidates } from './candidates-option.js';
import type { AddCommand } from './commands.js';
import { install } from './install.js';
import { findPlace, type PlaceOptions } from './place.js';
import { cacheFolder } from './significance.js';
import { StepBars } from './step-bars.js';
import { alignColumns, choice, numberOption } from './values.js';

interface Options extends PlaceOptions, BudgetOptions {
  readonly model?: string;
  readonly data?: string;
  readonly split: string;
  readonly validateSplit: string;
  readonly limit?: string;
  readonly pairs?: string;
  readonly costs?: string;
  readonly map?: string;
  readonly objective: string;
  readonly candidates?: string;
  readonly pairsAmong?: string;
  readonly calibration?: string;
  readonly processes?: string;
  readonly cache?: string;
  readonly name?: string;
  readonly out?: string;
  readonly report?: string;
}

const CALIBRATION_PICTURES = 64;
const UNITS: Readonly<Partial<Record<AdaptStep, string>>> = {
  'finding objects': 'pictures',
  rounding: 'layers',
  measuring: 'layers',
  'measuring pairs': 'passes',
  'drawing the front': 'points',
  calibrating: 'pictures',
  'comparing layers': 'pictures',
  validating: 'pictures',
};

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
const range = ({ value, low, high }: Interval) => ({
  value: finite(value),
  low: finite(low),
  high: finite(high),
});

interface Outcome {
  readonly artifact: Artifact;
  readonly active: boolean;
  readonly adapted: Adapted;
  readonly notes: readonly string[];
}

/** This command judges by labels only. */
const comparisonOf = ({ evidence }: Adapted): Comparison => {
  if (evidence.kind === 'labels') return evidence.comparison;
  throw new BitlaneError('INTERNAL', 'the candidate was not judged by labels');
};

const documentOf = ({ artifact, active, adapted, notes }: Outcome) => {
  const { significance, allocated: met, made: quantized } = adapted;
  const comparison = comparisonOf(adapted);
  const { before, after, pictures, split, data } = comparison;
  const judged = ({ map50, map5095, criticalAccuracy, criticalObjects, confusion }: typeof before) => ({
    map50: finite(map50),
    map5095: finite(map5095),
    criticalAccuracy: finite(criticalAccuracy),
    criticalObjects,
    confusion: { labels: [...confusion.classes, 'background'], counts: confusion.counts },
  });
  return {
    id: artifact.id,
    name: artifact.manifest.name,
    model: artifact.modelPath,
    active,
    parentId: artifact.manifest.parentId,
    critical: significance.critical,
    reliability: significance.reliability,
    budget: artifact.manifest.budget,
    allocation: met.allocation,
    interactions: adapted.interactions,
    objective: adapted.objective,
    candidates: adapted.candidates,
    damage: met.damage,
    gap: met.gap,
    measured: met.measured,
    bytes: quantized.bytes,
    bytesRatio: quantized.bytesRatio,
    averageBits: quantized.averageBits,
    latency: quantized.latency,
    validation: {
      data,
      split,
      pictures,
      before: judged(before),
      after: judged(after),
      map50Change: range(comparison.map50Change),
      map5095Change: range(comparison.map5095Change),
      criticalChange: range(comparison.criticalChange),
    },
    device: describeDevice(),
    notes,
  };
};

const three = (value: number): string => (Number.isFinite(value) ? value.toFixed(3) : '-');
const change = ({ value, low, high }: Interval): string =>
  `${value >= 0 ? '+' : ''}${three(value)} (95 %: ${three(low)} to ${three(high)})`;

const textOf = ({ artifact, active, adapted, notes }: Outcome, report: string | undefined): string => {
  const { significance, made: quantized } = adapted;
  const comparison = comparisonOf(adapted);
  const { manifest } = artifact;
  const { before, after, map50Change, map5095Change, criticalChange } = comparison;
  return [
    `${manifest.name} is artifact ${artifact.id.slice(0, 12)}${active ? ', and active' : ''}`,
    `  ${artifact.modelPath}`,
    `  critical  ${significance.critical.pairs.map((pair) => pair.join(' / ')).join(', ')}; ${significance.critical.objects} objects`,
    `  allocated by ${adapted.objective}${adapted.candidates.some(({ damage }) => damage !== null) ? `, the best of ${adapted.candidates.filter(({ damage }) => damage !== null).length} whole models` : ''}`,
    `  bytes     ${quantized.bytes}, ${three(quantized.bytesRatio)} of the parent's; ${quantized.averageBits.toFixed(2)} bits a weight`,
    `  one run   ${quantized.latency.ms.toFixed(1)} ms, ${three(quantized.latency.ratio.value)} of the parent's`,
    '',
    ...alignColumns([
      [`on ${comparison.pictures} pictures of ${comparison.split}`, 'before', 'after', 'change'],
      ['mAP50', three(before.map50), three(after.map50), change(map50Change)],
      ['mAP50-95', three(before.map5095), three(after.map5095), change(map5095Change)],
      [
        'critical accuracy',
        three(before.criticalAccuracy),
        three(after.criticalAccuracy),
        change(criticalChange),
      ],
    ]),
    ...(report === undefined ? [] : ['', `report: ${report}`]),
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
};

const notesOf = (tuning: Labelled, validation: Labelled): string[] => {
  const tuned = new Set(tuning.dataSet.images.map(({ path }) => path));
  const shared = validation.dataSet.images.filter(({ path }) => tuned.has(path)).length;
  return [
    ...new Set([
      ...(shared === 0
        ? []
        : [
            `${shared} of ${validation.dataSet.images.length} validation pictures were tuned on, which says too much good of the model`,
          ]),
      ...tuning.dataSet.notes,
      ...tuning.map.notes,
    ]),
  ];
};

const demanded = (option: string, value: string | undefined): string => {
  if (value !== undefined) return value;
  throw new BitlaneError('BAD_USAGE', `${option} is missing: an adaptation at hand needs --model and --data`);
};

export const addAdapt: AddCommand = (program, cli) => {
  // What stands behind `adapt history` is that one's, though `adapt` itself has options of the same names.
  program.enablePositionalOptions();
  const command = program
    .command('adapt')
    .enablePositionalOptions()
    .description(
      'find what a model confuses, measure which layers tell it apart, give them the bits, within a budget; no fine-tuning',
    )
    .option(
      '--model <model>',
      'an FP32 model: an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .option('--data <data>', 'labelled pictures: a data.yaml, a COCO .json, or a folder that holds one');
  withCandidates(withBudget(command))
    .option('--split <split>', 'what it is tuned on: train, val or test', 'train')
    .option('--validate-split <split>', 'what it is judged on', 'val')
    .option('--limit <n>', 'take the first n pictures of the tuning split only')
    .option('--pairs <pairs>', 'critical pairs a:b,... (default: what the model confuses)')
    .option('--costs <costs>', 'what confusions cost, truth:predicted=cost,... (default 1 each)')
    .option('--map <map>', 'model-class=data-class,..., where names do not say it')
    .option('--objective <name>', `what counts as damage: ${OBJECTIVES.join(', ')}`, 'semantic')
    .option(
      '--pairs-among <n>',
      'measure the n costliest layers in pairs, too, and solve with what they cost together (default: none)',
    )
    .option('--calibration <n>', `calibration pictures (default ${CALIBRATION_PICTURES})`)
    .option('--processes <n>', 'processes that measure (default: one less than there are cores)')
    .option('--cache <dir>', 'where measurements are kept (default: ~/.cache/bitlane/significance)')
    .option('--name <name>', "the artifact's name")
    .option('--out <dir>', 'write an artifact folder there instead of installing it')
    .option('--report <file>', 'write a page that shows each step in pictures (.html)')
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane adapt --model ./yolox-nano --data ./highway --budget-bytes 620000 --out ./adapted --report adapted.html',
    )
    .action(
      cli.action(async (options: Options) => {
        const whole = { min: 1, max: 1e9, integer: true };
        const limit = numberOption('--limit', options.limit, whole, undefined);
        const calibrationPictures = numberOption(
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
        const [model, data] = [demanded('--model', options.model), demanded('--data', options.data)];
        const budget = budgetOf(options);
        const objective = choice('--objective', options.objective, OBJECTIVES);
        const candidates = candidatesOf(options.candidates);
        const pairsAmong = numberOption(
          '--pairs-among',
          options.pairsAmong,
          { min: 2, max: 32, integer: true },
          undefined,
        );
        const { out, report, name } = options;
        if (out !== undefined && statSync(out, { throwIfNoEntry: false }) !== undefined) {
          throw new BitlaneError('BAD_USAGE', `${out} is there already: an artifact goes into a new folder`);
        }
        const place = findPlace(options);
        const parent = await resolveModel(model, place);
        const profile = await profileFor(options.profile, parent, budget);
        const overrides = parseClassOverrides(options.map ?? '');
        const labelled = (split: string, most: number | undefined): Labelled => {
          const dataSet = openDataSet(data, { split, ...(most !== undefined && { limit: most }) });
          return { dataSet, map: mapClasses(parent.manifest.detector.classes, dataSet.classes, overrides) };
        };
        const tuning = labelled(options.split, limit);
        const validation = labelled(options.validateSplit, undefined);
        const { classes } = tuning.map;
        const cache = cacheFolder(options.cache);
        mkdirSync(cache, { recursive: true });
        const bars = new StepBars<AdaptStep>(cli, UNITS);
        const work = mkdtempSync(join(tmpdir(), 'bitlane-adapt-'));
        try {
          const adapted = await adaptModel(parent, {
            folder: work,
            checkpoints: new Checkpoints(join(work, 'steps'), {}),
            tuning,
            judgedBy: { kind: 'labels', validation },
            ...(options.pairs !== undefined && { pairs: parsePairs(options.pairs, classes) }),
            ...(options.costs !== undefined && { costs: parseCosts(options.costs, classes) }),
            budget,
            objective,
            ...(candidates !== undefined && { candidates }),
            ...(pairsAmong !== undefined && { pairsAmong }),
            ...(profile !== undefined && { profile }),
            measure: artifactMeasure(parent, { budget, profile, isRun: true, signal: cli.signal }),
            calibrationPictures,
            cache,
            processes,
            reduceRange: await integersSaturate(),
            ...(name !== undefined && { name }),
            signal: cli.signal,
            onProgress: bars.show,
          });
          bars.stop();
          const { modelPath, manifest } = adapted.artifact;
          const bytes = readFileSync(modelPath);
          const model = { bytes, manifest, inferenceMs: adapted.made.latency.ms };
          const { artifact, active, notices } =
            out === undefined
              ? await install(cli, place, model, options.state === undefined)
              : { artifact: await writeImported(model, out), active: false, notices: [] };
          for (const notice of notices) cli.log.warn(notice);
          if (report !== undefined) writeReport(report, adaptationReport(parent, adapted));
          const outcome: Outcome = { artifact, active, adapted, notes: notesOf(tuning, validation) };
          cli.print(documentOf(outcome), () => textOf(outcome, report));
        } finally {
          bars.stop();
          rmSync(work, { recursive: true, force: true });
        }
      }),
    );
  addAdaptLoop(command, cli);
};

const writeReport = (path: string, page: string): void => {
  try {
    writeFileAtomic(path, page);
  } catch (error) {
    throw new BitlaneError('STORE_FAILED', `${path} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
};
