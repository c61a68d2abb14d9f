// The simulated road: rendered vehicles with exact ground truth. A machine without a camera watches it, models learn from it.
export { makeBody, type Body } from './bodies/index.js';
export {
  type DataSetOptions,
  type DataSetSummary,
  isLabelled,
  labelsOf,
  SPLITS,
  writeDataSet,
} from './dataset.js';
export { type Conditions, conditionsAt } from './drift.js';
export { Scene, type SceneFrame } from './scene.js';
export { contactSheet } from './sheet.js';
export type { SceneObject } from './truth.js';
export { SCENE_CLASSES, sceneSpec, type StreamOptions } from './stream.js';
