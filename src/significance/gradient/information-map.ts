// Fisher information and Hessian traces as entries of a map by layer.
import type { Component } from '../../quantization/index.js';
import type { SignificanceMap } from '../map.js';
import type { MeasuredBits, Perturbations } from '../perturb.js';
import { informationOf, type InformationOptions, measureInformation } from './information.js';

export interface AddInformationOptions extends InformationOptions {
  readonly components: readonly Component[];
  readonly perturbations: Perturbations;
  readonly bits: readonly MeasuredBits[];
}

/** Adds `fisher` and `hawq` to what a map says of the weights of each layer. Blocks the thread. */
export const addInformation = async (map: SignificanceMap, options: AddInformationOptions): Promise<void> => {
  const information = await measureInformation(options);
  for (const component of options.components) {
    for (const bits of options.bits) {
      const layer = options.perturbations.weights.get(component.name)?.get(bits);
      const measures = map.components[component.name]?.weights[`${bits}`];
      if (layer === undefined || measures === undefined) continue;
      const { fisher, hawq } = informationOf(options.model, information, { component, layers: [layer] }, 0);
      measures.fisher = fisher.reduce((sum, value) => sum + value, 0);
      measures.hawq = hawq.reduce((sum, value) => sum + value, 0);
    }
  }
};
