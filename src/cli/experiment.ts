// `bitlane experiment`: the paper's comparison on one model and one data set, with a report.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BitlaneError } from '../errors.js';
import {
  type ClassMap,
  type DataSet,
  evaluate,
  mapClasses,
  openDataSet,
  parseClassOverrides,
  predict,
} from '../evaluation/index.js';
import {
  cellsOf,
  chosenRows,
  type ClassPair,
  conclusions,
  experimentPage,
  type Experiment,
  type ExperimentResult,
  HEAD,
  judgedPlaces,
  notesOf,
  QUICK_SCALE,
  ROWS,
  runExperiment,
  type Scale,
  USUAL_SCALE,
} from '../experiment/index.js';
import { readModel } from '../onnx/index.js';
import { integersSaturate } from '../quantization/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import { parsePairs, usualProcesses } from '../significance/index.js';
import { writeFileAtomic } from '../system/index.js';
import { labelledSpec } from '../training/index.js';
import type { AddCommand } from './commands.js';
import type { Cli } from './cli.js';
import { findPlace, type PlaceOptions } from './place.js';
import { StepBars } from './step-bars.js';
import { alignColumns, choice, listOption, numberOption } from './values.js';

interface Options extends PlaceOptions {
  readonly model: string;
  readonly data: string;
  readonly out: string;
  readonly split: string;
  readonly validateSplit: string;
  readonly limit?: string;
  readonly places?: string;
  readonly pairs?: string;
  readonly map?: string;
  readonly rows?: string;
  readonly seeds?: string;
  readonly steps?: string;
  readonly batch?: string;
  readonly learningRate?: string;
  readonly execution: string;
  readonly processes?: string;
  readonly threads?: string;
  readonly quick?: boolean;
  readonly times?: boolean;
  readonly list?: boolean;
}

const RESULT_FILE = 'experiment.json';
const PAGE_FILE = 'experiment.html';
const QUICK_VALIDATION = 24;

const seedsOf = (text: string): number[] => {
  const seeds = listOption(text).map(Number);
  if (new Set(seeds).size < seeds.length)
    throw new BitlaneError('BAD_USAGE', `--seeds ${text} has a seed twice`);
  if (seeds.length > 0 && seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31))
    return seeds;
  throw new BitlaneError('BAD_USAGE', `--seeds takes whole numbers, like 1,2,3, not ${JSON.stringify(text)}`);
};

const scaleOf = (options: Options): Scale => {
  const usual = options.quick === true ? QUICK_SCALE : USUAL_SCALE;
  const whole = { min: 1, max: 1e6, integer: true };
  return {
    ...usual,
    steps: numberOption('--steps', options.steps, whole, usual.steps),
    batch: numberOption('--batch', options.batch, { ...whole, max: 256 }, usual.batch),
    learningRate: numberOption(
      '--learning-rate',
      options.learningRate,
      { min: 1e-8, max: 1 },
      usual.learningRate,
    ),
    seeds: options.seeds === undefined ? usual.seeds : seedsOf(options.seeds),
  };
};

/** Those that FP32 confuses on tuning pictures. */
const confusedOn = async (
  artifact: Artifact,
  dataSet: DataSet,
  map: ClassMap,
  signal: AbortSignal,
): Promise<ClassPair[]> => {
  const { results } = await predict(artifact, dataSet, map, {}, undefined, signal);
  const { pairs } = evaluate(results, map, { rounds: 0 });
  const critical = pairs.filter((pair) => pair.critical);
  if (critical.length > 0) return critical.map(({ a, b }) => [a, b]);
  throw new BitlaneError(
    'BAD_DATASET',
    `${artifact.manifest.name} confuses no two classes on ${dataSet.path} often enough: name pairs with --pairs`,
  );
};

const textOf = (result: ExperimentResult, page: string): string =>
  [
    `${result.model.name}: ${result.rows.length} of ${ROWS.length} rows`,
    '',
    ...alignColumns([[...HEAD], ...result.rows.map(cellsOf)]),
    '',
    ...notesOf(result).map((note) => `note: ${note}`),
    ...conclusions(result),
    `report: ${page}`,
  ].join('\n');

const writeReport = (folder: string, { result, map }: Experiment, artifact: Artifact): string => {
  writeFileAtomic(join(folder, RESULT_FILE), `${JSON.stringify(result)}\n`);
  const page = join(folder, PAGE_FILE);
  writeFileAtomic(
    page,
    experimentPage({ result, model: readModel(artifact.modelPath), ...(map !== undefined && { map }) }),
  );
  return page;
};

