// The loop: from what a model confuses to an artifact that spends its bits there.
export { type Adapted, adaptModel, type AdaptOptions, type AdaptStep, type Labelled } from './adapt.js';
export { drawAllocation, drawConfusion } from './charts.js';
export {
  type ClassPair,
  compareModels,
  type CompareOptions,
  type Comparison,
  type Judged,
} from './compare.js';
export { adaptationReport } from './report.js';
