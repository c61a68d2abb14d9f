// A model of an artifact's bytes: weights, scales and biases by their sizes, the graph around them as it was built.
import type { Model } from '../../onnx/index.js';
import {
  type BitWidth,
  BIT_WIDTHS,
  type Component,
  componentBytes,
  uniformAllocation,
} from '../../quantization/index.js';
import type { ByteModel } from '../solver/problem.js';
import { buildArtifact } from './artifact-builder.js';

/**
 * Builds the model in each uniform allocation, and takes the rest of each file for what the graph of a layer takes there. What it
 * says of a mixture is off by some bytes a layer; whoever needs the exact size builds the file.
 */
export const measureBytes = async (source: Model, components: readonly Component[]): Promise<ByteModel> => {
  const count = Math.max(1, components.length);
  const implied = (bits: BitWidth): number =>
    components.reduce((sum, component) => sum + componentBytes(component, { bits, execution: 'fp32' }), 0);
  const rest = async (bits: BitWidth, execution: 'fp32' | 'int8'): Promise<number> =>
    (await buildArtifact(source, uniformAllocation(components, bits, execution))).length - implied(bits);
  const constant = await rest(32, 'fp32');
  const graph = new Map<BitWidth, number>();
  for (const bits of BIT_WIDTHS) graph.set(bits, ((await rest(bits, 'fp32')) - constant) / count);
  const int8 = ((await rest(8, 'int8')) - constant) / count - (graph.get(8) ?? 0);
  return {
    constant,
    weights: components.map((component) => {
      const of = (bits: BitWidth): number =>
        componentBytes(component, { bits, execution: 'fp32' }) + (graph.get(bits) ?? 0);
      return { 2: of(2), 4: of(4), 8: of(8), 32: of(32) };
    }),
    int8: components.map(() => int8),
  };
};
