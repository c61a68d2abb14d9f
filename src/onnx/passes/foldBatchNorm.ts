// Folds BatchNormalization into the Conv, ConvTranspose or Gemm before it.
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { type DenseTensorOf, tensorOf } from '../tensor.js';
import type { Pass } from './pass.js';

type Floats = DenseTensorOf<'float32'>;

const floatsOf = (value: Value | undefined): Floats | undefined =>
  value?.constant?.kind === 'dense' && value.constant.type === 'float32' ? value.constant : undefined;

/** y = factor * x + offset, one of each a channel, in double precision. */
interface Affine {
  readonly factor: Float64Array;
  readonly offset: Float64Array;
}

const affineOf = (node: Node): Affine | undefined => {
  const parts = [1, 2, 3, 4].map((index) => floatsOf(node.input(index)));
  const [scale, bias, mean, variance] = parts;
  if (scale === undefined || bias === undefined || mean === undefined || variance === undefined)
    return undefined;
  const { length } = scale.data;
  if (parts.some((part) => part?.data.length !== length)) return undefined;
  const epsilon = node.float('epsilon', 1e-5);
  const factor = Float64Array.from(scale.data, (s, i) => s / Math.sqrt((variance.data[i] ?? 0) + epsilon));
  const offset = Float64Array.from(bias.data, (b, i) => b - (mean.data[i] ?? 0) * (factor[i] ?? 0));
  return { factor, offset };
};

/** For each weight of the layer, its output channel; `undefined` where the layer is not simple. */
const channelsOf = (node: Node, weight: Floats): ((index: number) => number) | undefined => {
  const [d0 = 0, d1 = 0] = weight.dims;
  const { length } = weight.data;
  if (length === 0) return undefined;
  if (node.is('Conv')) return (index) => Math.floor(index / (length / d0));
  if (node.is('ConvTranspose')) {
    // [inputs, outputs / group, ...]: the group follows from the input.
    const groups = node.int('group', 1);
    const area = length / (d0 * d1);
    if (groups < 1 || d0 % groups !== 0) return undefined;
    return (index) =>
      Math.floor(Math.floor(index / (area * d1)) / (d0 / groups)) * d1 + (Math.floor(index / area) % d1);
  }
  if (
    !node.is('Gemm') ||
    node.float('alpha', 1) !== 1 ||
    node.float('beta', 1) !== 1 ||
    weight.dims.length !== 2
  ) {
    return undefined;
  }
  return node.int('transB', 0) === 1 ? (index) => Math.floor(index / d1) : (index) => index % d1;
};

const outputsOf = (node: Node, weight: Floats): number => {
  const [d0 = 0, d1 = 0] = weight.dims;
  if (node.is('Conv')) return d0;
  if (node.is('ConvTranspose')) return d1 * node.int('group', 1);
  return node.int('transB', 0) === 1 ? d0 : d1;
};

/** The layer's bias as `channels` numbers; zeros where it has none, `undefined` where it is not that simple. */
const biasOf = (node: Node, channels: number): Float32Array | undefined => {
  if (node.input(2) === undefined) return new Float32Array(channels);
  const bias = floatsOf(node.input(2));
  return bias?.dims.length === 1 && bias.data.length === channels ? bias.data : undefined;
};

const fold = (graph: Graph, norm: Node): boolean => {
  const layer = norm.input(0)?.producer;
  const between = norm.input(0);
  const result = norm.output();
  if (layer === undefined || between === undefined || result === undefined) return false;
  if (between.isOutput || between.users.length !== 1) return false;
  // Statistics that are asked for, or batch statistics, are training.
  if (norm.int('training_mode', 0) !== 0 || norm.outputs.slice(1).some((value) => value !== undefined))
    return false;
  const weightValue = layer.input(1);
  const weight = floatsOf(weightValue);
  const affine = affineOf(norm);
  if (weight === undefined || weightValue === undefined || affine === undefined) return false;
  const channelOf = channelsOf(layer, weight);
  const channels = outputsOf(layer, weight);
  const bias = biasOf(layer, channels);
  if (channelOf === undefined || bias === undefined || affine.factor.length !== channels) return false;
  const { factor, offset } = affine;
  const scaled = Float32Array.from(weight.data, (w, index) => w * (factor[channelOf(index)] ?? 1));
  const shifted = Float32Array.from(bias, (b, c) => b * (factor[c] ?? 1) + (offset[c] ?? 0));
  // New initializers: the old ones may have other users; if not, they go with the unused ones.
  layer.setInput(
    1,
    graph.addInitializer(`${weightValue.name}.folded`, tensorOf('float32', weight.dims, scaled)),
  );
  const biasName = layer.input(2)?.name ?? `${weightValue.name}.bias`;
  layer.setInput(2, graph.addInitializer(`${biasName}.folded`, tensorOf('float32', [channels], shifted)));
  graph.replaceNode(norm, [between]);
  return true;
};

/** The result differs from the original by rounding only. */
export const foldBatchNorm: Pass = {
  name: 'fold batch normalization',
  call: ({ graph }) => {
    let changed = false;
    for (const node of graph.nodes()) {
      if (node.is('BatchNormalization') && fold(graph, node)) changed = true;
    }
    return changed;
  },
};
