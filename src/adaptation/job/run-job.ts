// A job from its snapshot to its result, each step once. Runs in the adapter's process.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import {
  leastUsage,
  type Profile,
  profileModel,
  profileSchema,
  readProfile,
  profileDevice,
} from '../../allocation/index.js';
import { detectorMemory } from '../../detector/index.js';
import { asBitlaneError, BitlaneError } from '../../errors.js';
import { type DataSet, mapClasses, openDataSet } from '../../evaluation/index.js';
import { readModel } from '../../onnx/index.js';
import {
  type Allocation,
  channelBits,
  type Component,
  integersSaturate,
  pictureFeeds,
} from '../../quantization/index.js';
import { type Artifact, foldName, readArtifactFolder } from '../../registry/index.js';
import { type Pair, parsePairs, type SignificanceMap } from '../../significance/index.js';
import { namesIfThere, writeFileAtomic } from '../../system/index.js';
import { judge } from '../acceptance.js';
import {
  type Adapted,
  adaptModel,
  type AdaptOptions,
  allocateWithin,
  type JudgedBy,
  judgeCandidate,
  type Labelled,
  makeArtifact,
  problemFor,
} from '../adapt.js';
import { Checkpoints } from '../checkpoints.js';
import type { Made } from '../documents.js';
import { artifactMeasure } from '../measure-artifact.js';
import { adaptationReport } from '../report.js';
import { exampleMaterial, materialSchema } from './examples.js';
import { type Job, readJob } from './job.js';
import { pruneCache } from './prune.js';
import { type JobResult, type MadeArtifact, readResult, writeResult } from './result.js';
import { spread, takeSnapshot } from './snapshot.js';

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number, all: number) => void;
}

/** In a job's folder. */
export const REPORT_FILE = 'report.html';

const snapshotSchema = z.strictObject({
  pictures: z.int(),
  objects: z.int(),
  fingerprint: z.string(),
});
const calibrationSchema = snapshotSchema.extend({ folder: z.string() });

/** A rung that is not this much faster than the one above is none. */
const WORTH = 0.97;
const NODES = 4_000;
const TOP = 10;
const PROFILED_PICTURES = 8;

interface Context {
  readonly folder: string;
  readonly job: Job;
  readonly parent: Artifact;
  readonly checkpoints: Checkpoints;
  readonly options: RunOptions;
}

const labelledIn = (artifact: Artifact, dataSet: DataSet, isLabelled: boolean): Labelled => ({
  dataSet,
  map: mapClasses(artifact.manifest.detector.classes, dataSet.classes),
  isLabelled,
});

interface AskedPictures {
  readonly tuning: NonNullable<Job['tuning']>;
  readonly validation?: Job['validation'];
  readonly frames?: Job['frames'];
}

/** What is to be looked at: what the job names, or the device's hard examples as they are now. */
const picturesOf = async ({ folder, job, checkpoints, options }: Context): Promise<AskedPictures> => {
  const { tuning, validation, frames, examples, acceptance } = job;
  if (examples === undefined) {
    if (tuning === undefined) throw new BitlaneError('BAD_CONFIG', 'the job names no pictures');
    return { tuning, validation, frames };
  }
  const { signal, onProgress } = options;
  const material = await checkpoints.once('examples', materialSchema, () =>
    exampleMaterial({
      ...examples,
      minPictures: acceptance.minPictures,
      folder: join(folder, 'examples'),
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress?.('examples', done, all),
    }),
  );
  const part = (path: string): AskedPictures['tuning'] => ({
    path,
    split: 'train',
    most: examples.most,
    labelled: true,
  });
  return {
    tuning: part(material.tuning),
    frames: { path: material.frames, most: examples.most },
    ...(material.validation !== undefined && { validation: part(material.validation) }),
  };
};

/** The pictures of one part of the job, as they were when it began. */
const snapshotOf = async (
  { folder, checkpoints, parent, options }: Context,
  part: 'tuning' | 'validation',
  asked: NonNullable<Job['tuning']>,
): Promise<Labelled> => {
  const { signal, onProgress } = options;
  const target = join(folder, part);
  await checkpoints.once(part, snapshotSchema, () =>
    takeSnapshot(openDataSet(asked.path, { split: asked.split }), target, {
      most: asked.most,
      labelled: asked.labelled,
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress?.('snapshot', done, all),
    }),
  );
  return labelledIn(parent, openDataSet(target, { split: 'train' }), asked.labelled);
};

