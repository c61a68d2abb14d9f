// Makes initializers of Constant nodes.
import type { Node } from '../graph/node.js';
import { intsTensor, type Tensor, tensorOf } from '../tensor.js';
import type { Pass } from './pass.js';

const exact = (values: readonly number[]): boolean => values.every((value) => Number.isSafeInteger(value));

/** The tensor that a Constant node gives; `undefined` for sparse ones and integers beyond 2^53. */
const held = (node: Node): Tensor | undefined => {
  for (const [name, attribute] of node.attributes) {
    if (!name.startsWith('value')) continue;
    switch (attribute.type) {
      case 'tensor':
        return attribute.value;
      case 'float':
        return tensorOf('float32', [], Float32Array.of(attribute.value));
      case 'floats':
        return tensorOf('float32', [attribute.value.length], Float32Array.from(attribute.value));
      case 'int':
        return exact([attribute.value]) ? intsTensor(attribute.value) : undefined;
      case 'ints':
        return exact(attribute.value) ? intsTensor(attribute.value) : undefined;
      case 'string':
      case 'strings':
      case 'tensors':
      case 'graph':
      case 'graphs':
      case 'other':
        return undefined;
    }
  }
  return undefined;
};

export const foldConstants: Pass = {
  name: 'fold constants',
  call: ({ graph }) => {
    let changed = false;
    for (const node of graph.nodes()) {
      const output = node.is('Constant') ? node.output() : undefined;
      const tensor = output === undefined ? undefined : held(node);
      if (output === undefined || tensor === undefined) continue;
      const { name } = output;
      if (output.isUsed) {
        const value = graph.addInitializer(`${name}.constant`, tensor);
        graph.replaceUses(output, value);
        graph.removeNode(node);
        graph.rename(value, name);
      } else graph.removeNode(node);
      changed = true;
    }
    return changed;
  },
};
