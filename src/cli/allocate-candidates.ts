// `bitlane allocate` with pictures: allocations by several objectives, rounded, and measured as whole models.
import {
  type CandidateScore,
  chooseCandidate,
  comparable,
  objectivesOf,
  picturesBeside,
  wholeMeter,
} from '../adaptation/index.js';
import { type Met, type ObjectiveName, type Problem, semanticPrices } from '../allocation/index.js';
import { BitlaneError } from '../errors.js';
import { type DataSet, mapClasses, openDataSet, parseClassOverrides } from '../evaluation/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import {
  type Allocation,
  integersSaturate,
  pictureFeeds,
  pixelRanges,
  quantizeModel,
} from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { candidatesOf } from './candidates-option.js';
import type { Cli } from './cli.js';
import { StepBars } from './step-bars.js';
import { numberOption } from './values.js';

export interface CandidateOptions {
  readonly candidates?: string;
  readonly data?: string;
  readonly split: string;
  readonly map?: string;
  readonly calibration?: string;
}

/** What candidates are rounded by and measured on. */
export interface Pictures {
  readonly dataSet: DataSet;
  readonly classes: ReturnType<typeof mapClasses>;
  readonly calibration: number;
}

/** Whose allocations are tried, and on what. */
export interface Tried {
  readonly objectives: readonly ObjectiveName[];
  readonly pictures: Pictures | undefined;
}

/** An allocation that is within the budget, and what it was sought in. */
export interface Solved {
  readonly problem: Problem;
  readonly met: Met;
  readonly allocation: Allocation;
}

export interface Kept extends Solved {
  readonly objective: ObjectiveName;
  readonly scores: readonly CandidateScore[];
  readonly notes: readonly string[];
}

const CALIBRATION_PICTURES = 64;

/**
 * What the options ask for. Without pictures no whole model can be measured: one objective stands alone.
 *
 * @throws BitlaneError `BAD_USAGE` where candidates lack pictures or a map, `BAD_DATASET`
 */
export const triedOf = (
  options: CandidateOptions,
  objective: ObjectiveName,
  map: SignificanceMap | undefined,
  { manifest }: Artifact,
): Tried => {
  const named = candidatesOf(options.candidates);
  const objectives = objectivesOf(objective, options.data === undefined ? (named ?? []) : named);
  if (objectives.length === 1) return { objectives, pictures: undefined };
  if (options.data === undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      '--candidates needs --data: candidates are rounded by pictures, and compared on them',
    );
  }
  if (map === undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      '--candidates needs --significance: what whole models do is weighed by its critical classes',
    );
  }
  const dataSet = openDataSet(options.data, { split: options.split });
  return {
    objectives,
    pictures: {
      dataSet,
      classes: mapClasses(manifest.detector.classes, dataSet.classes, parseClassOverrides(options.map ?? '')),
      calibration: numberOption(
        '--calibration',
        options.calibration,
        { min: 1, max: 10_000, integer: true },
        CALIBRATION_PICTURES,
      ),
    },
  };
};

const CANDIDATES = 'comparing candidates';

/** The allocation whose whole model does the least damage, or the only one. */
export const keepBest = async (
  cli: Cli,
  artifact: Artifact,
  map: SignificanceMap | undefined,
  { objectives, pictures }: Tried,
  allocate: (objective: ObjectiveName) => Promise<Solved>,
): Promise<Kept> => {
  if (pictures === undefined || map === undefined) {
    const [objective] = objectives;
    if (objective === undefined) throw new BitlaneError('INTERNAL', 'no objective to allocate by');
    return { objective, ...(await allocate(objective)), scores: [], notes: [] };
  }
  const { dataSet, classes, calibration } = pictures;
  const { compared, isHeldOut } = picturesBeside(dataSet, map);
  const { signal } = cli;
  const meter = wholeMeter(artifact, map, { dataSet: compared, map: classes, signal });
  const source = readModel(artifact.modelPath);
  const feeds = pictureFeeds(dataSet, artifact.manifest.detector.input, calibration);
  const reduceRange = await integersSaturate();
  const bars = new StepBars(cli, { [CANDIDATES]: 'models' });
  try {
    let components: Problem['components'] = [];
    const { objective, allocated, scores } = await chooseCandidate({
      objectives,
      allocate: async (name) => {
        const solved = await allocate(name);
        ({ components } = solved.problem);
        return solved;
      },
      measure: async (name, allocation) => {
        bars.show(CANDIDATES, objectives.indexOf(name), objectives.length);
        const made = await quantizeModel(source, {
          allocation,
          feeds,
          rounding: 'gptq',
          reduceRange,
          knownRanges: pixelRanges(artifact.manifest.detector.input),
          signal,
        });
        return comparable(await meter(writeModel(made.model)));
      },
      prices: () => semanticPrices(map, components),
    });
    return {
      objective,
      ...allocated,
      scores,
      notes: isHeldOut
        ? []
        : [`${dataSet.path} has few pictures: candidates were compared on those of the map, too`],
    };
  } finally {
    bars.stop();
  }
};
