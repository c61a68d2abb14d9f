// One network in every precision: what all plans share is measured and rounded once, and each plan is written from it.
import {
  cloneModel,
  foldSlices,
  inferShapes,
  type Model,
  removeDeadNodes,
  removeUnusedInitializers,
  runPasses,
  writeModel,
} from '../onnx/index.js';
import {
  type Allocation,
  componentsOf,
  type FeedSource,
  findRegions,
  measureRanges,
  prepareModel,
  type Range,
  rewriteModel,
  roundWeights,
  uniformAllocation,
  type WeightCodes,
} from '../quantization/index.js';
import type { SessionOptions } from '../runtime/index.js';
import { isFolded } from './cost.js';
import { allocationOfPlan, named, type Plan, type Region, regionsOf } from './network.js';

/** A model with what its plans need. Times do not depend on the weights' values: they are rounded to nearest. */
export class Variants {
  /** Every node with a name. */
  readonly model: Model;
  readonly folded: { readonly model: Model; readonly components: ReadonlySet<string> } | undefined;
  readonly regions: readonly Region[];
  readonly #ranges: ReadonlyMap<string, Range>;
  readonly #weights: ReadonlyMap<string, WeightCodes>;

  /** Use {@link makeVariants}. */
  constructor(
    model: Model,
    folded: Variants['folded'],
    ranges: ReadonlyMap<string, Range>,
    weights: ReadonlyMap<string, WeightCodes>,
  ) {
    this.model = model;
    this.folded = folded;
    this.regions = regionsOf(model);
    this.#ranges = ranges;
    this.#weights = weights;
  }

  /** The same without folding. */
  unfolded(): Variants {
    return new Variants(this.model, undefined, this.#ranges, this.#weights);
  }

  allocation(plan: Plan): Allocation {
    return allocationOfPlan(this.regions, plan);
  }

  /** The model file of a plan. Slices are folded where that is on and the layers behind them run in fp32. */
  bytes(plan: Plan, { fold = true }: { readonly fold?: boolean } = {}): Uint8Array {
    const allocation = this.allocation(plan);
    const { folded } = this;
    const model = fold && folded !== undefined && isFolded(folded, allocation) ? folded.model : this.model;
    const options = { allocation, ranges: this.#ranges, weights: this.#weights };
    return writeModel(rewriteModel(model, options).model);
  }
}

/** The model with its slices folded, and the components that changes; `undefined` where there is nothing to fold. */
export const foldedOf = (model: Model): Variants['folded'] => {
  const copy = cloneModel(model);
  if (runPasses(copy, [foldSlices]).length === 0) return undefined;
  runPasses(copy, [removeDeadNodes, removeUnusedInitializers]);
  inferShapes(copy);
  const before = new Map(componentsOf(model).map(({ name, weightDims }) => [name, weightDims.join()]));
  const changed = componentsOf(copy).filter(({ name, weightDims }) => before.get(name) !== weightDims.join());
  return { model: copy, components: new Set(changed.map(({ name }) => name)) };
};

/**
 * Prepares a model for {@link Variants}. Blocks the thread while the model runs.
 *
 * @param feeds what ranges are measured on
 * @param reduceRange 7-bit weights, for a CPU whose 8-bit products saturate
 * @throws BitlaneError `BAD_MODEL` when the model cannot be run
 */
export const makeVariants = async (
  source: Model,
  feeds: FeedSource,
  reduceRange: boolean,
  session: SessionOptions,
): Promise<Variants> => {
  const model = named(prepareModel(source));
  const int8 = uniformAllocation(componentsOf(model), 8, 'int8');
  // Whatever is coded under any plan is so where everything is.
  const names = findRegions(model, int8).coded.map(({ name }) => name);
  const ranges = await measureRanges(model, names, feeds, { session });
  const { weights } = await roundWeights(model, int8, feeds, { grids: 'min-max', reduceRange });
  return new Variants(model, foldedOf(model), ranges, weights);
};
