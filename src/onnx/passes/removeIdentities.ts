// Takes Identity nodes away, and Dropout, which does nothing in inference.
import type { Node } from '../graph/node.js';
import { integersOf } from '../tensor.js';
import type { Pass } from './pass.js';

/** Dropout that passes its input on: its mask is not asked for and it does not train. */
const isIdleDropout = (node: Node): boolean => {
  if (!node.is('Dropout') || node.output(1)?.isUsed === true) return false;
  const training = node.input(2);
  if (training === undefined) return true;
  const { constant } = training;
  return constant !== undefined && integersOf(constant)?.[0] === 0;
};

export const removeIdentities: Pass = {
  name: 'remove identities',
  call: ({ graph }) => {
    let changed = false;
    for (const node of graph.nodes()) {
      const [input, output] = [node.input(0), node.output()];
      if (input === undefined || output === undefined) continue;
      if (!node.is('Identity') && !isIdleDropout(node)) continue;
      // Something must give the output its name: an input or another output cannot, and a constant is no result.
      if (output.isOutput && (input.isInput || input.isOutput || input.producer === undefined)) continue;
      graph.replaceNode(node, [input]);
      changed = true;
    }
    return changed;
  },
};
