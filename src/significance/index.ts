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
export { measureSignificance, type MeasuredSignificance, type SignificanceOptions, type SignificanceStep } from './measure.js';
