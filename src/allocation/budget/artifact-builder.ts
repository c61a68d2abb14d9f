// The artifact that an allocation stands for, built for its size and time: the very file, but for the values of its weights.
import { type Model, tensorOf, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  channelBits,
  componentNodes,
  prepareFor,
  type Range,
  rangesNeeded,
  rewriteModel,
  roundWeights,
} from '../../quantization/index.js';

/** Ranges of which no two make the same grid, so that nothing is shared that might not be. */
const unlike = (index: number): Range => {
  const zero = (index % 254) + 1;
  const scale = 2 ** (index % 5);
  return { min: -zero * scale, max: (255 - zero) * scale };
};

const isLow = ({ components }: Allocation): boolean =>
  Object.values(components).some(({ bits }) =>
    (typeof bits === 'number' ? [bits] : bits).some((width) => width < 8),
  );

/**
 * The model file of an allocation. It is as large as the one that `bitlane quantize` makes, or by some bytes larger where layers run
 * in int8 and `ranges` are not those of calibration; it takes as long to run, and computes nothing of use.
 *
 * @param source the FP32 model
 * @param ranges of activations, by the name of the value
 * @throws BitlaneError `BAD_CONFIG` when the allocation is not one for this model
 */
export const buildArtifact = async (
  source: Model,
  allocation: Allocation,
  ranges: ReadonlyMap<string, Range> = new Map(),
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
  const names = rangesNeeded(model, allocation);
  const { weights } = await roundWeights(model, allocation, () => [], { grids: 'min-max' });
  const rewritten = rewriteModel(model, {
    allocation,
    ranges: new Map(names.map((name, index) => [name, ranges.get(name) ?? unlike(index)])),
    weights,
  });
  return writeModel(rewritten.model);
};
