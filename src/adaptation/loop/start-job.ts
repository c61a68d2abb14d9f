// A job for what serves now: its FP32 parent, what a candidate must be as good as, the budget that holds.
import type { Config } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import { type Artifact, foldName, type Registry } from '../../registry/index.js';
import { type Job, readJob, type Trigger } from '../job/job.js';
import type { LoopMemory } from './memory.js';
import { newJob } from './new-job.js';
import { floatParentOf } from './parent.js';
import type { Serving } from './serving.js';
import type { ClassPair } from './triggers.js';

export interface JobParts {
  readonly config: () => Config;
  readonly registry: Registry;
  readonly serving: Pick<Serving, 'artifact'>;
  readonly critical: () => readonly ClassPair[];
  readonly memory: LoopMemory;
  /** p95 of frames of a model that serves, milliseconds; `undefined` where it was not seen for long enough. */
  readonly servedP95Ms: (model: string) => number | undefined;
  /** The loop's folder. */
  readonly home: string;
}

export interface AskedJob {
  readonly trigger: Trigger;
  /** Instead of the configured one. */
  readonly budget?: Job['budget'] | undefined;
  /** Instead of those that are observed. */
  readonly pairs?: Job['pairs'];
}

/** @throws BitlaneError `BAD_COMMAND` for pairs that the model cannot confuse */
const checkPairs = (pairs: Job['pairs'], classes: readonly string[]): void => {
  const known = new Set(classes.map(foldName));
  for (const pair of pairs ?? []) {
    const stranger = pair.find((name) => !known.has(foldName(name)));
    if (stranger !== undefined) {
      throw new BitlaneError(
        'BAD_COMMAND',
        `pairs: "${stranger}" is no class of the model that serves: ${classes.join(', ')}`,
      );
    }
    if (new Set(pair.map(foldName)).size < pair.length)
      throw new BitlaneError('BAD_COMMAND', `pairs: ${pair.join(':')} must name two classes`);
  }
};

/** Bits of a weight in FP32, and the fewest that it can be given. */
const FEWEST = 2 / 32;

/** @throws BitlaneError `BAD_COMMAND` for a file that no allocation makes as small */
const checkBytes = ({ modelBytes }: Job['budget'], parent: Artifact): void => {
  const least = Math.ceil(FEWEST * parent.manifest.modelBytes);
  if (modelBytes === undefined || modelBytes >= least) return;
  throw new BitlaneError(
    'BAD_COMMAND',
    `budget.modelBytes ${modelBytes} cannot be met: with 2 bits for every weight the model takes more than ${least} bytes`,
  );
};

/**
 * Writes a new job into its folder.
 *
 * @throws BitlaneError `NO_SUCH_MODEL` where there is nothing to adapt, `BAD_COMMAND` for pairs or a budget that cannot be
 */
export const startJob = async (
  { config: configured, registry, serving, critical, memory, servedP95Ms, home }: JobParts,
  { trigger, budget, pairs }: AskedJob,
): Promise<{
  readonly folder: string;
  readonly job: Job;
  readonly parent: string;
  readonly baseline: string;
}> => {
  const config = configured();
  const { ladder, frameOverRun } = memory.value;
  const active = serving.artifact;
  if (active === undefined)
    throw new BitlaneError('NO_SUCH_MODEL', 'no model serves: there is nothing to adapt');
  // On a lower rung the model that serves is not what a new one must be as good as.
  const best = ladder.some(({ id }) => id === active.id) ? ladder[0]?.id : undefined;
  const baseline = best === undefined ? active : await registry.get(best);
  const parent = await floatParentOf(registry, baseline);
  checkPairs(pairs, parent.manifest.detector.classes);
  checkBytes(budget ?? config.adaptation.budget, parent);
  const learned = frameOverRun[parent.id];
  const folder = newJob({
    config,
    home,
    trigger,
    budget: budget ?? config.adaptation.budget,
    critical: pairs ?? critical(),
    parent,
    baseline,
    frameOverRun: learned ?? 1,
    servedP95Ms: learned === undefined && baseline.id === parent.id ? servedP95Ms(parent.id) : undefined,
    now: new Date(),
  });
  return { folder, job: readJob(folder), parent: parent.id, baseline: baseline.id };
};
