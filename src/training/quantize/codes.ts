// From what training has learned to codes and scales that are packed: computed by the graph that was trained, to the last bit.
import { Ops } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import {
  cloneModel,
  type Graph,
  type Model,
  removeDeadNodes,
  removeUnusedInitializers,
  runPasses,
  sizeOf,
  tensorOf,
  upgradeOpset,
  type Value,
  writeModel,
} from '../../onnx/index.js';
import type { ChannelGrid, WeightCodes } from '../../quantization/index.js';
import { type Tensors, withSession } from '../../runtime/index.js';
import { addFakeWeights, type PlacedComponent, type WeightQuantization } from './place.js';

/**
 * A copy of the model with learned tensors in place of its own. Names that it does not have (step sizes) are passed over.
 *
 * @throws BitlaneError `BAD_MODEL` where a tensor does not have its initializer's size
 */
export const withLearned = (model: Model, learned: ReadonlyMap<string, Float32Array>): Model => {
  const copy = cloneModel(model);
  for (const [name, data] of learned) {
    const value = copy.graph.value(name);
    const tensor = value?.tensor;
    if (value === undefined || tensor === undefined) continue;
    if (sizeOf(tensor.dims) !== data.length) {
      throw new BitlaneError('BAD_MODEL', `the model's ${name} does not hold ${data.length} numbers`);
    }
    copy.graph.setTensor(value, tensorOf('float32', tensor.dims, data.slice()));
  }
  return copy;
};

/** Nothing but the graph's outputs is needed any more; inputs that nothing takes go. */
const keepOnly = (graph: Graph, outputs: readonly Value[]): void => {
  for (const output of graph.outputs) graph.removeOutput(output);
  for (const output of new Set(outputs)) graph.addOutput(output);
};

/** Codes with the output channels in front. */
const asRows = (ops: Ops, { component, codes }: PlacedComponent): Value =>
  component.axis === 0 ? codes : ops.flip(codes);

const floatsIn = (results: Tensors, { name }: Value): Float32Array => {
  const tensor = results[name];
  if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `the codes' graph gave no ${name}`);
  return tensor.data;
};

const gridsOf = ({ levels }: PlacedComponent, scales: Float32Array): ChannelGrid[] =>
  levels.bits.map((width, channel) => ({
    bits: width === 32 ? 8 : width,
    signed: true,
    low: levels.low[channel] ?? 0,
    high: levels.high[channel] ?? 0,
    scale: width === 32 ? 1 : (scales[channel] ?? 1),
    zeroPoint: 0,
  }));

/**
 * Codes of every component that has fewer than 32 bits somewhere, as `quantizeModel` takes them.
 *
 * @param model the one that was trained, with what was learned in it ({@link withLearned})
 * @param quantization as it was trained under, with the step sizes that were learned
 */
export const trainedCodes = async (
  model: Model,
  quantization: WeightQuantization,
): Promise<Map<string, WeightCodes>> => {
  const copy = cloneModel(model);
  runPasses(copy, [upgradeOpset(18)]);
  const { graph } = copy;
  const ops = new Ops(graph);
  const placed = addFakeWeights(copy, ops, quantization).components.map((component) => ({
    component,
    rows: asRows(ops, component),
  }));
  keepOnly(
    graph,
    placed.flatMap(({ rows, component }) => [rows, component.scale]),
  );
  runPasses(copy, [removeDeadNodes, removeUnusedInitializers]);
  for (const input of graph.inputs) if (!input.isUsed) graph.removeInput(input);
  const results =
    placed.length === 0 ? {} : await withSession(writeModel(copy), {}, (session) => session.run({}));
  return new Map(
    placed.map(({ component, rows }) => [
      component.component.name,
      {
        codes: Int8Array.from(floatsIn(results, rows)),
        grids: gridsOf(component, floatsIn(results, component.scale)),
      },
    ]),
  );
};
