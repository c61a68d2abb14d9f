// Quantizing small networks in tests.
import { type Model, type Node, writeModel } from '../../src/onnx/index.js';
import {
  type Allocation,
  allocate,
  type BitWidth,
  componentsOf,
  type FeedSource,
  prepareModel,
  type Quantized,
  quantizeModel,
  type QuantizeOptions,
} from '../../src/quantization/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import { feedsFor, numbers } from '../onnx/bits.js';

/** A few feeds of noise. */
export const noiseFeeds = async (model: Model, count = 3): Promise<FeedSource> => {
  const bytes = writeModel(model);
  const feeds: Tensors[] = [];
  for (let seed = 1; seed <= count; seed++) feeds.push(await feedsFor(bytes, 10 * seed));
  return () => feeds;
};

export const quantized = async (
  model: Model,
  allocation: Allocation,
  options: Partial<QuantizeOptions> = {},
): Promise<Quantized> =>
  quantizeModel(model, {
    allocation,
    feeds: await noiseFeeds(model),
    method: 'min-max',
    reduceRange: true,
    ...options,
  });

/** A random mixture of 2, 4 and 8 bits by output channel, all in int8. */
export const randomMixture = (model: Model, seed: number): Allocation => {
  const next = numbers(seed);
  const widths = [2, 4, 8] as const;
  return allocate(componentsOf(prepareModel(model)), ({ outputChannels }) => ({
    bits: Array.from({ length: outputChannels }, (): BitWidth => widths[Math.floor(next() * 3)] ?? 8),
    execution: 'int8',
  }));
};

/** Nodes of an optimized graph that are convolutions or matrix products, by name. */
export const layersOf = ({ graph }: Model): Map<string, Node> => {
  const kinds = ['Conv', 'FusedConv', 'QLinearConv', 'Gemm', 'FusedGemm', 'QGemm', 'MatMul', 'QLinearMatMul'];
  return new Map(
    [...graph.nodes()].filter(({ opType }) => kinds.includes(opType)).map((node) => [node.name, node]),
  );
};
