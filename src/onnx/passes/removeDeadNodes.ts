// Takes away nodes whose outputs nobody needs.
import type { Pass } from './pass.js';

/** Nodes that neither the graph's outputs nor any subgraph need, directly or not. */
export const removeDeadNodes: Pass = {
  name: 'remove dead nodes',
  call: ({ graph }) => {
    const waiting = [...graph.nodes()];
    let changed = false;
    // From the end on: a node's makers are looked at again once it is gone.
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.isRemoved || node.outputs.some((value) => value?.isUsed === true)) continue;
      const makers = node.needs.flatMap((value) => value.producer ?? []);
      graph.removeNode(node);
      changed = true;
      waiting.push(...makers);
    }
    return changed;
  },
};
