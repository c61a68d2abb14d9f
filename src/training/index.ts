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
