// Takes away constants that nobody uses.
import type { Pass } from './pass.js';

/** Defaults of graph inputs stay: the input is part of what the model promises. */
export const removeUnusedInitializers: Pass = {
  name: 'remove unused initializers',
  call: ({ graph }) => {
    let changed = false;
    for (const value of graph.initializers) {
      if (value.isUsed || value.isInput) continue;
      graph.removeInitializer(value);
      changed = true;
    }
    return changed;
  },
};
