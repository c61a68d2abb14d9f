// What the parts of the allocation benchmark share: the map, the profile, and what was measured before, kept by what it depends on.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Profile, weightDamage } from '../../src/allocation/index.js';
import type { Damage } from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import type { Component } from '../../src/quantization/index.js';
import type { SignificanceMap } from '../../src/significance/index.js';
import { writeFileAtomic } from '../../src/system/index.js';
import type { Figure } from './lib.js';
import type { QuantizeBench } from './quantize-lib.js';

export interface AllocationBench {
  readonly bench: QuantizeBench;
  readonly map: SignificanceMap | undefined;
  readonly profile: Profile | undefined;
  readonly bits: readonly number[];
  readonly objectives: readonly string[];
  /** Budgets to draw. */
  readonly count: number;
  /** Budgets are met as far as an allocation is sought, and not measured to the end: what needs no quiet machine. */
  readonly isSearchOnly: boolean;
  readonly limit: number | undefined;
  readonly store: Store;
}

export type AllocationPart = (bench: AllocationBench) => Promise<readonly Figure[]>;

/** Results of earlier runs in a folder; without one nothing is kept. */
export class Store {
  readonly #folder: string | undefined;

  constructor(folder: string | undefined) {
    this.#folder = folder;
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
  }

  /** What `make` gives, or gave when it was asked for the same before. Only for values that JSON holds. */
  async kept<T>(what: string, dependsOn: unknown, make: () => Promise<T>): Promise<T> {
    if (this.#folder === undefined) return make();
    const hash = createHash('sha256').update(JSON.stringify(dependsOn)).digest('hex').slice(0, 24);
    const path = join(this.#folder, `${what}-${hash}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as T;
    const made = await make();
    writeFileAtomic(path, JSON.stringify(made));
    return made;
  }
}

/** Numbers from 0 to below 1, the same for the same seed. */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
};

/** A made-up damage for parts that time solvers: heavy-tailed, as real ones are. */
export const randomDamage = (components: readonly Component[], seed: number): Damage => {
  const random = randomNumbers(seed);
  return components.map(({ name }) => {
    const usual = Math.exp(4 * random());
    return {
      name,
      weights: weightDamage(usual * (4 + 12 * random()), usual, 0.01 * usual * random()),
      int8: 0.2 * Math.exp(4 * random()),
    };
  });
};

/** @throws BitlaneError `BAD_USAGE` naming the option */
export const needed = <T>(value: T | undefined, option: string, command: string): T => {
  if (value !== undefined) return value;
  throw new BitlaneError('BAD_USAGE', `this part needs ${option} with a file from \`${command}\``);
};
