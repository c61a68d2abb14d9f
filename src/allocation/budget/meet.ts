// From a budget to an allocation whose real artifact meets it: solve, measure, correct the models by what was missed, solve again.
import { BitlaneError } from '../../errors.js';
import type { Allocation } from '../../quantization/index.js';
import { type Budget, type Dimension, DIMENSIONS, type Problem } from '../solver/problem.js';
import type { SolveOptions } from '../solver/program.js';
import { type Solved, solveLayers } from '../solver/solve.js';
import { budgetError } from './budget-error.js';

/** What a real artifact takes; what was not measured is left out. */
export type Measurements = Readonly<Partial<Record<Dimension, number | undefined>>>;

/** Builds the artifact of an allocation and measures it. */
export type MeasureArtifact = (allocation: Allocation) => Promise<Measurements>;

/** One solution and what its artifact took. */
export interface Round {
  readonly solved: Solved;
  readonly measured: Measurements;
  /** Dimensions in which it is over the budget. */
  readonly missed: readonly Dimension[];
}

export interface Met extends Solved {
  readonly measured: Measurements;
  readonly rounds: readonly Round[];
}

export interface MeetOptions extends SolveOptions {
  readonly measure: MeasureArtifact;
  /** Most solutions that are measured (default 6). */
  readonly rounds?: number;
  readonly signal?: AbortSignal;
  readonly onRound?: (round: number) => void;
}

const ROUNDS = 6;
/** Room that the models leave and the artifact does not need is used where it is more than this share of the budget. */
const WORTH = 0.002;

const overs = (measured: Measurements, budget: Budget): Dimension[] =>
  DIMENSIONS.filter((dimension) => {
    const [taken, most] = [measured[dimension], budget[dimension]];
    return taken !== undefined && most !== undefined && taken > most;
  });

/** How far the artifact is from what the models said of it. */
const errorOf = ({ usage }: Solved, measured: Measurements, dimension: Dimension): number => {
  const [said, taken] = [usage[dimension], measured[dimension]];
  return said === undefined || taken === undefined ? 0 : taken - said;
};

/**
 * The allocation with the least damage whose artifact was measured to be within the budget.
 *
 * @throws BudgetError when no allocation is within it; BitlaneError `BAD_USAGE` when it was missed in every round, the reason of
 *   `signal`
 */
export const meetBudget = async (problem: Problem, budget: Budget, options: MeetOptions): Promise<Met> => {
  const { measure, rounds: most = ROUNDS, signal, onRound } = options;
  const rounds: Round[] = [];
  const corrections: Partial<Record<Dimension, number>> = {};
  let best: Round | undefined;
  for (let number = 1; number <= most; number++) {
    signal?.throwIfAborted();
    onRound?.(number);
    const corrected: Budget = Object.fromEntries(
      DIMENSIONS.flatMap((dimension) => {
        const limit = budget[dimension];
        return limit === undefined ? [] : [[dimension, limit - (corrections[dimension] ?? 0)]];
      }),
    );
    const solved = await solveLayers(problem, corrected, options);
    if (solved === undefined) {
      if (best !== undefined) break;
      throw await budgetError(problem, corrected, budget, options);
    }
    const key = JSON.stringify(solved.allocation);
    if (rounds.some((round) => JSON.stringify(round.solved.allocation) === key)) break;
    const measured = await measure(solved.allocation);
    const round: Round = { solved, measured, missed: overs(measured, budget) };
    rounds.push(round);
    if (round.missed.length === 0 && (best === undefined || solved.damage < best.solved.damage)) best = round;
    const isTight = DIMENSIONS.every((dimension) => {
      const limit = budget[dimension];
      const change = errorOf(solved, measured, dimension) - (corrections[dimension] ?? 0);
      return limit === undefined || change >= -WORTH * limit;
    });
    if (round.missed.length === 0 && isTight) break;
    for (const dimension of DIMENSIONS) {
      const error = errorOf(solved, measured, dimension);
      const before = corrections[dimension];
      // After a miss limits only get narrower, or two allocations could take turns for ever.
      const isNarrowing = rounds.length > 1 && before !== undefined;
      corrections[dimension] = isNarrowing ? Math.max(before, error) : error;
    }
  }
  if (best !== undefined) return { ...best.solved, measured: best.measured, rounds };
  const last = rounds.at(-1);
  const missed = (last?.missed ?? []).map(
    (dimension) => `${dimension} ${String(last?.measured[dimension])} over ${String(budget[dimension])}`,
  );
  throw new BitlaneError(
    'BAD_USAGE',
    `the budget was missed by the real artifact in each of ${rounds.length} rounds (in the last: ${missed.join(', ')}): give a little more`,
  );
};
