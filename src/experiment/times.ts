// Times of models, by those of the FP32 model that they come from.
import { existsSync, readFileSync } from 'node:fs';
import type { Checkpoints } from '../adaptation/index.js';
import { latencyRatio, timeBytes } from '../quantization/index.js';
import { modelPath } from './folder.js';
import { timesStep } from './kept.js';
import { type ExperimentResult, latencyRatioSchema } from './result.js';
import type { Setting } from './setting.js';

/** Runs of each model when times are compared. */
const TIMED = 60;

/** Milliseconds of runs of FP32 and of another model, in turns. */
export const timesOf = async (
  { parent, signal }: Setting,
  bytes: Uint8Array,
): Promise<[readonly number[], readonly number[]]> => {
  const { name, width, height } = parent.manifest.detector.input;
  const original = new Uint8Array(readFileSync(parent.modelPath));
  const [first = [], second = []] = await timeBytes([original, bytes], {
    input: { name, dims: [1, 3, height, width] },
    rounds: TIMED,
    ...(signal !== undefined && { signal }),
  });
  return [first, second];
};

/** Takes the times of all rows whose models are there anew, one after the other. */
export const renewTimes = async (
  setting: Setting,
  kept: Checkpoints,
  rows: ExperimentResult['rows'],
  onStep: (step: string, done: number, all: number) => void,
): Promise<void> => {
  const models = rows.flatMap(({ id, runs }) =>
    runs.flatMap(({ seed }) => {
      const path = id === 'fp32' ? setting.parent.modelPath : modelPath(setting, id, seed);
      return existsSync(path) ? [{ step: timesStep(id, seed), path }] : [];
    }),
  );
  for (const [done, { step, path }] of models.entries()) {
    setting.signal?.throwIfAborted();
    onStep('times', done, models.length);
    await kept.anew(step, latencyRatioSchema, async () =>
      latencyRatio(...(await timesOf(setting, new Uint8Array(readFileSync(path))))),
    );
  }
};
