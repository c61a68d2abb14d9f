// A candidate on trial: installed, tried on live frames in the detector process, committed or refused; and what was learned from it.
import { BitlaneError, messageOf } from '../../errors.js';
import { isSameDetector, type Registry } from '../../registry/index.js';
import type { Log } from '../../system/index.js';
import type { Job } from '../job/job.js';
import type { JobResult } from '../job/result.js';
import type { LoopMemory } from './memory.js';
import type { Deployed, DeployFigures, Serving } from './serving.js';

export interface TrialParts {
  readonly registry: Registry;
  readonly serving: Serving;
  readonly memory: LoopMemory;
  readonly log: Log;
  readonly wait: (ms: number) => Promise<void>;
}

export interface Trial {
  readonly job: Job;
  readonly result: Extract<JobResult, { outcome: 'accepted' | 'rejected' }>;
  readonly parent: string;
  readonly baseline: string;
  readonly canaryFrames: number;
  readonly minAgreement: number;
}

export interface Tried {
  readonly committed: boolean;
  readonly reason: string;
  /** It was over its budget. */
  readonly missed: boolean;
  readonly figures?: DeployFigures;
}

/** Another swap may be under way: it is waited for. */
const PATIENCE = 60;
const BUSY_MS = 5_000;

/** Never throws: what cannot be installed is refused. */
export const tryCandidate = async (parts: TrialParts, trial: Trial): Promise<Tried> => {
  const { registry, serving, memory, log } = parts;
  const { job, result, parent } = trial;
  const { candidate, rungs } = result;
  const standReady = (): void =>
    memory.set({
      ladder: rungs.length === 0 ? [] : [candidate, ...rungs].map(({ id, runMs }) => ({ id, runMs })),
    });
  // Killed after the swap was committed, or nothing better was found.
  const isServing = candidate.id === serving.artifact?.id;
  const serves: Tried = { committed: true, reason: result.reason, missed: false };
  try {
    const { detector } = (await registry.get(parent)).manifest;
    for (const { folder } of [candidate, ...rungs]) {
      const artifact = await registry.installFolder(folder);
      if (!isSameDetector(artifact.manifest.detector, detector)) {
        throw new BitlaneError(
          'BAD_MODEL',
          'the candidate is another detector than the model it was made from',
        );
      }
      memory.set({ owned: [...new Set([...memory.value.owned, artifact.id])] });
    }
  } catch (error) {
    if (!isServing) return { committed: false, reason: messageOf(error), missed: false };
    log.warn(`the rungs below the model that serves could not be installed: ${messageOf(error)}`);
    return serves;
  }
  if (isServing) {
    standReady();
    return serves;
  }
  const active = serving.artifact?.id;
  if (
    active !== undefined &&
    ![trial.baseline, ...memory.value.ladder.map(({ id }) => id)].includes(active)
  ) {
    await removeOwned(parts, trial, []);
    const reason = `another model was chosen meanwhile: ${active.slice(0, 12)}`;
    return { committed: false, reason, missed: false };
  }
  const deployed = await whenFree(parts, () =>
    serving.deploy(candidate.id, {
      budget: job.budget,
      canaryFrames: trial.canaryFrames,
      minAgreement: trial.minAgreement,
    }),
  );
  const { figures } = deployed;
  if (figures !== undefined) memory.learn(parent, figures.p95Ms, candidate.runMs);
  if (!deployed.committed) {
    await removeOwned(parts, trial, []);
    const { reason = 'the swap was refused', missed = false } = deployed;
    return { committed: false, reason, missed, ...(figures && { figures }) };
  }
  standReady();
  await removeOwned(parts, trial, [candidate.id, ...rungs.map(({ id }) => id)]);
  log.info('the adapted model serves', { model: candidate.id.slice(0, 12) });
  return { ...serves, ...(figures && { figures }) };
};

const whenFree = async ({ wait }: TrialParts, work: () => Promise<Deployed>): Promise<Deployed> => {
  for (let attempt = 1; ; attempt++) {
    const deployed = await work();
    if (deployed.busy !== true || attempt >= PATIENCE) return deployed;
    await wait(BUSY_MS);
  }
};

/** Removes artifacts of earlier adaptations that nobody needs any more. */
const removeOwned = async (
  { registry, memory, log }: TrialParts,
  { parent, baseline }: Trial,
  keep: readonly string[],
): Promise<void> => {
  const needed = new Set([
    ...keep,
    parent,
    baseline,
    ...memory.value.ladder.map(({ id }) => id),
    ...[registry.active, registry.previous, registry.factory].filter((id) => id !== null),
  ]);
  const left: string[] = [];
  for (const id of memory.value.owned) {
    if (needed.has(id)) {
      left.push(id);
      continue;
    }
    try {
      await registry.remove(id);
    } catch (error) {
      log.warn(`an artifact of an earlier adaptation could not be removed: ${messageOf(error)}`);
      // One that is gone already is nobody's any more.
      if (!(error instanceof BitlaneError) || error.code !== 'NO_SUCH_MODEL') left.push(id);
    }
  }
  memory.set({ owned: left });
};