/**
 * Pictures that weights and ranges are fitted on. They outlive the job, for a quarter of a year: what was measured with them need not be
 * measured again while they stay the same.
 */
const calibrationFor = async ({ job, parent, checkpoints }: Context, tuning: Labelled): Promise<DataSet> => {
  const quarter = `${job.createdAt.slice(0, 4)}-${Math.floor((Number(job.createdAt.slice(5, 7)) - 1) / 3) + 1}`;
  const { folder } = await checkpoints.once('calibration', calibrationSchema, async () => {
    const name = `calibration-${parent.id.slice(0, 12)}-${quarter}-${job.calibrationPictures}`;
    const kept = join(job.cache, name);
    const taken = existsSync(kept)
      ? { pictures: 0, objects: 0, fingerprint: '' }
      : await takeSnapshot(tuning.dataSet, kept, { most: job.calibrationPictures, labelled: false });
    return { ...taken, folder: kept };
  });
  return openDataSet(folder, { split: 'train' });
};

const framesFor = async ({ checkpoints }: Context, frames: Job['frames']): Promise<readonly string[]> => {
  if (frames === undefined) {
    throw new BitlaneError(
      'BAD_DATASET',
      'there is nothing to judge a candidate by: the job names neither labelled pictures for validation nor frames',
    );
  }
  return checkpoints.once('frames', z.array(z.string()), async () => {
    const names = (await namesIfThere(frames.path)).filter((name) => /\.(jpe?g|png)$/i.test(name)).sort();
    return spread(names.length, frames.most).map((index) => join(resolve(frames.path), names[index] ?? ''));
  });
};

/** The device's profile, where a limit needs one. It is measured once; a job that is taken up again keeps its numbers. */
const profileFor = async (context: Context, tuning: Labelled): Promise<Profile | undefined> => {
  const { job, parent, checkpoints, options } = context;
  const { latencyMs, memoryMb } = job.budget;
  if (latencyMs === undefined && memoryMb === undefined && job.profile === undefined && job.rungs === 0)
    return undefined;
  return checkpoints.once('profile', profileSchema, async () => {
    if (job.profile !== undefined) {
      return readProfile(job.profile, {
        modelId: parent.id,
        threads: job.threads,
        device: await profileDevice(),
      });
    }
    const { manifest } = parent;
    const feeds = pictureFeeds(tuning.dataSet, manifest.detector.input, PROFILED_PICTURES);
    const { profile } = await profileModel(readModel(parent.modelPath), feeds, {
      model: { id: parent.id, name: manifest.name },
      threads: job.threads,
      seconds: job.profileSeconds,
      ...(options.signal !== undefined && { signal: options.signal }),
      onProgress: (gone) => options.onProgress?.('profiling', Math.round(gone), job.profileSeconds),
      memoryOf: (model) => detectorMemory(model, manifest, job.threads),
    });
    return profile;
  });
};

/** What the confusions showed, with what the configuration pins and without what it bans. */
const choosePairs = (job: Job, classes: readonly string[]): AdaptOptions['pairs'] => {
  const known = (pairs: readonly (readonly [string, string])[]): Pair[] =>
    pairs
      .filter((names) => names.every((name) => classes.some((own) => foldName(own) === foldName(name))))
      .flatMap((names) => parsePairs(names.join(':'), classes));
  const [pinned, banned] = [known(job.pinned), new Set(known(job.banned).map(String))];
  const chosen = job.pairs === undefined ? undefined : known(job.pairs);
  if (chosen?.length === 0 && pinned.length === 0) {
    throw new BitlaneError(
      'BAD_DATASET',
      `the pictures know none of the critical pairs ${(job.pairs ?? []).map((pair) => pair.join(':')).join(', ')}: their classes are ${classes.join(', ')}`,
    );
  }
  return (shown) =>
    [...new Map([...(chosen ?? shown), ...pinned].map((pair) => [String(pair), pair])).entries()]
      .filter(([key]) => !banned.has(key))
      .map(([, pair]) => pair);
};

