// Semantic significance: critical pairs, D_crit, and what rounding each component alone does to it.
export {
  type ActivationMeasures,
  type MapBits,
  parseSignificance,
  readSignificance,
  type Reliability,
  type SignificanceMap,
  significanceSchema,
  type WeightMeasures,
  writeSignificance,
} from './map.js';
export {
  measureSignificance,
  type MeasuredSignificance,
  type SignificanceOptions,
  type SignificanceStep,
} from './measure.js';
export { groupsOf, type Pair, parseCosts, parsePairs } from './critical.js';
export type { LabelledPicture } from './objects.js';
export type { MeasuredBits } from './perturb.js';
export type { Effects } from './measures.js';
export { observeObjects, type WholeEffects, type WholeOptions } from './whole.js';
export { measurePairs, type PairEffects, type PairsOptions, type Rounded } from './pairs.js';
export { calibrationOf, labelledPictures } from './pictures.js';
export { drawMap } from './svg.js';
export { usualProcesses } from './workers.js';
export { compareWithNaive, type CompareOptions, type Comparison, splitHalfOf } from './compare.js';
export { makePerturbations } from './perturb.js';
export { readRecord, writeRecord } from './record.js';
export { keepPerturbations, keptPerturbations } from './cache.js';
