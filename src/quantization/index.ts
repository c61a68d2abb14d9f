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
export { activationGrids, valuesToMeasure } from './activations.js';
export { type Balance, balanceInputs, balanceOf } from './balance.js';
export {
  type ChannelRangeOptions,
  type ChannelRanges,
  type ChannelSites,
  channelSites,
  measureChannelRanges,
} from './channels.js';
export {
  allocate,
  type Allocation,
  allocationBytes,
  allocationProblems,
  allocationSchema,
  averageBits,
  type BitWidth,
  BIT_WIDTHS,
  channelBits,
  checkAllocation,
  type ComponentAllocation,
  componentBytes,
  type Execution,
  mixtureBytes,
  parseAllocation,
  uniformAllocation,
} from './allocation.js';
export { chooseInt8, type ChooseInt8Options, type Int8Candidate, type Int8Choice } from './choose-int8.js';
export { type Activation, type Component, componentsOf } from './components.js';
export { type Divergence, openDivergence } from './divergence.js';
export type { WeightCodes } from './packing.js';
export { pictureFeeds } from './pictures.js';
export { opsetFor, prepareModel } from './prepare.js';
export { quantizeModel, type Quantized, type QuantizeOptions } from './quantize.js';
export { measureRanges, measureRangesBy, type MeasureOptions, rangesNeeded } from './ranges.js';
export { findRegions, type Regions } from './regions.js';
export { type LayerReport, layerReport } from './report.js';
export { type Rewritten, rewriteModel, type RewriteOptions, type RewrittenComponent } from './rewrite.js';
export { type RoundedWeights, type Rounding, type RoundingOptions, roundWeights } from './rounding.js';
export { integersSaturate } from './saturation.js';
export { type FeedSource, type TapOptions, tapValues } from './taps.js';
