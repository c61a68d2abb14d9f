// A budget that cannot be met, with the nearest ones that can.
import { BitlaneError } from '../../errors.js';
import { type Budget, type Dimension, DIMENSIONS, type Problem } from '../solver/problem.js';
import type { SolveOptions } from '../solver/program.js';
import { leastUsage } from '../solver/solve.js';

/** For a dimension of a budget: what it must be at least, the others as they are, and with no others at all. */
export interface Nearest {
  readonly dimension: Dimension;
  readonly given: number;
  /** `undefined` where the others cannot be met either. */
  readonly withOthers: number | undefined;
  readonly alone: number | undefined;
}

const WORDS: Readonly<Record<Dimension, (value: number) => string>> = {
  modelBytes: (value) => `${Math.ceil(value)} bytes`,
  latencyMs: (value) => `${(Math.ceil(value * 1000) / 1000).toFixed(3)} ms`,
  memoryMb: (value) => `${(Math.ceil(value * 10) / 10).toFixed(1)} MB`,
  averageBits: (value) => `${(Math.ceil(value * 1000) / 1000).toFixed(3)} bits a weight`,
};

const sentence = (nearest: readonly Nearest[]): string => {
  const say = ({ dimension, given, withOthers, alone }: Nearest): string => {
    const words = WORDS[dimension];
    const asked = `${words(given)} ${given > 0 ? 'were given' : 'is no budget'}`;
    if (withOthers !== undefined)
      return `${words(withOthers)} at least${nearest.length > 1 ? ' with the others as they are' : ''} (${asked})`;
    return alone === undefined
      ? `none (${asked})`
      : `${words(alone)} at least even without the others (${asked})`;
  };
  return `no allocation is within the budget; the nearest that can be met: ${nearest.map(say).join('; ')}`;
};

/** Bad input: nothing fits into the budget. */
export class BudgetError extends BitlaneError {
  readonly nearest: readonly Nearest[];

  constructor(nearest: readonly Nearest[]) {
    super('BAD_USAGE', sentence(nearest));
    this.name = 'BudgetError';
    this.nearest = nearest;
  }
}

/**
 * Finds out what could be met instead.
 *
 * @param budget limits by the problem's models
 * @param asked the same as the user gave them: measurements may have made them narrower
 */
export const budgetError = async (
  problem: Problem,
  budget: Budget,
  asked: Budget,
  options: SolveOptions = {},
): Promise<BudgetError> => {
  const nearest: Nearest[] = [];
  for (const dimension of DIMENSIONS) {
    const [limit, given] = [budget[dimension], asked[dimension]];
    if (limit === undefined || given === undefined) continue;
    const add = (value: number | undefined): number | undefined =>
      value === undefined ? undefined : value + (given - limit);
    const withOthers = add(await leastUsage(problem, dimension, budget, options));
    const alone = withOthers ?? add(await leastUsage(problem, dimension, {}, options));
    nearest.push({ dimension, given, withOthers, alone });
  }
  return new BudgetError(nearest);
};
