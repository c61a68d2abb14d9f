// From a model, an allocation and calibration data to a quantized model: prepare, measure, round, rewrite.
import type { Model } from '../onnx/index.js';
import { type Allocation, allocationBytes, checkAllocation } from './allocation.js';
import type { Range } from './calibration.js';
import { componentsOf } from './components.js';
import type { WeightCodes } from './packing.js';
import { opsetFor, prepareModel } from './prepare.js';
import { measureRanges, type MeasureOptions, rangesNeeded } from './ranges.js';
import { type Rewritten, rewriteModel } from './rewrite.js';
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
}

export interface Quantized extends Rewritten {
  /** The FP32 model that was rewritten: its values are what `reference` names. */
  readonly prepared: Model;
  readonly ranges: ReadonlyMap<string, Range>;
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
  const prepared = prepareModel(model, opsetFor(allocation));
  const components = componentsOf(prepared);
  checkAllocation(allocation, components);
  const known = options.ranges ?? new Map<string, Range>();
  const missing = rangesNeeded(prepared, allocation).filter((name) => !known.has(name));
  const measured =
    missing.length === 0 ? new Map<string, Range>() : await measureRanges(prepared, missing, feeds, options);
  const ranges = new Map([...known, ...measured]);
  const rounded = await roundWeights(prepared, allocation, feeds, options);
  const rewritten = rewriteModel(rounded.model, {
    allocation,
    ranges,
    weights: rounded.weights,
    unpacked: options.unpacked ?? false,
  });
  return {
    ...rewritten,
    prepared,
    ranges,
    weights: rounded.weights,
    impliedBytes: allocationBytes(components, allocation),
  };
};
