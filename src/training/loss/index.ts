// Losses: what a detector's outputs are worth, as nodes of its graph.
export { criticalClassWeights } from './critical.js';
export { detectionLoss, type DetectionLossOptions, LOSS_WEIGHTS } from './detection.js';
export { distillationLoss, type DistillationOptions, sumOfLosses, TEACHER } from './distillation.js';
export { type Target, targetFeeds, type Targets } from './targets.js';
