// Gives constants the shortest names that are free: a name stands in the file twice, and how long it is says nothing.
import type { Pass } from './pass.js';

/** Inputs and outputs of the graph keep theirs. */
export const shortenNames: Pass = {
  name: 'shorten names',
  call: ({ graph }) => {
    const outputs = new Set(graph.outputs);
    let changed = false;
    for (const value of graph.initializers) {
      if (value.isInput || outputs.has(value)) continue;
      const name = graph.uniqueName('');
      if (name.length >= value.name.length) continue;
      graph.rename(value, name);
      changed = true;
    }
    return changed;
  },
};
