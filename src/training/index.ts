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