const work = async (cli: Cli, options: Options): Promise<void> => {
  const scale = scaleOf(options);
  const rows = options.rows === undefined ? undefined : listOption(options.rows);
  chosenRows(rows);
  const execution = choice('--execution', options.execution, ['fp32', 'int8']);
  const whole = { min: 1, max: 256, integer: true };
  const processes = numberOption('--processes', options.processes, whole, usualProcesses());
  const threads = numberOption('--threads', options.threads, whole, 1);
  const limit = numberOption('--limit', options.limit, { ...whole, max: 1e9 }, undefined);
  const artifact = await resolveModel(options.model, findPlace(options));
  const overrides = options.map === undefined ? [] : parseClassOverrides(options.map);
  const { classes } = artifact.manifest.detector;
  const tuning = openDataSet(options.data, { split: options.split });
  const judged = limit ?? (options.quick === true ? QUICK_VALIDATION : undefined);
  const validation = openDataSet(options.data, {
    split: options.validateSplit,
    ...(judged !== undefined && { limit: judged }),
  });
  const places = options.places === undefined ? undefined : judgedPlaces(validation, options.places);
  const map = mapClasses(classes, tuning.classes, overrides);
  const folder = resolve(options.out);
  mkdirSync(folder, { recursive: true });
  const pairs =
    options.pairs === undefined
      ? await confusedOn(
          artifact,
          openDataSet(options.data, { split: options.split, limit: scale.searchPictures }),
          map,
          cli.signal,
        )
      : parsePairs(options.pairs, map.classes).map(([a, b]): ClassPair => [a, b]);
  const bars = new StepBars<string>(cli, {});
  try {
    const experiment = await runExperiment(
      {
        parent: artifact,
        tuning,
        validation,
        ...(places !== undefined && { places }),
        map,
        learn: labelledSpec({ path: options.data, split: options.split, classes, overrides }),
        pairs,
        execution,
        reduceRange: await integersSaturate(),
        scale,
        folder,
        processes,
        threads,
        signal: cli.signal,
      },
      {
        ...(rows !== undefined && { rows }),
        ...(options.times === true && { times: true }),
        onRow: ({ label }, seed, done, all) => {
          bars.stop();
          bars.show(`row ${done + 1} of ${all}: ${label}, seed ${seed}`, 0, 1);
        },
        onStep: bars.show,
        onKnown: (known) => void writeReport(folder, known, artifact),
      },
    );
    bars.stop();
    const { result } = experiment;
    const page = writeReport(folder, experiment, artifact);
    cli.print({ ...result, report: page }, () => textOf(result, page));
  } finally {
    bars.stop();
  }
};

const listRows = (cli: Cli): void => {
  cli.print({ rows: ROWS }, () =>
    alignColumns(ROWS.map(({ id, family, label }) => [id, family, label])).join('\n'),
  );
};

export const addExperiment: AddCommand = (program, cli) => {
  program
    .command('experiment')
    .description(
      "the paper's comparison: ways to round, to train and to give bits, judged on the same pictures",
    )
    .option(
      '--model <model>',
      'FP32: an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .option('--data <data>', 'labelled pictures: a data.yaml, a COCO .json, or a folder that holds one')
    .option('--out <dir>', 'folder of results and report; an experiment that was ended goes on there')
    .option('--split <split>', 'split that everything is tuned on', 'train')
    .option('--validate-split <split>', 'split that everything is judged on', 'val')
    .option('--limit <n>', 'judge on the first n pictures only')
    .option(
      '--places <separator>',
      'resample whole places, not pictures: judged pictures whose names are alike up to the last <separator> are of one',
    )
    .option('--pairs <pairs>', 'critical pairs a:b,... (default: what the model confuses on tuning pictures)')
    .option('--map <map>', 'model-class=data-class,..., where names do not say it')
    .option('--rows <ids>', 'only these rows; --list names them')
    .option('--seeds <n,...>', `seeds of what is random (default ${USUAL_SCALE.seeds.join()})`)
    .option('--steps <n>', `training steps of a trained row (default ${USUAL_SCALE.steps})`)
    .option('--batch <n>', `pictures of a step (default ${USUAL_SCALE.batch})`)
    .option('--learning-rate <rate>', `of a trained row (default ${USUAL_SCALE.learningRate})`)
    .option(
      '--execution <precision>',
      'what kernels of mixed and trained rows compute in: fp32 or int8',
      'fp32',
    )
    .option('--processes <n>', 'processes that measure significance (default: one less than there are cores)')
    .option('--threads <n>', 'threads of training (default 1)')
    .option('--quick', 'a small version in minutes: every part runs, and no figure says much')
    .option('--times', 'when all rows are there, take their times anew: for a machine that was busy before')
    .option('--list', 'name the rows and do nothing else')
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane experiment --model ./yolox-nano-highway --data ./highway --out ./experiment --quick',
    )
    .action(
      cli.action(async (options: Partial<Options> & Omit<Options, 'model' | 'data' | 'out'>) => {
        if (options.list === true) {
          listRows(cli);
          return;
        }
        const { model, data, out } = options;
        if (model === undefined || data === undefined || out === undefined) {
          throw new BitlaneError('BAD_USAGE', 'an experiment needs --model, --data and --out (or --list)');
        }
        await work(cli, { ...options, model, data, out });
      }),
    );
};
