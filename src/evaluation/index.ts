// Data sets, matching, average precision, the confusion matrix: what a model is worth, in numbers.
export { type ClassPrecision, MatchTable, type Precision } from './average-precision.js';
export {
  bootstrap,
  medianInterval,
  type BootstrapOptions,
  intervalOf,
  type Interval,
  pairedBootstrap,
  placesOf,
  quantile,
  resample,
  type WeightedFigure,
} from './bootstrap.js';
export { type ClassMap, type ClassOverride, mapClasses, parseClassOverrides } from './class-map.js';
export {
  CONFUSION_DEFAULTS,
  ConfusionMatrix,
  type ConfusionOptions,
  judgePicture,
  type Meeting,
  pairPicture,
  type Verdict,
} from './confusion.js';
export {
  classesOf,
  confusedPairs,
  type ConfusedPair,
  type CriticalAccuracy,
  criticalAccuracy,
  criticalAccuracyFigure,
  CRITICAL_DEFAULTS,
  type CriticalOptions,
  wilsonLower,
} from './critical.js';
export { type DeviceDescription, describeDevice } from './device.js';
export { evaluate, type EvaluateOptions, type Evaluation } from './evaluate.js';
export {
  IOU_THRESHOLDS,
  type MatchedDetection,
  matchPicture,
  type PictureMatches,
  type PictureResult,
} from './matching.js';
export { openDataSet, type OpenOptions } from './open.js';
export { openPictures } from './folder.js';
export { partOf, spread, spreadOver } from './part.js';
export { picturesBelow } from './paths.js';
export { pictureSize, readPicture } from './pictures.js';
export {
  type Latency,
  latencyOf,
  predict,
  PREDICT_DEFAULTS,
  type Predictions,
  type PredictOptions,
  toResult,
} from './predict.js';
export type { DataSet, LabelledObject, Labels, Picture } from './types.js';
