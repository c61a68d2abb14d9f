// Small jobs for tests and benchmarks: a detector of a few thousand weights, six pictures of noise.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Job, writeJob } from '../../src/adaptation/index.js';
import type { Fixture } from '../significance/fixture.js';

export type JobChange = Partial<Parameters<typeof writeJob>[1]>;

/** A few steps of training, each kept. */
export const shortTuning = {
  steps: 6,
  batch: 2,
  learningRate: 1e-3,
  teacherWeight: 1,
  pairWeight: 2,
  wordWeight: 10,
  checkpointEvery: 1,
} as const;

/** A new job in a new folder below `folder`, with a cache of its own. */
export const smallJob = (folder: string, { home, data }: Fixture, change: JobChange = {}): string => {
  const own = join(folder, 'job');
  const cache = join(folder, 'cache');
  for (const path of [own, cache]) mkdirSync(path, { recursive: true });
  const pictures: NonNullable<Job['tuning']> = { path: data, split: 'train', most: 3, labelled: true };
  writeJob(own, {
    format: 'bitlane-adaptation',
    version: 1,
    id: 'small',
    createdAt: '2026-01-31T12:00:00.000Z',
    trigger: 'command',
    parent: home,
    baseline: home,
    tuning: pictures,
    validation: { ...pictures, split: 'val' },
    pairs: [
      ['bus', 'car'],
      ['car', 'truck'],
    ],
    budget: { averageBits: 4 },
    objective: 'semantic',
    calibrationPictures: 2,
    processes: 1,
    threads: 1,
    acceptance: { minPictures: 1, minObjects: 1, maxDrop: 1 },
    cache,
    ...change,
  });
  return own;
};
