// A map by filter as a map of many small layers: every objective reads it as it reads any other.
import type { Component } from '../../quantization/index.js';
import type { FilterMap, FilterMeasures, MapBits, SignificanceMap } from '../../significance/index.js';
import type { Damage } from '../damage/damage.js';
import { checkFilterMap } from './check.js';
import { type ObjectiveName, objectiveOf } from '../damage/objectives.js';

const WIDTHS = ['2', '4', '8'] as const satisfies readonly MapBits[];

type Weights = SignificanceMap['components'][string]['weights'];

const filterName = (name: string, channel: number): string => `${name}#${channel}`;

const exactly = (mean: number) => ({ mean, low: mean, high: mean });

/** What the map says of one filter at one bit-width. */
const measuresAt = (measures: FilterMeasures, channel: number): NonNullable<Weights[MapBits]> => {
  const at = (values: readonly number[]): number => values[channel] ?? 0;
  const { signed, fisher, hawq } = measures;
  const guards = { objectness: at(measures.objectness), box: at(measures.box), others: at(measures.others) };
  return {
    ...(signed && { signed: exactly(at(signed)) }),
    divergence: exactly(at(measures.divergence)),
    guards,
    robust: { divergence: exactly(at(measures.robust)), ...guards },
    // No filter's output was looked at by itself: objectives that need it are refused, the others hardly lean on it.
    outputError: at(measures.relativeWeightError),
    relativeWeightError: at(measures.relativeWeightError),
    ...(fisher && { fisher: at(fisher) }),
    ...(hawq && { hawq: at(hawq) }),
  };
};

/** Every filter as a component of its own, in the model's order. */
export const filterComponents = (components: readonly Component[]): Component[] =>
  components.flatMap((component) =>
    Array.from({ length: component.outputChannels }, (_, channel) => ({
      ...component,
      name: filterName(component.name, channel),
      outputChannels: 1,
      weightBytes: component.weightBytes / component.outputChannels,
    })),
  );

const widened = (map: FilterMap, components: readonly Component[]): SignificanceMap => ({
  ...map,
  granularity: 'layer',
  components: Object.fromEntries(
    components.flatMap(({ name, outputChannels }) =>
      Array.from({ length: outputChannels }, (_, channel) => {
        const weights: Weights = {};
        for (const width of WIDTHS) {
          const measures = map.components[name]?.weights[width];
          if (measures !== undefined) weights[width] = measuresAt(measures, channel);
        }
        return [filterName(name, channel), { weights, activations: {} }];
      }),
    ),
  ),
  reliability: { weights: map.reliability.weights, activations: {} },
});

/**
 * What each filter costs at each bit-width, in the model's order.
 *
 * @throws BitlaneError `BAD_CONFIG` where the map is not of these components or lacks what the objective needs
 */
export const filterDamage = (
  objective: ObjectiveName,
  map: FilterMap,
  components: readonly Component[],
): Damage => {
  checkFilterMap(map, components, objective);
  return objectiveOf(objective).damage(filterComponents(components), widened(map, components));
};
