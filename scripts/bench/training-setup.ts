// The step that is measured: YOLOX-nano, its weights fake-quantized to 4 bits a channel with learned step sizes.
import { readModel, type Model } from '../../src/onnx/index.js';
import {
  type Component,
  componentsOf,
  prepareModel,
  uniformAllocation,
} from '../../src/quantization/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import { buildTraining, type OptimizerOptions, type TrainingGraph } from '../../src/training/index.js';
import { givenBatch, givenTargets } from './training-loss.js';

export const SIDE = 416;
const CLASSES = 80;
export const BITS = 4;
export const RATE = 1e-5;
export const CLIP = 10;

export const OPTIMIZER: OptimizerOptions = {
  kind: 'sgd',
  momentum: 0.9,
  schedule: { rate: RATE, steps: 1_000_000, last: 1 },
  clipNorm: CLIP,
};

export interface Setup {
  readonly model: Model;
  readonly components: readonly Component[];
  readonly graph: TrainingGraph;
  readonly feeds: Tensors;
}

export const setup = (modelPath: string, batch: number): Setup => {
  const model = prepareModel(readModel(modelPath));
  const components = componentsOf(model);
  const graph = buildTraining(model, {
    batch,
    loss: givenTargets(SIDE),
    weights: { allocation: uniformAllocation(components, BITS, 'fp32') },
  });
  return { model, components, graph, feeds: givenBatch(batch, SIDE, CLASSES) };
};
