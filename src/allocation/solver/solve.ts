// The exact solver: the allocation with the least damage within a budget, and the least budget that there is an allocation for.
import { Layers, type Solved } from './layers.js';
import { type Budget, type Dimension, DIMENSIONS, type Problem } from './problem.js';
import { OutOfTime, type SolveOptions } from './program.js';

export type { Solved };

/** A program for each way of the problem's slices, with its limits. */
const programs = function* (problem: Problem, budget: Budget): Generator<Layers> {
  for (const latency of problem.latency.length === 0 ? [undefined] : problem.latency) {
    const layers = new Layers(problem, latency);
    for (const dimension of DIMENSIONS) {
      const most = budget[dimension];
      if (most !== undefined) layers.limit(dimension, most);
    }
    yield layers;
  }
};

/**
 * The allocation with the least damage within a budget; `undefined` where no allocation is within it. Blocks the thread.
 *
 * @throws BitlaneError `BAD_USAGE` where a limit needs a profile, `TIMEOUT` when no solution was found in time
 */
export const solveLayers = async (
  problem: Problem,
  budget: Budget,
  options: SolveOptions = {},
): Promise<Solved | undefined> => {
  let best: Solved | undefined;
  let late: OutOfTime | undefined;
  let bound = Infinity;
  for (const layers of programs(problem, budget)) {
    layers.minimizeDamage(best?.damage);
    const found = await layers.solve(options).catch((error: unknown) => {
      // Another way of the slices may have an allocation, and what is found is worth keeping.
      if (!(error instanceof OutOfTime)) throw error;
      late = error;
      bound = Math.min(bound, layers.damageBound(error));
      return undefined;
    });
    if (found === undefined) continue;
    bound = Math.min(bound, found.bound);
    if (best === undefined || found.damage < best.damage) best = found;
  }
  if (best === undefined && late !== undefined) throw late;
  if (best === undefined) return undefined;
  const { damage } = best;
  return { ...best, bound: Math.min(bound, damage), gap: bound >= damage ? 0 : 1 - bound / damage };
};

/** The least that one dimension can be within the limits of the others; `undefined` where those cannot be met. */
export const leastUsage = async (
  problem: Problem,
  dimension: Dimension,
  others: Budget,
  options: SolveOptions = {},
): Promise<number | undefined> => {
  const found: number[] = [];
  for (const layers of programs(problem, { ...others, [dimension]: undefined })) {
    layers.minimizeUsage(dimension);
    const least = (await layers.solve(options))?.usage[dimension];
    if (least !== undefined) found.push(least);
  }
  return found.length === 0 ? undefined : Math.min(...found);
};
