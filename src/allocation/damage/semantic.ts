// The product's own damage: semantic significance as far as it can be trusted, guards, and how far the weights move.
import type { Component } from '../../quantization/index.js';
import type { SignificanceMap } from '../../significance/index.js';
import { addDamage, type Damage, scaled, weightDamage } from './damage.js';
import { both, damageBy, trustIn } from './measures.js';

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
  objectness: 0.25,
  box: 0.5,
  others: 0.25,
  weightError: 1,
};

/** What the outputs of layers suffer, whatever the classes: what significance falls back to where it is noise. */
export const OUTPUT_ERROR = both('error', ({ outputError }) => outputError);
export const DIVERGENCE = both('divergence', ({ divergence }) => divergence.mean);
export const OBJECTNESS = both('divergence', ({ guards }) => guards.objectness);
export const BOX = both('divergence', ({ guards }) => guards.box);
export const OTHERS = both('divergence', ({ guards }) => guards.others);
export const WEIGHT_ERROR = {
  growth: 'error',
  weights: ({ relativeWeightError }: { readonly relativeWeightError: number }) => relativeWeightError,
  activations: ({ relativeInputError }: { readonly relativeInputError: number }) => relativeInputError,
} as const;

/**
 * Significance drawn towards generic sensitivity: at each bit-width trust * significance + (1 - trust) * generic, the latter in
 * units in which both have the same average. A map without any reliability says nothing that outputs do not say.
 */
export const shrunk = (map: SignificanceMap, significance: Damage, generic: Damage): Damage => {
  const { weights, activations } = map.reliability;
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const mixer = (trust: number, own: readonly number[], others: readonly number[]) => {
    const [ownMean, otherMean] = [mean(own), mean(others)];
    const unit = otherMean > 0 ? ownMean / otherMean : 0;
    return (index: number): number => trust * (own[index] ?? 0) + (1 - trust) * unit * (others[index] ?? 0);
  };
  const at = (bits: 2 | 4 | 8) => {
    // A width that was not measured is as good as the one it follows from.
    const found = weights[bits] ?? weights[4] ?? weights[2] ?? weights[8];
    return mixer(
      trustIn(found, 'divergence'),
      significance.map((each) => each.weights[bits]),
      generic.map((each) => each.weights[bits]),
    );
  };
  const [two, four, eight] = [at(2), at(4), at(8)];
  const int8 = mixer(
    trustIn(activations['8'] ?? activations['4'] ?? activations['2'], 'divergence'),
    significance.map((each) => each.int8),
    generic.map((each) => each.int8),
  );
  return significance.map(({ name }, index) => ({
    name,
    weights: weightDamage(two(index), four(index), eight(index)),
    int8: Math.max(0, int8(index)),
  }));
};

/** @param map checked by `checkMap` */
export const semanticDamage = (
  map: SignificanceMap,
  components: readonly Component[],
  shares: SemanticWeights = SEMANTIC_WEIGHTS,
): Damage => {
  const by = (reading: Parameters<typeof damageBy>[2]): Damage => damageBy(map, components, reading);
  return addDamage([
    [shares.significance, scaled(shrunk(map, by(DIVERGENCE), by(OUTPUT_ERROR)))],
    [shares.objectness, scaled(by(OBJECTNESS))],
    [shares.box, scaled(by(BOX))],
    [shares.others, scaled(by(OTHERS))],
    [shares.weightError, scaled(by(WEIGHT_ERROR))],
  ]);
};
