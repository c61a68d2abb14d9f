// Components that cost more, or less, together than each alone: which pairs to measure, and the allocation that knows of them.
import type { Allocation, BitWidth } from '../quantization/index.js';
import { type Budget, type Interaction, type Problem } from './solver/problem.js';
import type { SolveOptions } from './solver/program.js';
import { type Solved, solveLayers } from './solver/solve.js';

/** A component at a bit-width. */
export interface At {
  readonly component: string;
  readonly bits: BitWidth;
}

/**
 * What two components cost together beyond the sum of what each costs alone, in the unit of the problem's damage: both are
 * quantized, everything else is FP32.
 */
export type MeasurePair = (a: At, b: At) => Promise<number>;

/** The components that cost an allocation most, as pairs; `count` components make count * (count - 1) / 2 of them. */
export const pairsToMeasure = ({ damage }: Problem, allocation: Allocation, count: number): [At, At][] => {
  const costly = damage
    .flatMap(({ name, weights }): (At & { readonly cost: number })[] => {
      const bits = allocation.components[name]?.bits;
      return typeof bits === 'number' ? [{ component: name, bits, cost: weights[bits] }] : [];
    })
    .filter(({ cost }) => cost > 0)
    .sort((a, b) => b.cost - a.cost)
    .slice(0, count)
    .map(({ component, bits }): At => ({ component, bits }));
  return costly.flatMap((a, i) => costly.slice(i + 1).map((b): [At, At] => [a, b]));
};

export interface RepairOptions extends SolveOptions {
  readonly measure: MeasurePair;
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
  const { measure, components = 8, rounds = 3, signal } = options;
  const known = new Map<string, Interaction>(
    (problem.interactions ?? []).map((interaction) => [
      JSON.stringify([interaction.components, interaction.bits]),
      interaction,
    ]),
  );
  let current = problem;
  let solved = await solveLayers(current, budget, options);
  for (let round = 0; round < rounds && solved !== undefined; round++) {
    let fresh = 0;
    for (const [a, b] of pairsToMeasure(problem, solved.allocation, components)) {
      signal?.throwIfAborted();
      const names: [string, string] = [a.component, b.component];
      const bits: [BitWidth, BitWidth] = [a.bits, b.bits];
      const key = JSON.stringify([names, bits]);
      if (known.has(key) || known.has(JSON.stringify([names.toReversed(), bits.toReversed()]))) continue;
      known.set(key, { components: names, bits, damage: await measure(a, b) });
      fresh++;
    }
    if (fresh === 0) break;
    current = { ...problem, interactions: [...known.values()] };
    solved = await solveLayers(current, budget, options);
  }
  return solved && { solved, problem: current };
};
