// Whether a map by filter is one of a model, and whether an objective can be read from it.
import { BitlaneError } from '../../errors.js';
import type { Component } from '../../quantization/index.js';
import type { FilterMap } from '../../significance/index.js';
import type { ObjectiveName } from '../damage/objectives.js';

const bad = (message: string): BitlaneError => new BitlaneError('BAD_CONFIG', message);

/** @throws BitlaneError `BAD_CONFIG` naming the component, `BAD_USAGE` naming the objective */
export const checkFilterMap = (
  map: FilterMap,
  components: readonly Component[],
  objective: ObjectiveName,
): void => {
  if (objective === 'outputError') {
    throw new BitlaneError(
      'BAD_USAGE',
      'a map by channel holds no errors of outputs: take another objective, or a map by layer',
    );
  }
  const known = new Set(components.map(({ name }) => name));
  const strange = Object.keys(map.components).find((name) => !known.has(name));
  if (strange !== undefined) {
    throw bad(`the model has no component ${strange}, which the significance map names`);
  }
  for (const { name, outputChannels } of components) {
    const entry = Object.hasOwn(map.components, name) ? map.components[name] : undefined;
    const measured = Object.values(entry?.weights ?? {}).filter((measures) => measures !== undefined);
    if (measured.length === 0) throw bad(`the significance map says nothing of component ${name}`);
    const wrong = measured.find(({ divergence }) => divergence.length !== outputChannels);
    if (wrong !== undefined) {
      throw bad(
        `component ${name} has ${outputChannels} output channels and the significance map has values for ${wrong.divergence.length}`,
      );
    }
  }
};
