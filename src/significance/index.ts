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
export type { SignificanceOptions, SignificanceStep } from './ground.js';
export { measureSignificance, type MeasuredSignificance } from './measure.js';
export { readAnySignificance, writeFilterMap } from './gradient/map-file.js';
export { type FilterMap, type FilterMeasures, filterMapSchema } from './gradient/filter-map.js';
export { type FilterOptions, measureFilterMap } from './gradient/measure-filters.js';
export { drawFilterMap } from './gradient/filter-svg.js';
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
export { makePerturbations, type Perturbations } from './perturb.js';
export { readRecord, writeRecord } from './record.js';
export { keepPerturbations, keptPerturbations } from './cache.js';
export {
  compareFilters,
  type CompareFiltersOptions,
  type ComparedFilters,
  type RankedMeasure,
  rankOf,
} from './gradient/compare-filters.js';
export { rankInterval, spearman } from './statistics.js';
