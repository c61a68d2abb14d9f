// The product's own damage: semantic significance as far as it can be trusted, guards, and how far the weights move.
import type { Component } from '../../quantization/index.js';
import type { Effects, SignificanceMap } from '../../significance/index.js';
import { addDamage, type Damage, scaled, unitFactor, weightDamage } from './damage.js';
import { both, damageBy, type Reading, trustIn } from './measures.js';

/** Shares of the damage model. Each term counts in units of its own average at 4 bits. */
export interface SemanticWeights {
  readonly significance: number;
  readonly objectness: number;
  readonly box: number;
  readonly others: number;
  readonly weightError: number;
}

export const SEMANTIC_WEIGHTS: SemanticWeights = {
  significance: 1,
  objectness: 1,
  box: 1,
  others: 1,
  weightError: 1,
};

/** What the outputs of layers suffer, whatever the classes. */
export const OUTPUT_ERROR = both('error', ({ outputError }) => outputError);
/** What significance falls back to where it is noise: like it a square. */
const OUTPUT_NOISE = both('divergence', ({ outputError }) => outputError * outputError);
export const SIGNIFICANCE = both('divergence', ({ robust }) => robust.divergence.mean);
export const OBJECTNESS = both('divergence', ({ robust }) => robust.objectness);
export const BOX = both('divergence', ({ robust }) => robust.box);
export const OTHERS = both('divergence', ({ robust }) => robust.others);
export const WEIGHT_ERROR = {
  growth: 'error',
  weights: ({ relativeWeightError }: { readonly relativeWeightError: number }) => relativeWeightError,
  activations: ({ relativeInputError }: { readonly relativeInputError: number }) => relativeInputError,
} as const;
/** The same as a square: errors of layers add up as variances do, and so do the robust forms. */
const WEIGHT_NOISE: Reading = {
  growth: 'divergence',
  weights: ({ relativeWeightError }) => relativeWeightError * relativeWeightError,
  activations: ({ relativeInputError }) => relativeInputError * relativeInputError,
};

/** How far a map can be trusted at a bit-width; one that was not measured is as good as the one it follows from. */
const trustAt = ({ reliability: { weights } }: SignificanceMap, bits: 2 | 4 | 8): number =>
  trustIn(weights[bits] ?? weights[4] ?? weights[2] ?? weights[8], 'robust');

/**
 * Significance drawn towards generic sensitivity: at each bit-width trust * significance + (1 - trust) * generic, the latter in
 * units in which both have the same average. A map without any reliability says nothing that outputs do not say.
 */
export const shrunk = (map: SignificanceMap, significance: Damage, generic: Damage): Damage => {
  const { activations } = map.reliability;
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const mixer = (trust: number, own: readonly number[], others: readonly number[]) => {
    const [ownMean, otherMean] = [mean(own), mean(others)];
    const unit = otherMean > 0 ? ownMean / otherMean : 0;
    return (index: number): number => trust * (own[index] ?? 0) + (1 - trust) * unit * (others[index] ?? 0);
  };
  const at = (bits: 2 | 4 | 8) =>
    mixer(
      trustAt(map, bits),
      significance.map((each) => each.weights[bits]),
      generic.map((each) => each.weights[bits]),
    );
  const [two, four, eight] = [at(2), at(4), at(8)];
  const int8 = mixer(
    trustIn(activations['8'] ?? activations['4'] ?? activations['2'], 'robust'),
    significance.map((each) => each.int8),
    generic.map((each) => each.int8),
  );
  return significance.map(({ name }, index) => ({
    name,
    weights: weightDamage(two(index), four(index), eight(index)),
    int8: Math.max(0, int8(index)),
  }));
};

const termsOf = (map: SignificanceMap, components: readonly Component[]) => {
  const by = (reading: Reading): Damage => damageBy(map, components, reading);
  return {
    significance: shrunk(map, by(SIGNIFICANCE), by(OUTPUT_NOISE)),
    objectness: by(OBJECTNESS),
    box: by(BOX),
    others: by(OTHERS),
    weightError: by(WEIGHT_NOISE),
  } satisfies Readonly<Record<keyof SemanticWeights, Damage>>;
};

/** @param map checked by `checkMap` */
export const semanticDamage = (
  map: SignificanceMap,
  components: readonly Component[],
  shares: SemanticWeights = SEMANTIC_WEIGHTS,
): Damage => {
  const { significance, objectness, box, others, weightError } = termsOf(map, components);
  return addDamage([
    [shares.significance, scaled(significance)],
    [shares.objectness, scaled(objectness)],
    [shares.box, scaled(box)],
    [shares.others, scaled(others)],
    [shares.weightError, scaled(weightError)],
  ]);
};

/** What one unit of each effect costs in {@link semanticDamage}, at a bit-width. */
export type Prices = (bits: 2 | 4 | 8) => Effects;

/** @param map checked by `checkMap` */
export const semanticPrices = (
  map: SignificanceMap,
  components: readonly Component[],
  shares: SemanticWeights = SEMANTIC_WEIGHTS,
): Prices => {
  const { significance, objectness, box, others } = termsOf(map, components);
  const price = {
    divergence: shares.significance * unitFactor(significance),
    objectness: shares.objectness * unitFactor(objectness),
    box: shares.box * unitFactor(box),
    others: shares.others * unitFactor(others),
  };
  return (bits) => ({ ...price, divergence: price.divergence * trustAt(map, bits) });
};
