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
export { equalizeLayers } from './equalize-model.js';
export { type GptqOptions, gptqRound, type Rounded } from './gptq.js';
export { PatchMatrix, type PatchShape } from './patches.js';
export { gptqFit, type FitOptions } from './fit.js';
export { adjustedRows } from './adjust.js';
export { walk, type Views, type WalkOptions } from './walk.js';
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
export { type Activation, type Component, componentNodes, componentsOf } from './components.js';
export { type Divergence, openDivergence } from './divergence.js';
export { type WeightCodes, weightRows } from './packing.js';
export { arranged } from './parts.js';
export { pictureFeeds } from './pictures.js';
export { packedInput, pixelRanges, takeBytes } from './byte-input.js';
export { opsetFor, prepareFor, prepareModel } from './prepare.js';
export { edgedAllocation, edgesOf } from './edges.js';
export { quantizeModel, type Quantized, type QuantizeOptions } from './quantize.js';
export {
  activationRanges,
  measureRanges,
  measureRangesBy,
  type MeasureOptions,
  rangesNeeded,
} from './ranges.js';
export { dataInputs, findRegions, isMover, type Regions } from './regions.js';
export { type LayerReport, layerReport } from './report.js';
export { type Rewritten, rewriteModel, type RewriteOptions, type RewrittenComponent } from './rewrite.js';
export type { ActivationGrids } from './rewriter.js';
export { type RoundedWeights, roundWeights } from './rounding.js';
export type { Rounding, RoundingOptions } from './rounding-options.js';
export { type FeedSource, heldFeeds, type TapOptions, tapValues } from './taps.js';
export {
  quantizeArtifact,
  type QuantizeArtifactOptions,
  type QuantizedArtifact,
  type QuantizationReport,
  type Step,
  type TrainedActivations,
  type TrainedModel,
  seekPlan,
  trainedOptions,
  validationOf,
} from './artifact.js';
export { latencyRatio, timeBytes, type Timed, timeModels, type TimingOptions, untold } from './timing.js';
export { alongPlan, planInt8, type PlanInt8Options } from './plan-int8.js';
export { checkKernels, integersSaturate, type KernelCheck } from './kernel-check.js';
export { type Condition, holds } from './condition.js';
export { type BorderConditions, type RegionConditions, regionConditions } from './region-conditions.js';
