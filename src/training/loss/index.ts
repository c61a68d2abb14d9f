// Losses: what a detector's outputs are worth, as nodes of its graph.
export { criticalClassWeights } from './critical.js';
export { detectionLoss, type DetectionLossOptions, LOSS_WEIGHTS } from './detection.js';
export {
  distillationLoss,
  type DistillationOptions,
  sumOfLosses,
  TEACHER,
  TEACHER_WEIGHT,
} from './distillation.js';
export { featureLoss, jointsOf, teacherFeature } from './features.js';
export { FIRST_CLASS, OBJECTNESS, yoloxSpec } from './cells.js';
export { NOTHING, type Target, targetFeeds, type Targets, TARGETS } from './targets.js';
export { putRight } from './words.js';
