// From a profile to the time that an allocation will take.
import type { Model } from '../onnx/index.js';
import { type Allocation, prepareModel } from '../quantization/index.js';
import { type CostBasis, featuresOf, isFolded, predictRatio } from './cost.js';
import { named, regionsOf } from './network.js';
import type { Profile } from './profile.js';
import { foldedOf } from './variants.js';

export interface Latency {
  /** Over the time of everything in FP32. */
  readonly ratio: number;
  readonly milliseconds: number;
  /** Whether slices are to be folded into the FP32 layers behind them (`foldSlices` before quantizing). */
  readonly isFolded: boolean;
}

/**
 * What allocations of a model will take on the device of a profile; only their execution precision counts. A call takes
 * milliseconds.
 *
 * @param source the model as it was profiled, or prepared already
 */
export const latencyOf = (profile: Profile, source: Model): ((allocation: Allocation) => Latency) => {
  const model = named(prepareModel(source));
  const basis: CostBasis = {
    model,
    folded: profile.folding.isUsed ? foldedOf(model) : undefined,
    regions: regionsOf(model),
    times: profile.nodes,
    foldedTimes: profile.nodes.folded,
    referenceMs: profile.uniform.fp32Ms,
  };
  return (allocation) => {
    const ratio = predictRatio(profile.cost, featuresOf(basis, allocation));
    return {
      ratio,
      milliseconds: ratio * profile.uniform.fp32Ms,
      isFolded: isFolded(basis.folded, allocation),
    };
  };
};
