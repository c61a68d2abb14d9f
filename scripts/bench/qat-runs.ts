// The training runs of the QAT benchmark. Each has a folder of its own, and goes on there where it was ended.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import type { DetectorSpec } from '../../src/registry/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import {
  type DetectorTrainingOptions,
  FINE_TUNING_AUGMENTATION,
  labelledSpec,
  type SourceSpec,
  trainDetector,
  type TrainedDetector,
  unlabelledSpec,
} from '../../src/training/index.js';
import type { QatData } from './qat-data.js';

export interface Runs {
  readonly folder: string;
  readonly detector: DetectorSpec;
  readonly data: QatData;
  readonly steps: number;
  readonly batch: number;
  readonly threads: number;
}

/** What differs between runs. */
export type RunOptions = Pick<
  DetectorTrainingOptions,
  'model' | 'learningRate' | 'weights' | 'teacher' | 'teacherWeight' | 'labelled' | 'unlabelled'
> &
  Partial<Pick<DetectorTrainingOptions, 'augmentation' | 'featureWeight' | 'biasRate' | 'seed'>>;

const SHOWN_EVERY = 20;
export const SEED = 1;
const WEIGHT_DECAY = 0.01;

export const labels = ({ data, detector }: Runs): SourceSpec =>
  labelledSpec({ path: data.path, split: 'train', classes: detector.classes });

export const withoutLabels = ({ data }: Runs): SourceSpec => unlabelledSpec({ folder: data.unlabelled });

/** The folder of a run, by all that makes it this run. */
export const folderOf = (
  { folder, steps, batch }: Runs,
  name: string,
  { model, teacher, labelled, unlabelled, ...options }: RunOptions,
): string => {
  const hash = createHash('sha256').update(writeModel(model));
  if (teacher !== undefined) hash.update(writeModel(teacher));
  hash.update(JSON.stringify([steps, batch, labelled?.options, unlabelled?.options, options]));
  return join(folder, `${name}-${hash.digest('hex').slice(0, 12)}`);
};

/** A run from its start, or from where its checkpoint is. */
export const train = async (runs: Runs, name: string, options: RunOptions): Promise<TrainedDetector> => {
  const { detector, steps, batch, threads } = runs;
  const began = performance.now();
  let first: number | undefined;
  const trained = await trainDetector({
    augmentation: FINE_TUNING_AUGMENTATION,
    seed: SEED,
    ...options,
    detector,
    steps,
    batch,
    threads,
    weightDecay: WEIGHT_DECAY,
    folder: folderOf(runs, name, options),
    checkpointEvery: SHOWN_EVERY,
    onStep: ({ step, loss }) => {
      first ??= step - 1;
      if (step % SHOWN_EVERY !== 0) return;
      const seconds = (performance.now() - began) / 1000 / (step - first);
      process.stderr.write(
        `${name}: step ${step}, loss ${loss.toFixed(3)}, ${seconds.toFixed(2)} s a step\n`,
      );
    },
  });
  const losses = trained.history.steps.slice(-Math.ceil(steps / 4)).map(({ loss }) => loss);
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  process.stderr.write(`${name}: mean loss of the last quarter ${mean.toFixed(4)}\n`);
  return trained;
};

/** The model of a run in FP32. It is kept in a file: what later runs start from. */
export const trainFloats = async (runs: Runs, name: string, options: RunOptions): Promise<Model> => {
  const file = join(folderOf(runs, name, options), 'model.onnx');
  if (!existsSync(file)) {
    writeFileAtomic(file, writeModel((await train(runs, name, options)).model));
  }
  return readModel(readFileSync(file));
};
