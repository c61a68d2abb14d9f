// A run under fake quantization: what it has learned, as the packer takes it, and as validation sees it.
import { type Model, writeModel } from '../../onnx/index.js';
import { type Allocation, quantizeModel, type TrainedModel } from '../../quantization/index.js';
import { trainedCodes, withLearned } from '../quantize/codes.js';
import type { WeightQuantization } from '../quantize/place.js';
import type { TrainingGraph } from '../types.js';
import type { Values } from './run.js';

/** The model with its learned weights, and the very codes that the training graph computed with. */
export const trainedModel = async (
  model: Model,
  graph: Pick<TrainingGraph, 'stepSizes'>,
  quantization: WeightQuantization,
  values: Values,
): Promise<TrainedModel> => {
  const trained = withLearned(model, values);
  const stepSizes = new Map([...graph.stepSizes].map(([name, start]) => [name, values.get(name) ?? start]));
  return { model: trained, weights: await trainedCodes(trained, { ...quantization, stepSizes }) };
};

/** The packed model with FP32 kernels: weights are on their grids, activations are not. */
export const packedWeights = async (
  { model, weights }: TrainedModel,
  { allocation, reduceRange = false }: WeightQuantization,
): Promise<Uint8Array> => {
  const components = Object.fromEntries(
    Object.entries(allocation.components).map(([name, entry]) => [
      name,
      { ...entry, execution: 'fp32' as const },
    ]),
  );
  const inFloats: Allocation = { ...allocation, components };
  const made = await quantizeModel(model, {
    allocation: inFloats,
    feeds: () => [],
    weights,
    reduceRange,
  });
  return writeModel(made.model);
};
