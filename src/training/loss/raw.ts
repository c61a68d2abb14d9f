// A head's output before its closing sigmoids: what a loss is stable on.
import { BitlaneError } from '../../errors.js';
import type { Graph, Node, Value } from '../../onnx/index.js';

/** Operators that only rearrange: an output is followed back through them. */
const REARRANGE = ['Concat', 'Flatten', 'Identity', 'Reshape', 'Slice', 'Squeeze', 'Transpose', 'Unsqueeze'];

/** Inputs that a node rearranges; the others say how. */
const rearranged = (node: Node): readonly number[] =>
  node.is('Concat') ? node.inputs.map((_, index) => index) : [0];

/**
 * `output` with every closing `Sigmoid` left out: scores become logits, everything else is as it was. Nodes that rearrange are
 * built a second time, over the sigmoids' inputs.
 *
 * @throws BitlaneError `BAD_MODEL` where no sigmoid is found
 */
export const beforeSigmoids = (graph: Graph, output: Value): Value => {
  const known = new Map<Value, Value>();
  let sigmoids = 0;
  const raw = (value: Value): Value => {
    const before = known.get(value);
    if (before !== undefined) return before;
    const found = follow(value);
    known.set(value, found);
    return found;
  };
  const follow = (value: Value): Value => {
    const node = value.producer;
    if (node === undefined) return value;
    if (node.is('Sigmoid')) {
      sigmoids += 1;
      return node.input(0) ?? value;
    }
    if (!node.is(...REARRANGE)) return value;
    const places = rearranged(node);
    const inputs = node.inputs.map((input, index) =>
      input !== undefined && places.includes(index) ? raw(input) : input,
    );
    if (inputs.every((input, index) => input === node.input(index))) return value;
    const twin = graph.addNode({
      opType: node.opType,
      name: graph.uniqueName(`${node.name}/raw`),
      inputs,
      attributes: node.attributes,
    });
    const result = twin.output() ?? value;
    result.type = value.type;
    result.shape = value.shape;
    return result;
  };
  const result = raw(output);
  if (sigmoids > 0) return result;
  throw new BitlaneError(
    'BAD_MODEL',
    `the output ${output.name} does not end in sigmoids: its head cannot be trained`,
  );
};
