// What a job begins with: its pictures as they were then, calibration data, the device's profile.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import {
  type Profile,
  profileDevice,
  profileModel,
  profileSchema,
  readProfile,
} from '../../allocation/index.js';
import { detectorMemory } from '../../detector/index.js';
import { BitlaneError } from '../../errors.js';
import { type DataSet, mapClasses, openDataSet } from '../../evaluation/index.js';
import { readModel } from '../../onnx/index.js';
import { pictureFeeds, type Timed } from '../../quantization/index.js';
import type { Artifact } from '../../registry/index.js';
import { namesIfThere } from '../../system/index.js';
import type { Checkpoints } from '../checkpoints.js';
import type { Labelled, Lessons } from '../options.js';
import { exampleMaterial, materialSchema } from './examples.js';
import type { Job } from './job.js';
import { spread, takeSnapshot } from './snapshot.js';

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: string, done: number, all: number) => void;
  /** Times are measured from here on, or are not any more. */
  readonly onTiming?: (isTiming: boolean) => Promise<void>;
}

export interface Context {
  readonly folder: string;
  readonly job: Job;
  readonly parent: Artifact;
  readonly checkpoints: Checkpoints;
  readonly options: RunOptions;
  readonly timed: Timed;
}

const snapshotSchema = z.strictObject({
  pictures: z.int(),
  objects: z.int(),
  fingerprint: z.string(),
});
const calibrationSchema = snapshotSchema.extend({ folder: z.string() });

const PROFILED_PICTURES = 8;

const labelledIn = (artifact: Artifact, dataSet: DataSet, isLabelled: boolean): Labelled => ({
  dataSet,
  map: mapClasses(artifact.manifest.detector.classes, dataSet.classes),
  isLabelled,
});

interface AskedPictures {
  readonly tuning: NonNullable<Job['tuning']>;
  readonly validation?: Job['validation'];
  readonly frames?: Job['frames'];
  /** Critical where nothing else says which pairs are. */
  readonly doubts: NonNullable<Job['pairs']>;
  /** What fine-tuning learns from. */
  readonly lessons: Lessons;
}

/** What is to be looked at: what the job names, or the device's hard examples as they are now. */
export const picturesOf = async ({ folder, job, checkpoints, options }: Context): Promise<AskedPictures> => {
  const { tuning, validation, frames, examples, acceptance } = job;
  if (examples === undefined) {
    if (tuning === undefined) throw new BitlaneError('BAD_CONFIG', 'the job names no pictures');
    const taken = join(folder, 'tuning');
    const lessons: Lessons = tuning.labelled
      ? { labelled: { path: taken, split: 'train' } }
      : { unlabelled: join(taken, 'images') };
    return { tuning, validation, frames, doubts: [], lessons };
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
  const { most } = examples;
  const part = (path: string, labelled: boolean): AskedPictures['tuning'] => ({
    path,
    split: 'train',
    most,
    labelled,
  });
  const { learned, others } = material;
  return {
    tuning: part(material.tuning, material.labelled),
    frames: { path: material.frames, most },
    ...(material.validation !== undefined && { validation: part(material.validation, true) }),
    doubts: material.doubts,
    lessons: {
      ...(learned !== undefined && { named: { path: learned, split: 'train' } }),
      ...(others !== undefined && { unlabelled: others }),
    },
  };
};

/** The pictures of one part of the job, as they were when it began. */
export const snapshotOf = async (
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
export const calibrationFor = async (
  { job, parent, checkpoints }: Context,
  tuning: Labelled,
): Promise<DataSet> => {
  const quarter = `${job.createdAt.slice(0, 4)}-${Math.floor((Number(job.createdAt.slice(5, 7)) - 1) / 3) + 1}`;
  const { folder } = await checkpoints.once('calibration', calibrationSchema, async () => {
    // A device that has more to show by then takes more.
    const most = Math.min(job.calibrationPictures, tuning.dataSet.images.length);
    const kept = join(job.cache, `calibration-${parent.id.slice(0, 12)}-${quarter}-${most}`);
    const taken = existsSync(kept)
      ? { pictures: 0, objects: 0, fingerprint: '' }
      : await takeSnapshot(tuning.dataSet, kept, { most, labelled: false });
    return { ...taken, folder: kept };
  });
  return openDataSet(folder, { split: 'train' });
};

export const framesFor = async (
  { checkpoints }: Context,
  frames: Job['frames'],
): Promise<readonly string[]> => {
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
export const profileFor = async (context: Context, tuning: Labelled): Promise<Profile | undefined> => {
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
    const { profile } = await context.timed(() =>
      profileModel(readModel(parent.modelPath), feeds, {
        model: { id: parent.id, name: manifest.name },
        threads: job.threads,
        seconds: job.profileSeconds,
        ...(options.signal !== undefined && { signal: options.signal }),
        onProgress: (gone) => options.onProgress?.('profiling', Math.round(gone), job.profileSeconds),
        memoryOf: (model) => detectorMemory(model, manifest, job.threads),
      }),
    );
    return profile;
  });
};
