// A generation of a real artifact: which script, with which arguments.
import { dirname, join } from 'node:path';
import type { Config } from '../config/index.js';
import type { Artifact } from '../registry/index.js';
import type { Log } from '../system/index.js';
import { Generation } from './generation.js';
import { keptClasses } from './kept-classes.js';
import type { ProcessOptions } from './options.js';

export interface CreateOptions {
  /** Counts generations of this supervisor, from 1. */
  readonly number: number;
  readonly artifact: Artifact;
  readonly detector: Config['detector'];
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** It works only while nobody else wants the processor. */
  readonly last?: boolean;
  readonly log: Log;
}

/** A generation that serves `artifact`; {@link Generation.start} starts its process, which checks every byte of the model. */
export const createGeneration = ({
  number,
  artifact,
  detector,
  graceMs,
  last = false,
  log,
}: CreateOptions): Generation => {
  const { threads, spinning, scoreThreshold, iouThreshold, maxDetections } = detector;
  const { classes } = keptClasses(detector.classes, artifact.manifest.detector.classes);
  const options: ProcessOptions = {
    artifactId: artifact.id,
    threads,
    spinning,
    scoreThreshold,
    iouThreshold,
    maxDetections,
    classes: [...classes],
  };
  return new Generation({
    number,
    artifactId: artifact.id,
    classes: artifact.manifest.detector.classes,
    script: join(import.meta.dirname, 'process.js'),
    args: [dirname(artifact.modelPath), JSON.stringify(options)],
    startTimeoutMs: detector.startTimeoutMs,
    frameTimeoutMs: detector.frameTimeoutMs,
    graceMs,
    last,
    log,
  });
};
