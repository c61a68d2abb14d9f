// Makes a model ready: constants are initializers, BatchNorm is folded, shapes are known, the opset holds the weights' types.
import {
  cloneModel,
  foldBatchNorm,
  foldConstants,
  foldSlices,
  freezeInitializers,
  inferShapes,
  type Model,
  removeDeadNodes,
  removeIdentities,
  removeUnusedInitializers,
  runPasses,
  upgradeOpset,
} from '../onnx/index.js';
import type { Allocation, BitWidth } from './allocation.js';

/** The opset that first has what is needed: a scale per channel, INT4, INT2. */
const OPSET_OF_BITS: Readonly<Record<BitWidth, number>> = { 32: 13, 8: 13, 4: 21, 2: 25 };

/** The oldest opset that holds weights of these widths. */
export const opsetFor = (allocation: Allocation): number =>
  Math.max(
    ...Object.values(allocation.components).flatMap(({ bits }) =>
      (typeof bits === 'number' ? [bits] : bits).map((width) => OPSET_OF_BITS[width]),
    ),
    OPSET_OF_BITS[8],
  );

/** {@link prepareModel} as an allocation wants it: with the opset of its bits, slices folded or not. */
export const prepareFor = (model: Model, allocation: Allocation): Model => {
  const prepared = prepareModel(model, opsetFor(allocation));
  if (allocation.foldSlices !== true) return prepared;
  runPasses(prepared, [foldSlices, removeDeadNodes, removeUnusedInitializers]);
  inferShapes(prepared);
  return prepared;
};

/**
 * A copy of `model` that computes the same (up to rounding where BatchNorm was folded), in the form that everything in this
 * room works on. Components keep their names.
 *
 * @throws BitlaneError `BAD_MODEL` naming the node that cannot be brought to `opset`
 */
export const prepareModel = (model: Model, opset = OPSET_OF_BITS[8]): Model => {
  const copy = cloneModel(model);
  runPasses(copy, [
    freezeInitializers,
    foldConstants,
    removeIdentities,
    foldBatchNorm,
    upgradeOpset(opset),
    removeDeadNodes,
    removeUnusedInitializers,
  ]);
  inferShapes(copy);
  return copy;
};
