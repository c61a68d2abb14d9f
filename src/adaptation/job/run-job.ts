// A job from its snapshot to its result, each step once. Runs in the adapter's process.
import { join } from 'node:path';
import { z } from 'zod';
import type { Profile } from '../../allocation/index.js';
import { asBitlaneError, BitlaneError } from '../../errors.js';
import { integersSaturate, type Timed } from '../../quantization/index.js';
import { foldName, readArtifactFolder } from '../../registry/index.js';
import { type Pair, parsePairs, type SignificanceMap } from '../../significance/index.js';
import { writeFileAtomic } from '../../system/index.js';
import { judge } from '../acceptance.js';
import { adaptModel } from '../adapt.js';
import { Checkpoints } from '../checkpoints.js';
import { artifactMeasure } from '../measure-artifact.js';
import type { AdaptOptions, JudgedBy } from '../options.js';
import { adaptationReport } from '../report.js';
import {
  calibrationFor,
  type Context,
  framesFor,
  picturesOf,
  profileFor,
  type RunOptions,
  snapshotOf,
} from './inputs.js';
import { type Job, readJob } from './job.js';
import { madeArtifact } from './made.js';
import { pruneCache } from './prune.js';
import { type JobResult, readResult, writeResult } from './result.js';
import { rungsBelow } from './rungs.js';

/** In a job's folder. */
export const REPORT_FILE = 'report.html';

const TOP = 10;

/** What the confusions showed, else what the model was in doubt about; with what the configuration pins and without what it bans. */
const choosePairs = (
  job: Job,
  doubts: NonNullable<Job['pairs']>,
  classes: readonly string[],
): AdaptOptions['pairs'] => {
  const known = (pairs: readonly (readonly [string, string])[]): Pair[] =>
    pairs
      .filter((names) => names.every((name) => classes.some((own) => foldName(own) === foldName(name))))
      .flatMap((names) => parsePairs(names.join(':'), classes));
  const [pinned, banned] = [known(job.pinned), new Set(known(job.banned).map(String))];
  const named = job.pairs ?? (doubts.length > 0 ? doubts : undefined);
  const chosen = named === undefined ? undefined : known(named);
  if (chosen?.length === 0 && pinned.length === 0) {
    throw new BitlaneError(
      'BAD_DATASET',
      `the pictures know none of the critical pairs ${(named ?? []).map((pair) => pair.join(':')).join(', ')}: their classes are ${classes.join(', ')}`,
    );
  }
  return (shown) =>
    [...new Map([...(chosen ?? shown), ...pinned].map((pair) => [String(pair), pair])).entries()]
      .filter(([key]) => !banned.has(key))
      .map(([, pair]) => pair);
};

const significantOf = ({ components }: SignificanceMap): { component: string; divergence: number }[] =>
  Object.entries(components)
    .map(([component, { weights }]) => ({ component, divergence: weights['4']?.robust.divergence.mean ?? 0 }))
    .sort((a, b) => b.divergence - a.divergence)
    .slice(0, TOP);

/** What frames take beside the run of a model: learned from a canary, else from the model that serves; 1 where nothing says so. */
const frameOverRun = (job: Job, profile: Profile | undefined): number =>
  job.servedP95Ms === undefined || profile === undefined
    ? job.frameOverRun
    : Math.max(1, job.servedP95Ms / profile.uniform.fp32Ms);

/** Tells when work that goes by the clock begins, and when the last of it has ended. */
const timedBy = ({ onTiming }: RunOptions): Timed => {
  let works = 0;
  return async (work) => {
    works += 1;
    if (works === 1) await onTiming?.(true);
    try {
      return await work();
    } finally {
      works -= 1;
      if (works === 0) await onTiming?.(false);
    }
  };
};