const bitsOf = (components: readonly Component[], allocation: Allocation): Record<string, number> => {
  const counts = new Map<number, number>();
  for (const component of components) {
    const entry = allocation.components[component.name];
    if (entry === undefined) continue;
    const widths = channelBits(component, entry);
    for (const bits of widths) {
      counts.set(bits, (counts.get(bits) ?? 0) + component.weightBytes / widths.length);
    }
  }
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return Object.fromEntries([...counts].map(([bits, count]) => [String(bits), count / all]));
};

const madeArtifact = (
  components: readonly Component[],
  folder: string,
  made: Made,
  { allocation, measured }: Adapted['allocated'],
): MadeArtifact => ({
  id: made.id,
  folder,
  modelBytes: made.bytes,
  averageBits: made.averageBits,
  runMs: made.latency.ms,
  bits: bitsOf(components, allocation),
  int8: Object.values(allocation.components).filter(({ execution }) => execution === 'int8').length,
  measured,
});

/** Artifacts that are faster and worse than the candidate, each a step down; none where the device gains nothing by it. */
const rungsBelow = async (
  parent: Artifact,
  adapted: Adapted,
  adapt: AdaptOptions,
  job: Job,
): Promise<Extract<JobResult, { outcome: 'accepted' | 'rejected' }>['rungs']> => {
  const top = adapted.allocated.usage.latencyMs;
  if (job.rungs === 0 || top === undefined) return [];
  const { modelBytes } = job.budget;
  const alone = await problemFor(parent, adapted.significance, adapt);
  const problem = { ...alone, interactions: adapted.interactions };
  const fastest = await leastUsage(problem, 'latencyMs', { modelBytes }, { nodes: NODES });
  if (fastest === undefined || fastest > WORTH * top) return [];
  const rungs = [];
  let above = top;
  for (let number = 1; number <= job.rungs; number++) {
    const latencyMs = top - ((top - fastest) * number) / job.rungs + 1e-6;
    if (latencyMs > WORTH * above) continue;
    above = latencyMs;
    const step = `rung-${number}`;
    const measure = artifactMeasure(parent, {
      budget: { modelBytes },
      profile: undefined,
      isRun: false,
      signal: adapt.signal,
    });
    const allocated = await allocateWithin(problem, { modelBytes, latencyMs }, `${step}-allocation`, {
      ...adapt,
      measure,
    });
    const { made, artifact } = await makeArtifact(parent, allocated.allocation, step, adapt, {});
    const evidence = await judgeCandidate(parent, artifact, adapted.significance, `${step}-judgement`, adapt);
    rungs.push({ ...madeArtifact(adapted.components, join(adapt.folder, step), made, allocated), evidence });
  }
  return rungs;
};

const significantOf = ({ components }: SignificanceMap): { component: string; divergence: number }[] =>
  Object.entries(components)
    .map(([component, { weights }]) => ({ component, divergence: weights['4']?.robust.divergence.mean ?? 0 }))
    .sort((a, b) => b.divergence - a.divergence)
    .slice(0, TOP);

const run = async (context: Context): Promise<JobResult> => {
  const { folder, job, parent, checkpoints, options } = context;
  const { signal, onProgress } = options;
  const asked = await picturesOf(context);
  const tuning = await snapshotOf(context, 'tuning', asked.tuning);
  const judgedBy: JudgedBy =
    asked.validation === undefined
      ? { kind: 'teacher', frames: await framesFor(context, asked.frames) }
      : { kind: 'labels', validation: await snapshotOf(context, 'validation', asked.validation) };
  const calibration = await calibrationFor(context, tuning);
  const reduceRange = await checkpoints.once('kernels', z.boolean(), () => integersSaturate());
  const profile = await profileFor(context, tuning);
  const { latencyMs } = job.budget;
  const limits = {
    ...job.budget,
    ...(latencyMs !== undefined && { latencyMs: latencyMs / job.frameOverRun }),
  };
  const pairs = choosePairs(job, tuning.map.classes);
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
    ...(profile !== undefined && { profile }),
    measure: artifactMeasure(parent, { budget: limits, profile, isRun: true, signal }),
    calibrationPictures: job.calibrationPictures,
    cache: job.cache,
    processes: job.processes,
    reduceRange,
    ...(job.name !== undefined && { name: job.name }),
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
  };
  const adapted = await adaptModel(parent, adapt);
  writeFileAtomic(join(folder, REPORT_FILE), adaptationReport(parent, adapted));
  const rungs = await rungsBelow(parent, adapted, adapt, job);
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
    result = await run({ folder, job, parent, checkpoints, options });
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
