// A generation of a real artifact: which script, with which arguments.
import { dirname, join } from 'node:path';
import type { Config } from '../config/index.js';
import type { Artifact } from '../registry/index.js';
import type { Log } from '../system/index.js';
import { Generation } from './generation.js';
import type { ProcessOptions } from './options.js';

export interface CreateOptions {
  /** Counts generations of this supervisor, from 1. */
  readonly number: number;
  readonly artifact: Artifact;
  readonly detector: Config['detector'];
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly log: Log;
}

/** What a road has on it; a model's other classes are of no use to a counter of vehicles. */
const VEHICLES: ReadonlySet<string> = new Set(
  (
    'car automobile truck lorry bus van minibus minivan pickup suv taxi trailer tractor motorcycle motorbike moped scooter ' +
    'bicycle bike tricycle rickshaw autorickshaw tram streetcar train ambulance firetruck policecar vehicle'
  ).split(' '),
);

/** The class names of a model that are vehicles; `undefined` (all) where none is: such a model is not about vehicles. */
export const vehicleClasses = (classes: readonly string[]): string[] | undefined => {
  const vehicles = classes.filter((name) => {
    const folded = name.toLowerCase().replace(/[\s_-]+/g, '');
    return VEHICLES.has(folded) || VEHICLES.has(folded.replace(/s$/, ''));
  });
  return vehicles.length === 0 ? undefined : vehicles;
};

/** A generation that serves `artifact`; {@link Generation.start} starts its process, which checks every byte of the model. */
export const createGeneration = ({ number, artifact, detector, graceMs, log }: CreateOptions): Generation => {
  const { threads, spinning, scoreThreshold, iouThreshold, maxDetections } = detector;
  const classes = detector.classes ?? vehicleClasses(artifact.manifest.detector.classes);
  const options: ProcessOptions = {
    artifactId: artifact.id,
    threads,
    spinning,
    scoreThreshold,
    iouThreshold,
    maxDetections,
    ...(classes === undefined ? {} : { classes }),
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
    log,
  });
};
