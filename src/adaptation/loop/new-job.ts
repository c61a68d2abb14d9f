// A new job in its folder, which appears whole or not at all.
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../../config/index.js';
import type { Artifact } from '../../registry/index.js';
import { definedBudget, type Job, type Trigger, writeJob } from '../job/job.js';
import { picturesFor } from './material.js';
import type { ClassPair } from './triggers.js';

export interface NewJob {
  readonly config: Config;
  /** The loop's folder. */
  readonly home: string;
  readonly trigger: Trigger;
  readonly budget: Readonly<Job['budget']>;
  readonly critical: readonly ClassPair[];
  readonly parent: Artifact;
  readonly baseline: Artifact;
  /** As learned; 1 where it was not yet. */
  readonly frameOverRun: number;
  /** What tells it where it was not learned yet. */
  readonly servedP95Ms: number | undefined;
  readonly now: Date;
}

/** @returns its folder */
export const newJob = (asked: NewJob): string => {
  const { config, home, parent, baseline, now } = asked;
  const { adaptation, confusions, detector } = config;
  const { steps, ...learning } = adaptation.finetune;
  const moment = now.toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
  const [incoming, folder] = [join(home, 'job.incoming'), join(home, 'job')];
  rmSync(incoming, { recursive: true, force: true });
  mkdirSync(incoming, { recursive: true, mode: 0o750 });
  const budget = definedBudget(asked.budget);
  writeJob(incoming, {
    format: 'bitlane-adaptation',
    version: 1,
    id: `${moment}-${randomBytes(2).toString('hex')}`,
    createdAt: now.toISOString(),
    trigger: asked.trigger,
    parent: dirname(parent.modelPath),
    baseline: dirname(baseline.modelPath),
    ...picturesFor(config, asked.critical),
    pinned: confusions.pinned,
    banned: confusions.banned,
    // Where nothing is limited the new model is at least no larger than the one that serves.
    budget: Object.keys(budget).length > 0 ? budget : { modelBytes: baseline.manifest.modelBytes },
    frameOverRun: asked.frameOverRun,
    ...(asked.servedP95Ms !== undefined && { servedP95Ms: asked.servedP95Ms }),
    objective: adaptation.objective,
    calibrationPictures: adaptation.calibrationPictures,
    ...(steps > 0 && { finetune: { steps, ...learning } }),
    ...(adaptation.profile !== undefined && { profile: adaptation.profile }),
    processes: adaptation.processes,
    threads: detector.threads,
    rungs: adaptation.ladder.rungs,
    acceptance: {
      minPictures: adaptation.minPictures,
      minObjects: adaptation.minObjects,
      maxDrop: adaptation.maxDrop,
    },
    cache: join(home, 'cache'),
    cacheMb: adaptation.cacheMb,
  });
  rmSync(folder, { recursive: true, force: true });
  renameSync(incoming, folder);
  return folder;
};
