// Losses: what a detector's outputs are worth, as nodes of its graph.
export { detectionLoss, type DetectionLossOptions, LOSS_WEIGHTS } from './detection.js';
export { type Target, targetFeeds, type Targets } from './targets.js';
