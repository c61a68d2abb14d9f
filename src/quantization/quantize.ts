// From a model, an allocation and calibration data to a quantized model: prepare, measure, round, rewrite.
import type { Model } from '../onnx/index.js';
import { cutFlat, withoutFlats } from './activations.js';
import { type Allocation, allocationBytes, checkAllocation } from './allocation.js';
import { balanceInputs } from './balance.js';
import type { Range } from './calibration.js';
import { type ChannelRanges, channelSites, measureChannelRanges } from './channels.js';
import { type Component, componentsOf } from './components.js';
import type { ChannelGrid } from './grid.js';
import type { WeightCodes } from './packing.js';
import { prepareFor } from './prepare.js';
import { equalizeLayers } from './equalize-model.js';
import { measureRanges, type MeasureOptions, rangesNeeded } from './ranges.js';
import { findRegions } from './regions.js';
import { type Rewritten, rewriteModel } from './rewrite.js';
import type { ActivationGrids } from './rewriter.js';
import { roundWeights } from './rounding.js';
import type { RoundingOptions } from './rounding-options.js';
import type { FeedSource } from './taps.js';

export interface QuantizeOptions extends MeasureOptions, RoundingOptions {
  readonly allocation: Allocation;
  /** Calibration data: inputs of one run each, taken several times. */
  readonly feeds: FeedSource;
  /** Hold all codes in INT8 initializers (default false). */
  readonly unpacked?: boolean;
  /** Ranges that were measured before, by the name of the value; only those that are missing are measured. */
  readonly ranges?: ReadonlyMap<string, Range>;
  /**
   * Give each channel a scale of its own where int8 meets FP32 (default false): before int8 convolutions that take floats, and
   * behind those whose results become floats.
   */
  readonly channels?: boolean;
  /** Components whose SiLU or LeakyRelu is computed in FP32 while they are int8 (default none): two more such places each. */
  readonly floatFunctions?: ReadonlySet<string>;
  /**
   * `dynamic`: int8 layers find the grid of what they take from its own extremes, at every run; nothing is measured, and
   * `channels` and `floatFunctions` say nothing (default `static`).
   */
  readonly activations?: ActivationGrids;
  /** Even out the ranges of channels between layers before anything else, where what is between allows it (default false). */
  readonly equalize?: boolean;
  /** Codes that were found before (by training), by the name of the component; nothing is rounded then. */
  readonly weights?: ReadonlyMap<string, WeightCodes>;
  /** Grids of activations that training has found, by the name of the value; the others follow from ranges. */
  readonly activationGrids?: ReadonlyMap<string, ChannelGrid>;
  /** Ranges by channel that were measured before, by the name of the value; only those that are missing are measured. */
  readonly channelRanges?: ChannelRanges;
}

export interface Quantized extends Rewritten {
  /** The FP32 model that was rewritten: its values are what `reference` names. */
  readonly prepared: Model;
  readonly ranges: ReadonlyMap<string, Range>;
  readonly channelRanges: ChannelRanges;
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** Bytes of weights, scales and biases that the allocation implies; the file holds the graph besides. */
  readonly impliedBytes: number;
}

/**
 * Quantizes a model as an allocation says. Blocks the thread while the model runs.
 *
 * @throws BitlaneError `BAD_CONFIG` when the allocation is not one for this model, `BAD_MODEL` when the model cannot be run or
 *   brought to the opset that the weights need
 */
export const quantizeModel = async (model: Model, options: QuantizeOptions): Promise<Quantized> => {
  const { allocation, feeds } = options;
  const prepared = prepareFor(model, allocation);
  if (options.equalize === true) equalizeLayers(prepared);
  const components = componentsOf(prepared);
  checkAllocation(allocation, components);
  const { ranges, channelRanges } =
    options.activations === 'dynamic'
      ? { ranges: new Map(options.ranges ?? []), channelRanges: new Map<string, Range[]>() }
      : await measureStatic(prepared, components, options);
  const rounded =
    options.weights === undefined
      ? await roundWeights(prepared, allocation, feeds, options)
      : { weights: options.weights, model: prepared };
  const rewritten = rewriteModel(rounded.model, {
    allocation,
    ranges,
    weights: rounded.weights,
    unpacked: options.unpacked ?? false,
    ...(options.activations !== undefined && { activations: options.activations }),
    ...(options.activationGrids !== undefined && { grids: options.activationGrids }),
    ...(options.floatFunctions !== undefined && { floatFunctions: options.floatFunctions }),
    ...(options.channels === true && { channelRanges }),
  });
  return {
    ...rewritten,
    prepared,
    ranges,
    channelRanges,
    weights: rounded.weights,
    impliedBytes: allocationBytes(components, allocation),
  };
};

/** What grids that are known beforehand are made from; what was measured before among it. */
const measureStatic = async (
  prepared: Model,
  components: readonly Component[],
  options: QuantizeOptions,
): Promise<Pick<Quantized, 'ranges' | 'channelRanges'>> => {
  const { allocation, feeds, floatFunctions } = options;
  const channelRanges = await channelRangesOf(prepared, options);
  const balanced =
    options.channels === true
      ? balanceInputs(
          prepared,
          channelSites(findRegions(prepared, allocation, floatFunctions)).inputs,
          channelRanges,
        )
      : new Map<string, Range>();
  const known = new Map([...(options.ranges ?? []), ...balanced]);
  // What is balanced is a value of its own: what has to be measured is known after that only.
  const missing = rangesNeeded(prepared, allocation, floatFunctions).filter((name) => !known.has(name));
  const measured =
    missing.length === 0 ? new Map<string, Range>() : await measureRanges(prepared, missing, feeds, options);
  return { ranges: new Map([...known, ...withoutFlats(components, measured)]), channelRanges };
};

/** Ranges by channel of all places that can use them; those given among them. */
const channelRangesOf = async (prepared: Model, options: QuantizeOptions): Promise<ChannelRanges> => {
  const known = new Map(options.channelRanges ?? []);
  if (options.channels !== true) return known;
  const { results, inputs } = channelSites(findRegions(prepared, options.allocation, options.floatFunctions));
  const names = [...results.values(), ...inputs.keys()].map(({ name }) => name);
  const missing = [...new Set(names)].filter((name) => !known.has(name));
  if (missing.length === 0) return known;
  const silus = new Set(
    componentsOf(prepared).flatMap(({ output, activation }) => (activation === 'silu' ? [output] : [])),
  );
  for (const [name, ranges] of await measureChannelRanges(prepared, missing, options.feeds, options)) {
    known.set(name, silus.has(name) ? ranges.map(cutFlat) : ranges);
  }
  return known;
};
