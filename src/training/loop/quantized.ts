// A run under fake quantization: what it has learned, as the packer takes it, and as validation sees it.
import { type Model, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  quantizeModel,
  type TrainedModel,
  trainedOptions,
} from '../../quantization/index.js';
import { type ActivationQuantization, trainedGrids } from '../quantize/activations.js';
import { trainedCodes, withLearned } from '../quantize/codes.js';
import type { WeightQuantization } from '../quantize/place.js';
import { bentModel } from '../quantize/start.js';
import type { TrainingGraph } from '../types.js';
import type { Values } from './run.js';

/** The model with its learned weights, and the very codes that the training graph computed with. */
export const trainedModel = async (
  model: Model,
  graph: Pick<TrainingGraph, 'stepSizes' | 'activations'>,
  quantization: WeightQuantization,
  values: Values,
  measured?: Omit<ActivationQuantization, 'allocation'>,
): Promise<TrainedModel> => {
  const trained = withLearned(model, values);
  const stepSizes = new Map([...graph.stepSizes].map(([name, start]) => [name, values.get(name) ?? start]));
  const learned = { ...quantization, stepSizes };
  return {
    model: quantization.method === 'dorefa' ? bentModel(trained, learned) : trained,
    weights: await trainedCodes(trained, learned),
    ...(measured !== undefined && {
      activations: {
        grids: trainedGrids(graph.activations, values),
        ranges: measured.ranges,
        floatFunctions: measured.floatFunctions ?? new Set<string>(),
      },
    }),
  };
};

/** The same weights, FP32 kernels. */
const inFloats = (allocation: Allocation): Allocation => {
  const components = Object.fromEntries(
    Object.entries(allocation.components).map(([name, entry]) => [
      name,
      { ...entry, execution: 'fp32' as const },
    ]),
  );
  return { ...allocation, components };
};

/** The packed model: activations are on their grids where those were trained, and kernels compute in FP32 where they were not. */
export const packedModel = async (
  trained: TrainedModel,
  { allocation, reduceRange = false }: WeightQuantization,
): Promise<Uint8Array> => {
  const made = await quantizeModel(trained.model, {
    ...trainedOptions(trained),
    allocation: trained.activations === undefined ? inFloats(allocation) : allocation,
    feeds: () => [],
    reduceRange,
  });
  return writeModel(made.model);
};
