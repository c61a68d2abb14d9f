// What `bitlane finetune --allocation` does before and after training: how int8 layers run, where training begins, and packing.
import { type DataSet, openDataSet, openPictures } from '../evaluation/index.js';
import { BitlaneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import {
  alongPlan,
  type Allocation,
  integersSaturate,
  pictureFeeds,
  pixelRanges,
  prepareModel,
  quantizeArtifact,
  type QuantizedArtifact,
  type Rounding,
  seekPlan,
  type TrainedModel,
} from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import {
  beginQuantized,
  type QuantizedBeginning,
  WEIGHT_METHODS,
  type WeightMethod,
} from '../training/index.js';
import { allocationOption, isWidth } from './allocation-option.js';
import type { Cli } from './cli.js';
import { choice } from './values.js';

export interface QuantizedFlags {
  readonly data?: string;
  readonly unlabelled?: string;
  readonly split: string;
  readonly allocation?: string;
  readonly execution?: string;
  readonly method?: string;
  readonly start?: string;
  readonly activations?: string;
}

/** A run under quantization, as the options ask for it. */
export interface QuantizedRun extends QuantizedBeginning {
  readonly allocation: Allocation;
  readonly calibration: DataSet;
  readonly reduceRange: boolean;
  /** Whether how int8 layers run is still to be sought, for a model whose activations were not trained. */
  readonly isSought: boolean;
  /** Int8 layers have ranges that are measured when the training is done: what is written is not what validation saw. */
  readonly isMeasured: boolean;
}

/** Layers that int8 hurts most, and that stay in FP32. */
const FLOAT_LAYERS = 10;
const PICTURES = 64;

interface Choices {
  readonly method: WeightMethod;
  readonly rounding: Rounding;
  readonly areLearned: boolean;
}

/** @throws BitlaneError `BAD_USAGE` for options that mean nothing together */
const choicesOf = ({
  allocation,
  execution,
  method,
  start,
  activations,
}: QuantizedFlags): Choices | undefined => {
  const given = Object.entries({ execution, method, start, activations }).find(
    ([, value]) => value !== undefined,
  );
  if (allocation === undefined && given !== undefined) {
    throw new BitlaneError('BAD_USAGE', `--${given[0]} goes with --allocation`);
  }
  if (allocation === undefined) return undefined;
  const chosen = {
    method: choice('--method', method ?? 'lsq', WEIGHT_METHODS),
    rounding: choice('--start', start ?? 'gptq', ['gptq', 'nearest']),
    areLearned: choice('--activations', activations ?? 'learned', ['learned', 'measured']) === 'learned',
  };
  if (chosen.method === 'dorefa' && start !== undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      '--start goes with the other methods: dorefa begins with plain rounding',
    );
  }
  return chosen;
};

/** Calibration pictures: those that are learned from. */
const calibrationOf = ({ data, unlabelled, split }: QuantizedFlags): DataSet =>
  data === undefined ? openPictures(unlabelled ?? '') : openDataSet(data, { split });

/**
 * What is trained under quantization, and where it begins; `undefined` without `--allocation`. Where activations are trained too, how
 * int8 layers run is sought first: what is trained is what will run.
 */
export const beginRun = async (
  cli: Cli,
  parent: Artifact,
  flags: QuantizedFlags,
): Promise<QuantizedRun | undefined> => {
  const chosen = choicesOf(flags);
  if (chosen === undefined || flags.allocation === undefined) return undefined;
  const asked = allocationOption('--allocation', parent, flags.allocation, flags.execution);
  const isInteger = Object.values(asked.components).some(({ execution }) => execution === 'int8');
  const areLearned = isInteger && chosen.areLearned;
  const isSought = isInteger && isWidth(flags.allocation);
  const calibration = calibrationOf(flags);
  const feeds = pictureFeeds(calibration, parent.manifest.detector.input, PICTURES);
  const reduceRange = await integersSaturate();
  const { signal } = cli;
  const plan = await seekPlan(parent, feeds, {
    ...(isSought && areLearned && { seek: { maxFloatLayers: FLOAT_LAYERS } }),
    reduceRange,
    signal,
  });
  const planned = plan === undefined ? undefined : alongPlan(asked, plan);
  const allocation = planned?.allocation ?? asked;
  const { method, floatFunctions } = planned ?? {};
  const begun = await beginQuantized(prepareModel(readModel(parent.modelPath)), {
    weights: { allocation, reduceRange, method: chosen.method },
    feeds,
    rounding: chosen.rounding,
    ...(areLearned && {
      activations: {
        ...(method !== undefined && { method }),
        ...(floatFunctions !== undefined && { floatFunctions }),
        knownRanges: pixelRanges(parent.manifest.detector.input),
      },
    }),
    signal,
  });
  return {
    ...begun,
    allocation,
    calibration,
    reduceRange,
    isSought: isSought && !areLearned,
    isMeasured: isInteger && !areLearned,
  };
};

/** What was trained goes into the file on its grids; ranges of activations are measured where they were not trained. */
export const packRun = async (
  cli: Cli,
  parent: Artifact,
  trained: TrainedModel,
  { allocation, calibration, reduceRange, isSought }: QuantizedRun,
  name: string,
): Promise<QuantizedArtifact> =>
  quantizeArtifact(parent, {
    allocation,
    trained,
    calibration,
    reduceRange,
    name,
    ...(isSought && { seek: { maxFloatLayers: FLOAT_LAYERS } }),
    signal: cli.signal,
  });
