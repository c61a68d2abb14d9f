// Components that cost more, or less, together than each alone: which pairs to measure, and the allocation that knows of them.
import type { Allocation, BitWidth } from '../quantization/index.js';
import type { MeasuredBits, PairEffects } from '../significance/index.js';
import type { Prices } from './damage/semantic.js';
import { type Budget, type Interaction, type Problem } from './solver/problem.js';
import type { SolveOptions } from './solver/program.js';
import { type Solved, solveLayers } from './solver/solve.js';

/** A component at a bit-width. */
export interface At {
  readonly component: string;
  readonly bits: MeasuredBits;
}

/**
 * What the components of each pair cost together beyond the sum of what each costs alone, in the unit of the problem's damage: both
 * are quantized, everything else is FP32. One number for each pair.
 */
export type MeasurePairs = (pairs: readonly (readonly [At, At])[]) => Promise<readonly number[]>;

/** What a pair costs beyond the sum, at the prices of the damage that it is added to. */
export const interactionOf = (
  prices: Prices,
  [a, b]: readonly [At, At],
  { first, second, both }: PairEffects,
): number => {
  const [own, other] = [prices(a.bits), prices(b.bits)];
  return (['divergence', 'objectness', 'box', 'others'] as const).reduce(
    (sum, effect) =>
      sum + ((own[effect] + other[effect]) / 2) * (both[effect] - first[effect] - second[effect]),
    0,
  );
};

const isMeasured = (bits: BitWidth): bits is MeasuredBits => bits !== 32;

/** The components that cost an allocation most, as pairs; `count` components make count * (count - 1) / 2 of them. */
export const pairsToMeasure = (
  { damage }: Problem,
  allocation: Allocation,
  count: number,
  widths: readonly BitWidth[] = [2, 4, 8],
): [At, At][] => {
  const costly = damage
    .flatMap(({ name, weights }): (At & { readonly cost: number })[] => {
      const bits = allocation.components[name]?.bits;
      if (typeof bits !== 'number' || !isMeasured(bits) || !widths.includes(bits)) return [];
      return [{ component: name, bits, cost: weights[bits] }];
    })
    .filter(({ cost }) => cost > 0)
    .sort((a, b) => b.cost - a.cost)
    .slice(0, count)
    .map(({ component, bits }): At => ({ component, bits }));
  return costly.flatMap((a, i) => costly.slice(i + 1).map((b): [At, At] => [a, b]));
};

const keyOf = (a: At, b: At): string =>
  JSON.stringify([
    [a.component, b.component],
    [a.bits, b.bits],
  ]);

export interface RepairOptions extends SolveOptions {
  readonly measure: MeasurePairs;
  /** Bit-widths that can be measured (default 2, 4 and 8). */
  readonly widths?: readonly BitWidth[];
  /** Components whose pairs are looked at in each round (default 8). */
  readonly components?: number;
  /** Most rounds (default 3): another allocation has other pairs. */
  readonly rounds?: number;
  readonly signal?: AbortSignal;
}

export interface Repaired {
  readonly solved: Solved;
  /** All that were measured: the problem to go on with has them. */
  readonly problem: Problem;
}

/**
 * Measures the pairs that matter at the best allocation, solves anew with what they cost together, and so on until nothing moves.
 * `undefined` where no allocation is within the budget.
 */
export const repairInteractions = async (
  problem: Problem,
  budget: Budget,
  options: RepairOptions,
): Promise<Repaired | undefined> => {
  const { measure, widths, components = 8, rounds = 3, signal } = options;
  const known = new Map<string, Interaction>(
    (problem.interactions ?? []).map((interaction) => [
      JSON.stringify([interaction.components, interaction.bits]),
      interaction,
    ]),
  );
  let current = problem;
  let solved = await solveLayers(current, budget, options);
  for (let round = 0; round < rounds && solved !== undefined; round++) {
    signal?.throwIfAborted();
    const pairs = pairsToMeasure(problem, solved.allocation, components, widths).filter(
      ([a, b]) => !known.has(keyOf(a, b)) && !known.has(keyOf(b, a)),
    );
    if (pairs.length === 0) break;
    const costs = await measure(pairs);
    for (const [index, [a, b]] of pairs.entries()) {
      known.set(keyOf(a, b), {
        components: [a.component, b.component],
        bits: [a.bits, b.bits],
        damage: costs[index] ?? 0,
      });
    }
    current = { ...problem, interactions: [...known.values()] };
    solved = await solveLayers(current, budget, options);
  }
  return solved && { solved, problem: current };
};
