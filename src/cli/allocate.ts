// `bitlane allocate`: a bit-width and an execution precision for every layer, or a bit-width for every filter, with the least damage within a budget.
import { artifactMeasure } from '../adaptation/index.js';
import {
  frontOf,
  type FrontPoint,
  meetBudget,
  type Met,
  missingWidths,
  type ObjectiveName,
  OBJECTIVES,
  plotFront,
  type Problem,
  problemOf,
} from '../allocation/index.js';
import { BitlaneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import { type FilterMap, readAnySignificance, type SignificanceMap } from '../significance/index.js';
import { type CandidateOptions, keepBest, type Solved, triedOf } from './allocate-candidates.js';
import { workByFilter } from './allocate-filters.js';
import { allocationText } from './allocate-text.js';
import { withCandidates } from './candidates-option.js';
import type { Cli, Progress } from './cli.js';
import type { AddCommand } from './commands.js';
import { type BudgetOptions, budgetOf, profileFor, withBudget } from './budget-options.js';
import { findPlace, type PlaceOptions } from './place.js';
import { choice } from './values.js';
import { writeText } from './write-text.js';

interface Options extends PlaceOptions, BudgetOptions, CandidateOptions {
  readonly model: string;
  readonly significance?: string;
  readonly objective: string;
  readonly execution?: string;
  readonly measure: boolean;
  readonly front?: string;
  readonly out?: string;
}

/** Seconds for one solution; one that is not proved by then is given with its gap. */
const SECONDS = 30;

const mapFor = (
  path: string | undefined,
  { id, manifest }: Artifact,
): SignificanceMap | FilterMap | undefined => {
  if (path === undefined) return undefined;
  const map = readAnySignificance(path);
  if (map.model !== id) {
    throw new BitlaneError(
      'BAD_CONFIG',
      `${path} was measured on another model (${map.model.slice(0, 12)}; ${manifest.name} is ${id.slice(0, 12)}): measure this one with \`bitlane significance\``,
    );
  }
  return map;
};

const notesOf = (map: SignificanceMap | undefined, objective: ObjectiveName, problem: Problem): string[] => {
  if (map === undefined || objective === 'uniform') return [];
  const widths = missingWidths(map);
  const hasActivations = Object.values(map.components).some(
    ({ activations }) => Object.keys(activations).length > 0,
  );
  const { robust = null } = map.reliability.weights[4] ?? map.reliability.weights[2] ?? {};
  return [
    ...(widths.length === 0
      ? []
      : [
          `the map has no measurement of ${widths.join(' and ')} bits: what they cost follows from its other widths`,
        ]),
    ...(hasActivations || problem.execution === 'fp32'
      ? []
      : ['the map has no activations: integer kernels count as if they cost nothing']),
    ...(objective.startsWith('semantic') && (robust ?? 0) < 0.5
      ? [
          `the map's split-half correlation is ${robust?.toFixed(2) ?? 'unknown'}: it counts for little against how layers' outputs change`,
        ]
      : []),
  ];
};

const front = async (
  cli: Cli,
  problem: Problem,
  path: string,
  met: Met,
  title: string,
): Promise<FrontPoint[]> => {
  let bar: Progress | undefined;
  try {
    const points = await frontOf(problem, {
      signal: cli.signal,
      onProgress: (done, all) => (bar ??= cli.progress('front', all, 'points')).update(done),
    });
    const mark = { modelBytes: met.usage.modelBytes ?? 0, damage: met.damage, label: 'chosen' };
    writeText(path, plotFront(points, title, mark));
    return points;
  } finally {
    bar?.stop();
  }
};

const work = async (cli: Cli, options: Options): Promise<void> => {
  const budget = budgetOf(options);
  const asked = choice('--objective', options.objective, OBJECTIVES);
  const execution =
    options.execution === undefined
      ? undefined
      : choice('--execution', options.execution, ['free', 'fp32', 'int8']);
  const artifact = await resolveModel(options.model, findPlace(options));
  const map = mapFor(options.significance, artifact);
  if (map?.granularity === 'channel') {
    await workByFilter(cli, { artifact, map, objective: asked, execution, budget, options });
    return;
  }
  const tried = triedOf(options, asked, map, artifact);
  const profile = await profileFor(options.profile, artifact, budget);
  const source = readModel(artifact.modelPath);
  const measure = artifactMeasure(artifact, { budget, profile, isRun: options.measure, signal: cli.signal });
  const allocate = async (name: ObjectiveName): Promise<Solved> => {
    const problem = await problemOf(source, { objective: name, map, profile, execution });
    if (problem.components.length === 0) {
      throw new BitlaneError(
        'BAD_MODEL',
        `${artifact.manifest.name} has no layer with constant FP32 weights: there is nothing to allocate`,
      );
    }
    if (budget.memoryMb !== undefined && problem.memory === undefined) {
      throw new BitlaneError(
        'BAD_USAGE',
        'the profile has no memory in it: --budget-memory cannot be met with it',
      );
    }
    const met = await meetBudget(problem, budget, { measure, seconds: SECONDS, signal: cli.signal });
    return { problem, met, allocation: met.allocation };
  };
  const kept = await keepBest(cli, artifact, map, tried, allocate);
  const { objective, problem, met, scores } = kept;
  const title = `${artifact.manifest.name}, ${objective}`;
  const points =
    options.front === undefined ? undefined : await front(cli, problem, options.front, met, title);
  if (options.out !== undefined) writeText(options.out, `${JSON.stringify(met.allocation)}\n`);
  const notes = [...notesOf(map, objective, problem), ...kept.notes];
  cli.print(
    {
      model: { id: artifact.id, name: artifact.manifest.name },
      objective,
      candidates: scores,
      budget,
      allocation: met.allocation,
      damage: met.damage,
      bound: met.bound,
      gap: met.gap,
      predicted: met.usage,
      measured: met.measured,
      rounds: met.rounds.map(({ solved, measured, missed }) => ({
        damage: solved.damage,
        predicted: solved.usage,
        measured,
        missed,
      })),
      ...(points !== undefined && { front: points }),
      notes,
    },
    () => allocationText({ problem, met, budget, points, notes, title, scores }),
  );
};

export const addAllocate: AddCommand = (program, cli) => {
  const command = program
    .command('allocate')
    .description('give every layer, or every filter, a bit-width: the least damage within a budget')
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .option(
      '--significance <file>',
      'the significance map of that model, by layer or by channel (not for --objective uniform)',
    );
  withCandidates(
    withBudget(command).option(
      '--objective <name>',
      `what counts as damage: ${OBJECTIVES.join(', ')}`,
      'semantic',
    ),
  )
    .option(
      '--data <data>',
      'pictures to round candidates by and to compare them on, as whole models: a data.yaml, a COCO .json, or a folder that holds one (default: one allocation, by its sum over layers)',
    )
    .option('--split <split>', 'their split: train, val or test; best that of the map', 'train')
    .option('--map <map>', 'model-class=data-class,..., where names do not say it')
    .option('--calibration <n>', 'pictures that candidates are rounded by (default 64)')
    .option(
      '--execution <precision>',
      'what kernels compute in: free (default with --profile), fp32 (default without), or int8',
    )
    .option(
      '--no-measure',
      'do not run the artifact: its bytes are counted, its time is what the profile says',
    )
    .option('--front <file>', 'draw the whole front, damage over bytes and time, as an SVG there')
    .option('--out <file>', 'write the allocation there, for `bitlane quantize --bits`')
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane allocate --model ./yolox-nano --significance map.json --budget-bytes 600000 --out bits.json\n  bitlane allocate --model ./yolox-nano --significance map.json --data ./highway --bits-average 4 --out bits.json',
    )
    .action(cli.action((options: Options) => work(cli, options)));
};
