// Makes constants of initializers that are graph inputs too, as every file before ir_version 4 has them.
import type { Pass } from './pass.js';

const FIRST_WITHOUT = 4;

export const freezeInitializers: Pass = {
  name: 'freeze initializers',
  call: (model) => {
    const { graph } = model;
    let changed = false;
    for (const value of graph.initializers) {
      if (!value.isInput) continue;
      graph.removeInput(value);
      changed = true;
    }
    if (changed) model.irVersion = Math.max(model.irVersion, FIRST_WITHOUT);
    return changed;
  },
};
