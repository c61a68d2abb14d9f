// The artifact that an allocation stands for, built for its size and time: the very file, but for the values of its weights.
import { type Model, readModel, tensorOf, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  channelBits,
  componentNodes,
  pixelRanges,
  prepareFor,
  type Range,
  rangesNeeded,
  rewriteModel,
  roundWeights,
  takeBytes,
} from '../../quantization/index.js';
import type { InputSpec } from '../../registry/index.js';

/** Upper ends of ranges whose grids no Concat makes the same. */
const ENDS = [0.4, 1.5, 5, 16];

/** A range unlike the others: what shares a grid, or a zero point, makes a file smaller, and real ranges may not. */
const unlike = (index: number): Range => {
  const round = Math.floor(index / ENDS.length);
  const max = (ENDS[index % ENDS.length] ?? 1) * (1 + 0.02 * (round % 30));
  return { min: -(1.3 + 0.11 * (index % 97)), max };
};

const isLow = ({ components }: Allocation): boolean =>
  Object.values(components).some(({ bits }) =>
    (typeof bits === 'number' ? [bits] : bits).some((width) => width < 8),
  );

/**
 * The model file of an allocation. It is as large as the one that `bitlane quantize` makes, but for some bytes where layers run in
 * int8 and `ranges` are not those of calibration; it takes as long to run, and computes nothing of use.
 *
 * @param source the FP32 model
 * @param ranges of activations, by the name of the value
 * @param input of the FP32 model, where the file is to take bytes if it can, as artifacts do
 * @throws BitlaneError `BAD_CONFIG` when the allocation is not one for this model
 */
export const buildArtifact = async (
  source: Model,
  allocation: Allocation,
  ranges: ReadonlyMap<string, Range> = new Map(),
  input?: InputSpec,
): Promise<Uint8Array> => {
  const model = prepareFor(source, allocation);
  // Below 8 bits weights are rounded with error feedback, which gives layers that have a bias another one.
  if (isLow(allocation)) {
    for (const [node, component] of componentNodes(model)) {
      const entry = allocation.components[component.name];
      const bias = node.input(2);
      if (entry === undefined || bias === undefined) continue;
      if (channelBits(component, entry).every((width) => width === 32)) continue;
      const zeros = tensorOf(
        'float32',
        [component.outputChannels],
        new Float32Array(component.outputChannels),
      );
      node.setInput(2, model.graph.addInitializer(`${component.weight}.bias`, zeros));
    }
  }
  const known = new Map([...ranges, ...(input === undefined ? [] : pixelRanges(input, model))]);
  const names = rangesNeeded(model, allocation);
  const { weights } = await roundWeights(model, allocation, () => [], { grids: 'min-max' });
  const rewritten = rewriteModel(model, {
    allocation,
    ranges: new Map(names.map((name, index) => [name, known.get(name) ?? unlike(index)])),
    weights,
  });
  if (input !== undefined) takeBytes(rewritten.model, input);
  return writeModel(rewritten.model);
};

/** Bytes of a zero point and its name. */
const ZERO_BYTES = 28;

/**
 * Bytes of the model file of an allocation: exact where `ranges` are those of calibration or nothing runs in int8, else no fewer than
 * there will be: as many as if no two grids had the same zero point.
 */
export const artifactBytes = async (
  source: Model,
  allocation: Allocation,
  ranges?: ReadonlyMap<string, Range>,
  input?: InputSpec,
): Promise<number> => {
  const bytes = await buildArtifact(source, allocation, ranges, input);
  if (ranges !== undefined) return bytes.length;
  const [scales, zeros] = [new Set<string>(), new Set<string>()];
  for (const node of readModel(bytes).graph.nodes()) {
    const [scale, zero] = [node.input(1), node.input(2)];
    const isGrid = node.is('QuantizeLinear', 'DequantizeLinear') && zero?.constant?.type === 'uint8';
    if (!isGrid || zero.constant.dims.length > 0 || scale === undefined) continue;
    scales.add(scale.name);
    zeros.add(zero.name);
  }
  return bytes.length + ZERO_BYTES * Math.max(0, Math.min(scales.size, 256) - zeros.size);
};
