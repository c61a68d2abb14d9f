// Training: losses, fake quantization, optimizers, the step and the loop, all on plain onnxruntime.
export type {
  Batch,
  BuildLoss,
  FakeActivations,
  LossPlace,
  LossValues,
  Parameter,
  ParameterKind,
  Statistic,
  StepReport,
  TrainingGraph,
} from './types.js';
export {
  criticalClassWeights,
  detectionLoss,
  type DetectionLossOptions,
  distillationLoss,
  type DistillationOptions,
  FIRST_CLASS,
  LOSS_WEIGHTS,
  OBJECTNESS,
  sumOfLosses,
  type Target,
  targetFeeds,
  type Targets,
  TEACHER,
} from './loss/index.js';
export { buildNetwork } from './network/build.js';
export {
  checkNetwork,
  detectorOf,
  type NetworkDefinition,
  NETWORKS,
  openNetwork,
} from './network/definition.js';
export {
  type Augmentation,
  FINE_TUNING_AUGMENTATION,
  NO_AUGMENTATION,
  SCRATCH_AUGMENTATION,
} from './data/augment.js';
export { type LabelledOptions, labelledSpec } from './data/labelled.js';
export { Loader, type LoaderSource } from './data/loader.js';
export type { Sample, SampleSource, SourceSpec } from './data/sample.js';
export { type UnlabelledOptions, unlabelledSpec } from './data/unlabelled.js';
export { type ActivationQuantization, trainedGrids } from './quantize/activations.js';
export { withLearned, trainedCodes } from './quantize/codes.js';
export { stepSizeName, type WeightQuantization } from './quantize/place.js';
export { type BeginOptions, beginQuantized, type QuantizedBeginning } from './quantize/begin.js';
export { type RoundedStart, startFromCodes } from './quantize/start.js';
export { WEIGHT_METHODS, type WeightMethod } from './quantize/weights.js';
export { setBatch } from './step/batch.js';
export { buildTraining, type TrainingOptions } from './step/graph.js';
export { rateAt, type Schedule } from './step/schedule.js';
export { type Group, type OptimizerOptions, startState, type TrainingState } from './step/state.js';
export { learned, Trainer, type TrainerOptions } from './step/trainer.js';
export { drawCurve } from './loop/curve.js';
export {
  checkpointOf,
  type DetectorTrainingOptions,
  trainDetector,
  type TrainedDetector,
  usualOptimizer,
  WITHOUT_LABELS,
} from './loop/detector.js';
export type { History, ValidationPoint } from './loop/history.js';
export { judgeModel } from './loop/judge.js';
export { runTraining, type RunOptions, type RunResult, type Values } from './loop/run.js';
