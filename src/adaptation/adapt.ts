// The method, step by step: confusions, critical pairs, significance, allocation within the budget, weights, judgement. What a step came
// to is kept: whoever calls again in the same folder goes on where it was.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Budget,
  frontOf,
  type ObjectiveName,
  type Problem,
  semanticPrices,
} from '../allocation/index.js';
import { untold } from '../quantization/index.js';
import type { Artifact, Manifest, ManifestParts } from '../registry/index.js';
import { type MeasuredSignificance, significanceSchema } from '../significance/index.js';
import { frontSchema } from './documents.js';
import { judgeCandidate, judgedArtifact } from './judgement.js';
import { allocateWithin } from './limits.js';
import type { Adapted, AdaptOptions } from './options.js';
import { chooseCandidate, effectsSchema, objectivesOf, splitTuning } from './portfolio.js';
import { interactionsOf, measureMap, problemFor, summaryOf } from './significance.js';
import { tuneWeights } from './tuning.js';
import { makeArtifact, roundWeights, takeTried } from './weights.js';
import { comparable, wholeMeter } from './whole.js';

/**
 * Adapts a model to the confusions on some pictures, within a budget. Blocks the thread while models run. The same parent, pictures,
 * options and measurements give the same model, to the last bit, however often it is killed on the way.
 *
 * @throws BudgetError when no allocation is within the budget; BitlaneError `BAD_DATASET` where nothing is confused or found,
 *   `BAD_MODEL` when a model cannot be run, the reason of `signal`
 */
export const adaptModel = async (parent: Artifact, options: AdaptOptions): Promise<Adapted> => {
  const { checkpoints, budget, limits = budget, signal, onProgress, baseline = parent } = options;
  const { timed = untold } = options;
  const objectives = objectivesOf(options.objective, options.candidates);
  const split = objectives.length > 1 ? splitTuning(options.tuning.dataSet) : undefined;
  const mapped: AdaptOptions =
    split === undefined
      ? options
      : {
          ...options,
          calibration: options.calibration ?? options.tuning.dataSet,
          tuning: { ...options.tuning, dataSet: split.map },
        };
  let measured: MeasuredSignificance | undefined;
  const measureOnce = async (): Promise<MeasuredSignificance> =>
    (measured ??= await measureMap(parent, mapped));
  const significance = await checkpoints.once(
    'significance',
    significanceSchema,
    async () => (await measureOnce()).map,
  );
  const problems = new Map<ObjectiveName, Problem>();
  const problemOfName = async (objective: ObjectiveName): Promise<Problem> => {
    const known = problems.get(objective);
    if (known !== undefined) return known;
    const own = { ...mapped, objective };
    const alone = await problemFor(parent, significance, own);
    const problem = {
      ...alone,
      interactions: await interactionsOf(parent, alone, significance, own, measureOnce),
    };
    problems.set(objective, problem);
    return problem;
  };
  const complete = (objective: ObjectiveName): Pick<ManifestParts, 'budget' | 'significance'> => ({
    budget: budgetOf(budget),
    significance: summaryOf(significance, objective),
  });
  const tried = (objective: ObjectiveName): string => `candidate-${objective}`;
  const meter = wholeMeter(parent, significance, {
    dataSet: split?.compared ?? options.tuning.dataSet,
    map: options.tuning.map,
    ...(signal !== undefined && { signal }),
  });
  const { components } = await problemOfName(options.objective);
  const { objective, allocated, scores } = await chooseCandidate({
    objectives,
    allocate: async (name) =>
      allocateWithin(
        await problemOfName(name),
        limits,
        name === options.objective ? 'allocation' : `allocation-${name}`,
        options,
      ),
    measure: (name, allocation) =>
      checkpoints.once(`whole-${name}`, effectsSchema, async () => {
        onProgress?.('comparing candidates', objectives.indexOf(name), objectives.length);
        const { artifact } = await makeArtifact(parent, allocation, tried(name), mapped, complete(name));
        return comparable(await meter(new Uint8Array(readFileSync(artifact.modelPath))));
      }),
    prices: () => semanticPrices(significance, components),
  });
  const problem = await problemOfName(objective);
  const front = await checkpoints.once('front', frontSchema, () =>
    timed(() =>
      frontOf(problem, {
        ...(signal !== undefined && { signal }),
        onProgress: (done, all) => onProgress?.('drawing the front', done, all),
      }),
    ),
  );
  const isTried = scores.some(({ damage }) => damage !== null);
  const { artifact, made } = await makeArtifact(
    parent,
    allocated.allocation,
    'candidate',
    mapped,
    complete(objective),
    options.finetune !== undefined
      ? tuneWeights(significance.critical.pairs)
      : isTried
        ? takeTried(tried(objective))
        : roundWeights,
  );
  for (const name of objectives) rmSync(join(options.folder, tried(name)), { recursive: true, force: true });
  const evidence = await judgeCandidate(parent, artifact, significance, 'judgement', options);
  return {
    artifact:
      evidence.kind === 'labels' && baseline.id === parent.id ? judgedArtifact(artifact, evidence) : artifact,
    significance,
    components,
    interactions: problem.interactions ?? [],
    objective,
    candidates: scores,
    allocated,
    front,
    made,
    evidence,
  };
};

const budgetOf = ({ modelBytes, latencyMs, memoryMb }: Budget): NonNullable<Manifest['budget']> => ({
  ...(modelBytes !== undefined && { modelBytes }),
  ...(latencyMs !== undefined && { latencyMs }),
  ...(memoryMb !== undefined && { memoryMb }),
});
