// Weights onto their grids: to nearest, or with error feedback on what the layers see of the calibration data.
import type { Model } from '../onnx/index.js';
import { type Allocation, allocationOf, channelBits } from './allocation.js';
import { componentNodes } from './components.js';
import { correctBiases } from './correct-biases.js';
import { Feedback } from './feedback.js';
import { quantizeChannels } from './grid.js';
import { type WeightCodes, weightRows } from './packing.js';
import { codeBits, isRounded, type RoundingOptions, signed } from './rounding-options.js';
import type { FeedSource } from './taps.js';
import { weightGrids } from './weights.js';

export interface RoundedWeights {
  /** By the name of the component. */
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** The model with FP32 weights and the biases that go with the rounded ones. */
  readonly model: Model;
}

const nearestWeights = (
  model: Model,
  allocation: Allocation,
  options: RoundingOptions,
): Map<string, WeightCodes> => {
  const weights = new Map<string, WeightCodes>();
  for (const component of componentNodes(model).values()) {
    const bits = channelBits(component, allocationOf(allocation, component));
    if (!isRounded(bits)) continue;
    const rows = weightRows(component, model.graph.value(component.weight));
    const grids = weightGrids(rows, component.outputChannels, codeBits(bits), {
      method: options.grids ?? 'mse',
      reduceRange: options.reduceRange ?? false,
    });
    weights.set(component.name, { codes: signed(quantizeChannels(rows, grids)), grids });
  }
  return weights;
};

/**
 * Codes for the weights of every component that has fewer than 32 bits somewhere.
 *
 * @param model from `prepareModel`; it is not changed
 * @param feeds of `gptq` and bias correction: what the layers see; taken once
 * @throws BitlaneError `BAD_CONFIG` when the allocation does not fit
 */
export const roundWeights = async (
  model: Model,
  allocation: Allocation,
  feeds: FeedSource,
  options: RoundingOptions = {},
): Promise<RoundedWeights> => {
  const { rounding = 'nearest' } = options;
  switch (rounding) {
    case 'nearest': {
      const weights = nearestWeights(model, allocation, options);
      if (options.biasCorrection !== true) return { weights, model };
      return { weights, model: await correctBiases(model, allocation, weights, feeds, options) };
    }
    case 'gptq': {
      const feedback = new Feedback(model, allocation, options);
      await feedback.run(feeds);
      return { weights: feedback.weights, model: feedback.model };
    }
  }
};
