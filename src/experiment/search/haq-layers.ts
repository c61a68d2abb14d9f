// A model's layers as HAQ's agent sees them.
import type { Model } from '../../onnx/index.js';
import type { Component } from '../../quantization/index.js';
import type { HaqLayer } from './haq.js';

const widthOf = (model: Model, name: string): number => {
  const size = model.graph.value(name)?.shape?.at(-1);
  return typeof size === 'number' ? size : 1;
};

/** @param model prepared, with shapes */
export const haqLayers = (model: Model, components: readonly Component[]): HaqLayer[] =>
  components.map(({ name, input, output, weightDims, outputChannels, groups, kernel, axis }) => {
    const [from, to] = [widthOf(model, input), widthOf(model, output)];
    const perGroup = weightDims[axis === 0 ? 1 : 0] ?? 1;
    return {
      name,
      isDepthwise: groups > 1 && perGroup === 1,
      inputChannels: perGroup * groups,
      outputChannels,
      kernel: kernel[0] ?? 1,
      stride: Math.max(1, Math.round(from / Math.max(1, to))),
      size: from,
      weights: weightDims.reduce((product, dim) => product * dim, 1),
    };
  });
