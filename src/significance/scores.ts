// Scores as exact as floats are: what the engine's own sigmoid makes of an unlikely class is a rough number.
import { BitlaneError } from '../errors.js';
import { cloneModel, type Graph, inferShapes, type Model, tensorOf, type Value } from '../onnx/index.js';

/**
 * A copy of a model in which the sigmoids that make scores are computed as 1 / (1 + exp(-x)). The engine's Sigmoid is right to 1e-7 of 1:
 * for a score of 1e-6 that is a tenth of it, and as a logit more than rounding a filter changes.
 *
 * @param model from `prepareModel`; gates (x sigmoid(x)) stay as they are
 */
export const withExactScores = (model: Model): Model => {
  const copy = cloneModel(model);
  const { graph } = copy;
  for (const node of graph.nodes()) {
    const [x, score] = [node.input(0), node.output()];
    if (!node.is('Sigmoid') || x === undefined || score === undefined) continue;
    if (score.users.some((user) => user.is('Mul') && user.inputs.includes(x))) continue;
    const one = (value: number): Value =>
      graph.addInitializer('score', tensorOf('float32', [], Float32Array.of(value)));
    const inverse = op(graph, 'Exp', [op(graph, 'Mul', [x, one(-1)], node.name)], node.name);
    graph.replaceNode(node, [
      op(graph, 'Div', [one(1), op(graph, 'Add', [inverse, one(1)], node.name)], node.name),
    ]);
  }
  graph.sort();
  inferShapes(copy);
  return copy;
};

const op = (graph: Graph, opType: string, inputs: readonly Value[], name: string): Value => {
  const made = graph.addNode({ opType, inputs, name: graph.uniqueName(`${name}/${opType}`) }).output();
  if (made === undefined) throw new BitlaneError('INTERNAL', `${opType} has no output`);
  return made;
};
