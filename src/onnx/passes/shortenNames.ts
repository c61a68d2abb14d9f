// Gives constants the shortest names that are free: a name stands in the file twice, and how long it is says nothing.
import type { Pass } from './pass.js';

/** Inputs and outputs of the graph keep theirs. */
export const shortenNames: Pass = {
  name: 'shorten names',
  call: ({ graph }) => {
    const outputs = new Set(graph.outputs);
    const named = graph.initializers.filter((value) => !value.isInput && !outputs.has(value));
    for (const value of named) {
      const name = graph.uniqueName('');
      if (name.length < value.name.length) graph.rename(value, name);
    }
    return named.length > 0;
  },
};
