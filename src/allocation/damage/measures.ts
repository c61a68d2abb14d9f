// One measure of a significance map over all components and bit-widths; widths that were not measured follow from those that were.
import { BitlaneError } from '../../errors.js';
import type { Component } from '../../quantization/index.js';
import type {
  ActivationMeasures,
  MapBits,
  Reliability,
  SignificanceMap,
  WeightMeasures,
} from '../../significance/index.js';
import { type Damage, weightDamage } from './damage.js';

/** What both weights and activations have. */
export type Measures = Omit<WeightMeasures, 'relativeWeightError'>;

const WIDTHS = ['2', '4', '8'] as const satisfies readonly MapBits[];

/** How a measure grows with the rounding step: an error in proportion, a divergence with its square. */
export type Growth = 'error' | 'divergence';

/** A width's value from the nearest one that was measured: a bit less doubles the step. */
const fillIn = (values: Readonly<Record<MapBits, number | undefined>>, growth: Growth): number[] => {
  const known = WIDTHS.filter((width) => values[width] !== undefined);
  return WIDTHS.map((width) => {
    const own = values[width];
    if (own !== undefined) return own;
    const nearest = [...known].sort(
      (a, b) => Math.abs(Number(a) - Number(width)) - Math.abs(Number(b) - Number(width)),
    )[0];
    if (nearest === undefined) return 0;
    const bits = Number(nearest) - Number(width);
    return (values[nearest] ?? 0) * 2 ** (growth === 'error' ? bits : 2 * bits);
  });
};

const bad = (message: string): BitlaneError => new BitlaneError('BAD_CONFIG', message);

/**
 * Refuses a map that is not one of these components.
 *
 * @throws BitlaneError `BAD_CONFIG` naming the component
 */
export const checkMap = (map: SignificanceMap, components: readonly Component[]): void => {
  const missing = components.find(({ name }) => !Object.hasOwn(map.components, name));
  if (missing !== undefined) throw bad(`the significance map says nothing of component ${missing.name}`);
  const known = new Set(components.map(({ name }) => name));
  const strange = Object.keys(map.components).find((name) => !known.has(name));
  if (strange !== undefined)
    throw bad(`the model has no component ${strange}, which the significance map names`);
  for (const { name } of components) {
    const weights = map.components[name]?.weights ?? {};
    if (WIDTHS.every((width) => weights[width] === undefined)) {
      throw bad(
        `the significance map has no bit-width of component ${name}: measure again with \`bitlane significance\``,
      );
    }
  }
};

/** How one measure is read. */
export interface Reading {
  readonly growth: Growth;
  readonly weights: (measures: WeightMeasures, bits: MapBits) => number | undefined;
  readonly activations: (measures: ActivationMeasures) => number | undefined;
}

/** A measure of both. */
export const both = (growth: Growth, of: (measures: Measures) => number | undefined): Reading => ({
  growth,
  weights: of,
  activations: of,
});

/** The damage that one measure says, as it stands in the map. Integer kernels take activations of 8 bits. */
export const damageBy = (map: SignificanceMap, components: readonly Component[], reading: Reading): Damage =>
  components.map(({ name }) => {
    const entry = map.components[name];
    const at = (bits: MapBits): number | undefined => {
      const measures = entry?.weights[bits];
      return measures === undefined ? undefined : reading.weights(measures, bits);
    };
    const [two = 0, four = 0, eight = 0] = fillIn({ 2: at('2'), 4: at('4'), 8: at('8') }, reading.growth);
    const activations = (bits: MapBits): number | undefined => {
      const measures = entry?.activations[bits];
      return measures === undefined ? undefined : reading.activations(measures);
    };
    const [, , int8 = 0] = fillIn(
      { 2: activations('2'), 4: activations('4'), 8: activations('8') },
      reading.growth,
    );
    return {
      name,
      weights: weightDamage(two, four, eight),
      int8: Number.isFinite(int8) ? Math.max(0, int8) : 0,
    };
  });

/** Bit-widths that no component of the map has: their values follow from others. */
export const missingWidths = (map: SignificanceMap): MapBits[] =>
  WIDTHS.filter((width) =>
    Object.values(map.components).every(({ weights }) => weights[width] === undefined),
  );

/**
 * How much of a measure is signal, from 0 to 1: its split-half correlation, stepped up to the whole of the data (Spearman and
 * Brown). 0 where it has none.
 */
export const trustIn = (reliability: Reliability | undefined, measure: keyof Reliability): number => {
  const half = Math.max(0, reliability?.[measure] ?? 0);
  return (2 * half) / (1 + half);
};
