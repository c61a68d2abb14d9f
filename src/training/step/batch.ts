// A model made for one picture, made for several.
import { BitlaneError } from '../../errors.js';
import { inferShapes, integersOf, intsTensor, type Model, type Node, type Value } from '../../onnx/index.js';

const firstOf = (value: Value | undefined): number | undefined => {
  const first = value?.shape?.[0];
  return typeof first === 'number' ? first : undefined;
};

/** A Reshape that writes the number of pictures down keeps whatever number comes in. */
const keepBatch = (model: Model, node: Node, before: number): void => {
  const target = node.input(1);
  const dims = target?.constant === undefined ? undefined : integersOf(target.constant);
  if (dims?.[0] !== before || firstOf(node.input(0)) !== before || node.int('allowzero', 0) !== 0) return;
  node.setInput(1, model.graph.addInitializer(`${node.label}/shape`, intsTensor([0, ...dims.slice(1)])));
};

/**
 * Sets how many pictures the model takes at once, in place: the first dimension of its input and of everything behind it. Shapes are
 * inferred afterwards.
 *
 * @throws BitlaneError `BAD_MODEL` where an output does not follow: the network mixes pictures, or writes their number down where
 *   this does not look
 */
export const setBatch = (model: Model, batch: number): void => {
  const { graph } = model;
  inferShapes(model);
  for (const node of graph.nodes()) {
    const before = firstOf(node.input(0));
    if (node.is('Reshape') && before !== undefined) keepBatch(model, node, before);
  }
  for (const input of graph.inputs) {
    if (input.shape === undefined || input.shape.length === 0) {
      throw new BitlaneError('BAD_MODEL', `the input ${input.name} has no dimension for pictures`);
    }
    input.shape = [batch, ...input.shape.slice(1)];
  }
  for (const node of graph.nodes())
    for (const value of node.outputs) if (value !== undefined) value.shape = undefined;
  inferShapes(model);
  const stuck = graph.outputs.find((output) => firstOf(output) !== batch);
  if (stuck !== undefined) {
    throw new BitlaneError('BAD_MODEL', `the output ${stuck.name} does not take ${batch} pictures at once`);
  }
};
