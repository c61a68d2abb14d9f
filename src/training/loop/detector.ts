// Training a detector: data, loss, teacher, optimizer and validation put together; a trained model comes out.
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { recomputeCheap } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import type { ClassOverride, DataSet } from '../../evaluation/index.js';
import {
  foldBatchNorm,
  type Model,
  removeUnusedInitializers,
  runPasses,
  writeModel,
} from '../../onnx/index.js';
import type { TrainedModel } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import type { Augmentation } from '../data/augment.js';
import type { SourceSpec } from '../data/sample.js';
import type { ActivationQuantization } from '../quantize/activations.js';
import { withLearned } from '../quantize/codes.js';
import type { WeightQuantization } from '../quantize/place.js';
import { buildTraining } from '../step/graph.js';
import type { OptimizerOptions } from '../step/state.js';
import type { StepReport } from '../types.js';
import type { ValidationPoint } from './history.js';
import { judgeModel } from './judge.js';
import { featuresOf, lossOf, OBJECTS, sourcesOf } from './lessons.js';
import { packedModel, trainedModel } from './quantized.js';
import { type RunResult, runTraining, type Values } from './run.js';
import { Teacher } from './teacher.js';

export interface DetectorTrainingOptions {
  /** With a `yolox` head. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  /** Pictures with labels, without, or both. */
  readonly labelled?: SourceSpec;
  readonly unlabelled?: SourceSpec;
  /** Says what is to be seen in pictures; needed for those without labels. */
  readonly teacher?: Model;
  /** What the teacher's word counts beside the labels (default 1). */
  readonly teacherWeight?: number;
  /** What the teacher sees on its way to the answer counts beside its word (default 0: its word alone). */
  readonly featureWeight?: number;
  /**
   * With `weights`, and normalizations as given: the share of the rate that biases and step sizes take (default 1). Weights have to go far
   * until their codes change; those do not.
   */
  readonly biasRate?: number;
  /**
   * Labels name some objects of a picture and not all: the teacher says what else there is, its word on those objects is put right, and
   * their classes count so much. Where it is left out, labels are the whole truth of their pictures.
   */
  readonly wordWeight?: number;
  readonly steps: number;
  /** Pictures in a step. */
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  readonly augmentation: Augmentation;
  /** `batch` learns BatchNormalizations (from scratch), `given` keeps their statistics (default). */
  readonly normalization?: 'batch' | 'given';
  /**
   * Weights are fake-quantized, each component at its bits (default: not). The model must be prepared (`prepareModel`). Validation
   * then judges the quantized weights.
   */
  readonly weights?: WeightQuantization;
  /** With `weights`: activations are fake-quantized where the allocation computes in int8 (default: not). */
  readonly activations?: Omit<ActivationQuantization, 'allocation'>;
  /** Objects of a picture that are learnt from (default 64). */
  readonly objects?: number;
  /** Pairs of classes, by number, whose class loss counts `weight`. */
  readonly critical?: { readonly pairs: readonly (readonly [number, number])[]; readonly weight: number };
  readonly validation?: {
    readonly dataSet: DataSet;
    readonly overrides?: readonly ClassOverride[];
    readonly every: number;
    readonly patience?: number;
  };
  /** Where checkpoints go; nothing is written where it is left out. */
  readonly folder?: string;
  readonly checkpointEvery?: number;
  readonly threads?: number;
  /** Bytes. Activations are computed again instead of kept where this is given. */
  readonly memoryCeiling?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (report: StepReport) => void;
  readonly onValidation?: (point: ValidationPoint) => void;
}

export interface TrainedDetector extends Pick<RunResult, 'history' | 'best' | 'stoppedEarly'> {
  /** With what was learned, normalizations folded in. */
  readonly model: Model;
  /** With fake quantization: what the packer takes. */
  readonly quantized: TrainedModel | undefined;
}

const CHECKPOINT_EVERY = 50;
/** Share of the run in which four pictures may be made one; in the rest pictures are whole. */
const MOSAIC_SHARE = 0.8;
const CHECKPOINT_FILE = 'checkpoint.bin';

/** Where the checkpoint of a run in `folder` lies. */
export const checkpointOf = (folder: string): string => join(folder, CHECKPOINT_FILE);

/**
 * Without labels, on the way from a rounded model to its teacher: chosen by how far both were apart on pictures held out
 * (docs/training.md). With labels they were no gain.
 */
export const WITHOUT_LABELS = { featureWeight: 5, biasRate: 0.2 } as const;

/**
 * AdamW, a cosine after a warm-up, and an average over about the last tenth of the run.
 *
 * @param biasRate with `relative`: the share of the rate that biases and step sizes take
 * @param relative rates are shares of what they move: for networks without normalizations that would even out their channels
 */
export const usualOptimizer = (
  steps: number,
  learningRate: number,
  weightDecay: number,
  relative = false,
  biasRate = 1,
): OptimizerOptions => ({
  kind: 'adamw',
  relative,
  schedule: { rate: learningRate, steps, warmUp: Math.min(100, Math.ceil(steps / 10)), last: 0.05 },
  weightDecay,
  // Adam moves everything by the rate: of a step size, that would be several per cent a step.
  ...(relative
    ? biasRate !== 1 && { groups: { bias: { rate: biasRate }, 'step-size': { rate: biasRate } } }
    : { groups: { 'step-size': { rate: 0.1 } } }),
  clipNorm: 10,
  average: { decay: Math.min(0.9998, Math.max(0.5, 1 - 10 / steps)), rampSteps: steps / 10 },
});

