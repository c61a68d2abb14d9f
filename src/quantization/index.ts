// Quantization: affine grids, calibration, rounding; pure functions over typed arrays.
export {
  ActivationObserver,
  DEFAULT_RANGE_METHOD,
  type ObserverOptions,
  type Range,
  RANGE_METHODS,
  type RangeMethod,
  type RangeOptions,
} from './calibration.js';
export {
  channelGrid,
  type ChannelGrid,
  type Codes,
  dequantize,
  dequantizeChannels,
  fakeQuantize,
  type Grid,
  type GridOptions,
  gridOfRanges,
  joinGrids,
  type LevelOptions,
  levelsOf,
  quantize,
  quantizeChannels,
  splitGrid,
} from './grid.js';
export { relativeError, sqnr, weightGrids, type WeightGridOptions } from './weights.js';
export { ChannelMeans, correctedBias, outputShift } from './bias.js';
export {
  equalizeChain,
  type EqualizeOptions,
  equalizePair,
  isScaleEquivariant,
  type Layer,
} from './equalize.js';
export { type GptqOptions, gptqRound, type Rounded } from './gptq.js';
export { PatchMoments, type PatchMomentsOptions, type PatchShape } from './moments.js';