const run = async (context: Context): Promise<JobResult> => {
  const { folder, job, parent, checkpoints, options, timed } = context;
  const { signal, onProgress } = options;
  const asked = await picturesOf(context);
  const tuning = await snapshotOf(context, 'tuning', asked.tuning);
  const judgedBy: JudgedBy =
    asked.validation === undefined
      ? { kind: 'teacher', frames: await framesFor(context, asked.frames) }
      : {
          kind: 'labels',
          validation: await snapshotOf(context, 'validation', asked.validation),
          ...(asked.frames !== undefined && { frames: await framesFor(context, asked.frames) }),
        };
  const calibration = await calibrationFor(context, tuning);
  const reduceRange = await checkpoints.once('kernels', z.boolean(), () => integersSaturate());
  const profile = await profileFor(context, tuning);
  const { latencyMs } = job.budget;
  const limits = {
    ...job.budget,
    ...(latencyMs !== undefined && { latencyMs: latencyMs / frameOverRun(job, profile) }),
  };
  const pairs = choosePairs(job, asked.doubts, tuning.map.classes);
  const adapt: AdaptOptions = {
    folder,
    checkpoints,
    tuning,
    calibration,
    judgedBy,
    baseline: await readArtifactFolder(job.baseline),
    ...(pairs !== undefined && { pairs }),
    budget: job.budget,
    limits,
    objective: job.objective,
    ...(job.candidates !== undefined && { candidates: job.candidates }),
    ...(profile !== undefined && { profile }),
    measure: artifactMeasure(parent, { budget: limits, profile, isRun: true, signal }),
    timed,
    calibrationPictures: job.calibrationPictures,
    ...(job.finetune !== undefined && { finetune: { ...job.finetune, lessons: asked.lessons } }),
    cache: job.cache,
    processes: job.processes,
    reduceRange,
    ...(job.name !== undefined && { name: job.name }),
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
  };
  const adapted = await adaptModel(parent, adapt);
  writeFileAtomic(join(folder, REPORT_FILE), adaptationReport(parent, adapted));
  const rungs = await rungsBelow(parent, adapted, { ...adapt, objective: adapted.objective }, job);
  const { accepted, reason } = judge(adapted.evidence, job.acceptance);
  const { critical, data } = adapted.significance;
  return {
    outcome: accepted ? 'accepted' : 'rejected',
    job: job.id,
    reason,
    candidate: madeArtifact(adapted.components, join(folder, 'candidate'), adapted.made, adapted.allocated),
    evidence: adapted.evidence,
    rungs,
    critical: {
      pairs: critical.pairs,
      objects: critical.objects,
      labelled: critical.labelled,
      pictures: data.pictures,
    },
    significant: significantOf(adapted.significance),
    objective: adapted.objective,
    candidates: [...adapted.candidates],
    damage: adapted.allocated.damage,
    gap: adapted.allocated.gap,
    times: checkpoints.times,
  };
};

/** What is wrong with the job itself, and stays wrong however often it is begun again. */
const FINAL: ReadonlySet<string> = new Set([
  'BAD_DATASET',
  'BAD_MODEL',
  'BAD_USAGE',
  'BAD_CONFIG',
  'UNSUPPORTED',
  'NO_SUCH_MODEL',
]);

/**
 * Does the job of a folder, from where it was left; a job that has come to its end gives its result at once.
 *
 * @throws BitlaneError what may pass (a full disk, a process that was killed), the reason of `signal`
 */
export const runJob = async (folder: string, options: RunOptions = {}): Promise<JobResult> => {
  const done = readResult(folder);
  if (done !== undefined) return done;
  const job = readJob(folder);
  let result: JobResult;
  try {
    const parent = await readArtifactFolder(job.parent);
    const checkpoints = new Checkpoints(join(folder, 'steps'), job);
    result = await run({ folder, job, parent, checkpoints, options, timed: timedBy(options) });
  } catch (thrown) {
    options.signal?.throwIfAborted();
    const error = asBitlaneError(thrown);
    if (!FINAL.has(error.code)) throw error;
    result = { outcome: 'failed', job: job.id, code: error.code, reason: error.message };
  }
  writeResult(folder, result);
  pruneCache(job.cache, job.cacheMb);
  return result;
};
