// Perturbations of a component for tests.
import type { Model } from '../../src/onnx/index.js';
import {
  channelGrid,
  type Component,
  dequantizeChannels,
  quantizeChannels,
  weightGrids,
} from '../../src/quantization/index.js';
import type { Perturbation } from '../../src/significance/alone.js';

/** Weights to nearest with another bias, and an input of few bits. */
export const perturbed = (model: Model, component: Component, bits = 2): Perturbation[] => {
  const weight = model.graph.value(component.weight)?.constant;
  const bias = model.graph.value(component.bias ?? '')?.constant;
  if (weight?.type !== 'float32' || weight.kind !== 'dense') throw new Error('float weights');
  const grids = weightGrids(weight.data, component.outputChannels, bits);
  return [
    {
      kind: 'weights',
      weights: dequantizeChannels(quantizeChannels(weight.data, grids), grids),
      bias: bias?.type === 'float32' && bias.kind === 'dense' ? bias.data.map((b) => b + 0.125) : undefined,
    },
    { kind: 'activations', grid: channelGrid(-1, 2, { bits, signed: false }) },
  ];
};