/** The model with what was learned, normalizations folded. */
const exported = (model: Model, values: Values): Model => {
  const copy = withLearned(model, values);
  runPasses(copy, [foldBatchNorm, removeUnusedInitializers]);
  return copy;
};

const optimizerOf = ({
  steps,
  learningRate,
  weightDecay,
  normalization,
  weights,
  biasRate = 1,
}: DetectorTrainingOptions): OptimizerOptions =>
  usualOptimizer(
    steps,
    learningRate,
    weightDecay,
    normalization !== 'batch',
    weights === undefined ? 1 : biasRate,
  );

const floatsOf = (values: Values = new Map<string, Float32Array>()) =>
  [...values].map(([name, floats]) => [name, [...floats]]);

/** What makes a run this run: a checkpoint of another is not taken up. */
const runOf = (options: DetectorTrainingOptions): string => {
  const { model, teacher, labelled, unlabelled, steps, batch, seed } = options;
  const hash = createHash('sha256').update(writeModel(model));
  if (teacher !== undefined) hash.update(writeModel(teacher));
  const { augmentation, normalization, critical, objects, teacherWeight, validation } = options;
  const { weights, activations } = options;
  const about = [
    labelled?.options,
    unlabelled?.options,
    [
      steps,
      batch,
      optimizerOf(options),
      seed,
      objects,
      teacherWeight,
      options.wordWeight,
      normalization,
      // Runs from before there was this go on.
      ...(options.featureWeight === undefined ? [] : [options.featureWeight]),
    ],
    [augmentation, critical, weights && { ...weights, stepSizes: floatsOf(weights.stepSizes) }],
    activations && [
      [...activations.ranges],
      [...(activations.floatFunctions ?? [])],
      activations.learned,
      ...(activations.fixed === undefined ? [] : [[...activations.fixed]]),
    ],
    [validation?.dataSet.path, validation?.dataSet.split, validation?.every, validation?.patience],
  ];
  return hash.update(JSON.stringify(about)).digest('hex');
};

/**
 * Trains a detector. Goes on from the checkpoint in `folder` where there is one of the same run.
 *
 * @throws BitlaneError `BAD_USAGE` without pictures, or for pictures without labels and without a teacher; `UNSUPPORTED` for a head
 *   that cannot be trained or where memory does not suffice; what `runTraining` throws
 */
export const trainDetector = async (options: DetectorTrainingOptions): Promise<TrainedDetector> => {
  const { model, detector, steps, batch, validation, folder, signal, teacher, weights, activations } =
    options;
  const sources = sourcesOf(options);
  if (sources.length === 0) throw new BitlaneError('BAD_USAGE', 'training needs pictures');
  if ((options.unlabelled !== undefined || options.wordWeight !== undefined) && teacher === undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      'pictures without labels, or with labels for some objects, need a teacher',
    );
  }
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  const threads = options.threads ?? 1;
  const graph = buildTraining(model, {
    batch,
    loss: lossOf(options),
    normalization: options.normalization ?? 'given',
    ...(weights !== undefined && { weights }),
    ...(weights !== undefined &&
      activations !== undefined && { activations: { ...activations, allocation: weights.allocation } }),
    ...(options.memoryCeiling !== undefined && { recompute: recomputeCheap }),
  });
  const quantizedOf = (values: Values): Promise<TrainedModel | undefined> =>
    weights === undefined
      ? Promise.resolve(undefined)
      : trainedModel(model, graph, weights, values, activations);
  const deployed = async (values: Values): Promise<Uint8Array> => {
    const quantized = await quantizedOf(values);
    return quantized === undefined || weights === undefined
      ? writeModel(exported(model, values))
      : packedModel(quantized, weights);
  };
  const school =
    teacher === undefined
      ? undefined
      : await Teacher.open(teacher, detector, batch, threads, {
          features: featuresOf(options),
          ...(options.wordWeight !== undefined && { wordWeight: options.wordWeight }),
        });
  try {
    const { values, history, best, stoppedEarly } = await runTraining({
      graph,
      optimizer: optimizerOf(options),
      steps,
      sources,
      batches: {
        detector,
        objects: options.objects ?? OBJECTS,
        seed: options.seed,
        augmentation: options.augmentation,
        mosaicUntil: Math.floor(MOSAIC_SHARE * steps),
      },
      threads,
      ...(school !== undefined && { complete: (given) => school.complete(given) }),
      ...(validation !== undefined && {
        validation: {
          every: validation.every,
          judge: async (learnt: Values) =>
            judgeModel(await deployed(learnt), detector, validation.dataSet, {
              threads,
              ...(validation.overrides !== undefined && { overrides: validation.overrides }),
              ...(signal !== undefined && { signal }),
            }),
          ...(validation.patience !== undefined && { patience: validation.patience }),
        },
      }),
      ...(folder !== undefined && {
        checkpoint: {
          file: checkpointOf(folder),
          run: runOf(options),
          every: options.checkpointEvery ?? CHECKPOINT_EVERY,
        },
      }),
      ...(options.memoryCeiling !== undefined && { memoryCeiling: options.memoryCeiling }),
      ...(signal !== undefined && { signal }),
      ...(options.onStep !== undefined && { onStep: options.onStep }),
      ...(options.onValidation !== undefined && { onValidation: options.onValidation }),
    });
    return {
      model: exported(model, values),
      quantized: await quantizedOf(values),
      history,
      best,
      stoppedEarly,
    };
  } finally {
    await school?.release();
  }
};
