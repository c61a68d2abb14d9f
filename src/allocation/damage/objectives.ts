// The objectives that an allocation can be made by, behind one interface.
import { BitlaneError } from '../../errors.js';
import type { Component } from '../../quantization/index.js';
import type { SignificanceMap } from '../../significance/index.js';
import { addDamage, type Damage, scaled, weightDamage } from './damage.js';
import { both, checkMap, damageBy } from './measures.js';
import {
  BOX,
  OBJECTNESS,
  OTHERS,
  OUTPUT_ERROR,
  SEMANTIC_WEIGHTS,
  semanticDamage,
  WEIGHT_ERROR,
} from './semantic.js';

export const OBJECTIVES = [
  'semantic',
  'semanticGuarded',
  'semanticLean',
  'relativeWeightError',
  'taskAgnostic',
  'outputError',
  'paperPure',
  'fisher',
  'hawq',
  'uniform',
] as const;
export type ObjectiveName = (typeof OBJECTIVES)[number];

export interface Objective {
  readonly name: ObjectiveName;
  /** What it is, in a few words. */
  readonly says: string;
  readonly needsMap: boolean;
  /**
   * @param map of these components
   * @throws BitlaneError `BAD_CONFIG` where the map is not of these components or lacks what the objective needs
   */
  readonly damage: (components: readonly Component[], map: SignificanceMap | undefined) => Damage;
}

type ByMap = (map: SignificanceMap, components: readonly Component[]) => Damage;

const needing =
  (by: ByMap): Objective['damage'] =>
  (components, map) => {
    if (map === undefined) {
      throw new BitlaneError(
        'BAD_USAGE',
        'this objective needs a significance map: make one with `bitlane significance`',
      );
    }
    checkMap(map, components);
    return by(map, components);
  };

/** Each weight costs what its rounding step costs, wherever it stands: all get the same bits. */
const uniformDamage = (components: readonly Component[]): Damage => {
  const all = components.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
  return components.map(({ name, weightBytes }) => {
    const share = weightBytes / all;
    return {
      name,
      weights: weightDamage(share * 4 ** -2, share * 4 ** -4, share * 4 ** -8),
      int8: share * 4 ** -8,
    };
  });
};

/** S_c as it is written. Where it is negative a component costs nothing: no cost below that can be taken back elsewhere. */
const paperDamage: ByMap = (map, components) => {
  const signed = both('divergence', (measures) => measures.signed?.mean);
  const isLabelled = components.every(({ name }) =>
    Object.values(map.components[name]?.weights ?? {}).some((measures) => measures?.signed !== undefined),
  );
  if (!isLabelled) {
    throw new BitlaneError(
      'BAD_CONFIG',
      'the significance map has no signed significance, which needs labels: measure it on labelled pictures',
    );
  }
  return damageBy(map, components, signed);
};

/** Second-order costs that the map holds where it was measured with them. Integer kernels cost nothing by them. */
const informationDamage =
  (measure: 'fisher' | 'hawq'): ByMap =>
  (map, components) => {
    const hasIt = components.every(({ name }) =>
      Object.values(map.components[name]?.weights ?? {}).every(
        (measures) => measures?.[measure] !== undefined,
      ),
    );
    if (!hasIt) {
      throw new BitlaneError(
        'BAD_CONFIG',
        `the significance map lacks what the objective ${measure} needs: measure it with --baselines`,
      );
    }
    return damageBy(map, components, {
      growth: 'divergence',
      weights: (measures) => measures[measure],
      activations: () => 0,
    });
  };

const TABLE: Readonly<Record<ObjectiveName, Omit<Objective, 'name'>>> = {
  semantic: {
    says: 'semantic significance as far as it is reliable, guards for boxes, objectness and other classes, weight error',
    needsMap: true,
    damage: needing((map, components) => semanticDamage(map, components)),
  },
  semanticGuarded: {
    says: 'semantic, its guards counted twice',
    needsMap: true,
    damage: needing((map, components) =>
      semanticDamage(map, components, { ...SEMANTIC_WEIGHTS, objectness: 2, box: 2, others: 2 }),
    ),
  },
  semanticLean: {
    says: 'semantic, with a third of the weight error',
    needsMap: true,
    damage: needing((map, components) =>
      semanticDamage(map, components, { ...SEMANTIC_WEIGHTS, weightError: 0.3 }),
    ),
  },
  relativeWeightError: {
    says: 'how far the weights of a layer move, relative to their size',
    needsMap: true,
    damage: needing((map, components) => damageBy(map, components, WEIGHT_ERROR)),
  },
  taskAgnostic: {
    says: 'divergence of all outputs, whatever the class',
    needsMap: true,
    damage: needing((map, components) =>
      addDamage(
        [OBJECTNESS, BOX, OTHERS].map((reading) => [1, scaled(damageBy(map, components, reading))] as const),
      ),
    ),
  },
  outputError: {
    says: "relative error of a layer's output",
    needsMap: true,
    damage: needing((map, components) => damageBy(map, components, OUTPUT_ERROR)),
  },
  paperPure: {
    says: 'the signed significance alone, as the paper defines it; what is negative of its falling curve counts as nothing',
    needsMap: true,
    damage: needing(paperDamage),
  },
  fisher: {
    says: 'empirical Fisher information of the weights times their squared errors, whatever the class',
    needsMap: true,
    damage: needing(informationDamage('fisher')),
  },
  hawq: {
    says: 'average Hessian trace of a layer times the squared error of its weights (HAWQ-V2), whatever the class',
    needsMap: true,
    damage: needing(informationDamage('hawq')),
  },
  uniform: {
    says: 'the same bits everywhere, as far as the budget divides so',
    needsMap: false,
    damage: uniformDamage,
  },
};

/** The objective of a name. */
export const objectiveOf = (name: ObjectiveName): Objective => ({ name, ...TABLE[name] });
