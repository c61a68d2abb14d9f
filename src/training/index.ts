// Training: losses, fake quantization, optimizers, the step and the loop, all on plain onnxruntime.
export type {
  Batch,
  BuildLoss,
  LossPlace,
  LossValues,
  Parameter,
  ParameterKind,
  Statistic,
  StepReport,
  TrainingGraph,
} from './types.js';
export {
  detectionLoss,
  type DetectionLossOptions,
  LOSS_WEIGHTS,
  type Target,
  targetFeeds,
  type Targets,
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
