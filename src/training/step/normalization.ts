// BatchNormalization that learns: the batch's own statistics in the forward pass, running ones beside them.
import { dimsOf } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import { float, int, type Model, type Node, type Value } from '../../onnx/index.js';
import type { Statistic } from '../types.js';
import { floatsOf } from './floats.js';

/** What of the running statistics a step keeps. */
const KEPT = 0.95;

/** The running statistics that go into a node become graph inputs, of the same name. */
const opened = (model: Model, node: Node, index: number): { value: Value; start: Float32Array } => {
  const constant = node.input(index);
  const start = constant === undefined ? undefined : floatsOf(constant);
  if (constant === undefined || start === undefined || constant.users.length !== 1) {
    throw new BitlaneError(
      'BAD_MODEL',
      `node ${node.label}: its running statistics must be constants of its own`,
    );
  }
  const { name, type, shape } = constant;
  model.graph.rename(constant, `${name}.start`);
  const value = model.graph.addInput(name, type, shape);
  node.setInput(index, value);
  return { value, start };
};

/**
 * Lets every BatchNormalization normalize by the statistics of the batch, in place.
 *
 * @returns their running statistics, which each step is given and gives back
 * @throws BitlaneError `BAD_MODEL` where running statistics are no constants of one node
 */
export const learnNormalizations = (model: Model): Statistic[] => {
  const statistics: Statistic[] = [];
  for (const node of [...model.graph.nodes()]) {
    if (!node.is('BatchNormalization') || node.int('training_mode', 0) === 1) continue;
    const output = node.output();
    if (output === undefined) continue;
    const running = [3, 4].map((index) => opened(model, node, index));
    const twin = model.graph.addNode(
      {
        opType: 'BatchNormalization',
        name: node.name,
        inputs: node.inputs,
        outputs: 3,
        attributes: {
          epsilon: float(node.float('epsilon', 1e-5)),
          momentum: float(KEPT),
          training_mode: int(1),
        },
      },
      { after: node },
    );
    twin.outputs.forEach((value, index) => {
      if (value === undefined) return;
      value.type = output.type;
      value.shape = index === 0 ? output.shape : running[0]?.value.shape;
      const at = running[index - 1];
      if (at === undefined) return;
      const { name } = at.value;
      statistics.push({ name, dims: dimsOf(at.value), value: at.start.slice(), output: value.name });
    });
    const [normal] = twin.outputs;
    if (normal !== undefined) model.graph.replaceNode(node, [normal]);
  }
  return statistics;
};
