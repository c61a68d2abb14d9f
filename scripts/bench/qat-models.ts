// What the QAT benchmark judges: FP32 models, models rounded without training, and models that were trained under their rounding.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import {
  type Allocation,
  pictureFeeds,
  prepareModel,
  quantizeModel,
  roundWeights,
  type WeightCodes,
} from '../../src/quantization/index.js';
import { openDataSet } from '../../src/evaluation/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import { startFromCodes, type WeightQuantization } from '../../src/training/index.js';
import { folderOf, type RunOptions, type Runs, train } from './qat-runs.js';

const CALIBRATION = 64;

/** A model with its weights on grids, packed, FP32 kernels. */
const packed = async (
  model: Model,
  allocation: Allocation,
  weights: ReadonlyMap<string, WeightCodes>,
): Promise<Uint8Array> => {
  const made = await quantizeModel(model, { allocation, feeds: () => [], weights });
  return writeModel(made.model);
};

/** What rounding alone gives. */
export interface RoundedModel {
  readonly bytes: Uint8Array;
  /** Where training under the same rounding starts. */
  readonly start: { readonly model: Model; readonly quantization: WeightQuantization };
}

const startSchema = z.strictObject({ stepSizes: z.record(z.string(), z.array(z.number())) });

/**
 * Rounds a model; kept in the folder of runs. On calibration pictures that are learned from.
 *
 * @param name of the folder; one model, allocation and rounding each
 */
export const round = async (
  runs: Runs,
  name: string,
  source: Model,
  allocation: Allocation,
  rounding: 'nearest' | 'gptq',
): Promise<RoundedModel> => {
  const about = [writeModel(source), JSON.stringify([allocation, rounding])];
  const hash = about.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex');
  const folder = join(runs.folder, `${name}-${hash.slice(0, 12)}`);
  const files = {
    packed: join(folder, 'packed.onnx'),
    model: join(folder, 'start.onnx'),
    sizes: join(folder, 'step-sizes.json'),
  };
  if (!existsSync(files.sizes)) {
    mkdirSync(folder, { recursive: true });
    const prepared = prepareModel(source);
    const pictures = openDataSet(runs.data.path, { split: 'train' });
    const rounded = await roundWeights(
      prepared,
      allocation,
      pictureFeeds(pictures, runs.detector.input, CALIBRATION),
      { rounding },
    );
    const start = startFromCodes(rounded.model, rounded.weights, { allocation });
    writeFileAtomic(files.packed, await packed(rounded.model, allocation, rounded.weights));
    writeFileAtomic(files.model, writeModel(start.model));
    const stepSizes = Object.fromEntries(
      [...(start.quantization.stepSizes ?? [])].map(([key, sizes]) => [key, [...sizes]]),
    );
    writeFileAtomic(files.sizes, JSON.stringify({ stepSizes }));
  }
  const { stepSizes } = startSchema.parse(JSON.parse(readFileSync(files.sizes, 'utf8')));
  const sizes = Object.entries(stepSizes).map(([key, values]) => [key, Float32Array.from(values)] as const);
  return {
    bytes: readFileSync(files.packed),
    start: {
      model: readModel(readFileSync(files.model)),
      quantization: { allocation, stepSizes: new Map(sizes) },
    },
  };
};

/** Trains on from a rounded model; the packed artifact's bytes. */
export const trainRounded = async (
  runs: Runs,
  name: string,
  { start }: RoundedModel,
  options: Omit<RunOptions, 'model' | 'weights'>,
): Promise<Uint8Array> => {
  const { model, quantization } = start;
  const run = { ...options, model, weights: quantization };
  const file = join(folderOf(runs, name, run), 'packed.onnx');
  if (!existsSync(file)) {
    const { quantized } = await train(runs, name, run);
    if (quantized === undefined) throw new Error(`the run ${name} was not quantized`);
    writeFileAtomic(file, await packed(quantized.model, quantization.allocation, quantized.weights));
  }
  return readFileSync(file);
};
