// Where a run under quantization begins: with a model that is rounded already, and grids that fit what its layers see.
import type { Model } from '../../onnx/index.js';
import {
  activationRanges,
  type FeedSource,
  type Range,
  type RangeMethod,
  type Rounding,
  roundWeights,
} from '../../quantization/index.js';
import type { ActivationQuantization } from './activations.js';
import type { WeightQuantization } from './place.js';
import { startFromCodes, startUnbent } from './start.js';

export interface BeginOptions {
  readonly weights: WeightQuantization;
  /** Calibration data: inputs of one run each; taken once for rounding, once for ranges. */
  readonly feeds: FeedSource;
  /** How weights are rounded before the first step (default `gptq`). */
  readonly rounding?: Rounding;
  /** Put activations on grids too, where the allocation computes in int8; these are what the first grids follow from. */
  readonly activations?: {
    readonly method?: RangeMethod;
    readonly floatFunctions?: ReadonlySet<string>;
    /** Of values whose grids are right as they are, whatever is trained (`pixelRanges`). */
    readonly knownRanges?: ReadonlyMap<string, Range>;
  };
  readonly signal?: AbortSignal;
  readonly onProgress?: (layersRounded: number, all: number) => void;
}

/** What `trainDetector` takes. */
export interface QuantizedBeginning {
  readonly model: Model;
  readonly weights: WeightQuantization;
  readonly activations?: Omit<ActivationQuantization, 'allocation'>;
}

/**
 * Rounds and measures, so that training begins with the best that is known without it. `dorefa` begins with plain rounding.
 *
 * @param model from `prepareModel`; it is not changed
 * @throws BitlaneError `BAD_CONFIG` for an allocation that does not fit, `BAD_MODEL` when the model cannot be run
 */
export const beginQuantized = async (model: Model, options: BeginOptions): Promise<QuantizedBeginning> => {
  const { weights, feeds, rounding = 'gptq', signal, onProgress } = options;
  const { allocation, reduceRange, grids } = weights;
  const common = { ...(signal !== undefined && { signal }) };
  const begin = async () => {
    if (weights.method === 'dorefa') return startUnbent(model, weights);
    const rounded = await roundWeights(model, allocation, feeds, {
      ...common,
      rounding,
      ...(reduceRange !== undefined && { reduceRange }),
      ...(grids !== undefined && { grids }),
      ...(onProgress !== undefined && { onProgress }),
    });
    return startFromCodes(rounded.model, rounded.weights, weights);
  };
  const start = await begin();
  if (options.activations === undefined) return { model: start.model, weights: start.quantization };
  const { method, floatFunctions, knownRanges } = options.activations;
  const ranges = await activationRanges(model, allocation, feeds, {
    ...common,
    ...(method !== undefined && { method }),
    ...(floatFunctions !== undefined && { floatFunctions }),
    ...(knownRanges !== undefined && { knownRanges }),
  });
  return {
    model: start.model,
    weights: start.quantization,
    activations: {
      ranges,
      ...(floatFunctions !== undefined && { floatFunctions }),
      ...(knownRanges !== undefined && { fixed: new Set(knownRanges.keys()) }),
    },
  };
};
