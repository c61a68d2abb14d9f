// From a budget to an allocation whose real artifact meets it: solve, measure, correct the models by what was missed, solve again.
import { BitlaneError } from '../../errors.js';
import type { Allocation } from '../../quantization/index.js';
import { type Budget, type Dimension, DIMENSIONS, type Problem } from '../solver/problem.js';
import type { SolveOptions } from '../solver/program.js';
import { type Solved, solveLayers } from '../solver/solve.js';
import { budgetError } from './budget-error.js';

/** What a real artifact takes; what was not measured is left out. */
export type Measurements = Readonly<Partial<Record<Dimension, number | undefined>>>;

/**
 * Builds the artifact of an allocation and measures it.
 *
 * @param attempt 0, and one more each time the same allocation is measured anew
 */
export type MeasureArtifact = (allocation: Allocation, attempt: number) => Promise<Measurements>;

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
  /** Most measurements (default 6), and up to three more where some were disturbed. */
  readonly rounds?: number;
  readonly signal?: AbortSignal;
  readonly onRound?: (round: number) => void;
}

const ROUNDS = 6;
/** Measurements after limits were relaxed. */
const MORE = 3;
/** What other processes disturb; sizes are the same whenever they are counted. */
const DISTURBED = ['latencyMs', 'memoryMb'] as const satisfies Dimension[];
/** Where an allocation is found anyway, limits are relaxed if they are narrower by more than this share than readings usually say. */
const NARROW = 0.02;
/** Room that the models leave and the artifact does not need is used where it is more than this share of the budget. */
const WORTH = 0.002;
/** A reading that is within the budget by less than this share of it is taken twice: times repeat themselves to a percent or two. */
const CLOSE = 0.02;

const overs = (measured: Measurements, budget: Budget): Dimension[] =>
  DIMENSIONS.filter((dimension) => {
    const [taken, most] = [measured[dimension], budget[dimension]];
    return taken !== undefined && most !== undefined && taken > most;
  });

/** Whether chance alone may have put a reading within the budget. */
const isClose = (measured: Measurements, budget: Budget): boolean =>
  overs(measured, budget).length === 0 &&
  DISTURBED.some((dimension) => (measured[dimension] ?? 0) > (1 - CLOSE) * (budget[dimension] ?? Infinity));

/** Two readings of one artifact. */
const mean = (first: Measurements, second: Measurements): Measurements =>
  Object.fromEntries(
    DIMENSIONS.flatMap((dimension) => {
      const [a, b] = [first[dimension], second[dimension]];
      return a === undefined || b === undefined ? [] : [[dimension, (a + b) / 2]];
    }),
  );

/** How far the artifact is from what the models said of it. */
const errorOf = ({ usage }: Solved, measured: Measurements, dimension: Dimension): number => {
  const [said, taken] = [usage[dimension], measured[dimension]];
  return said === undefined || taken === undefined ? 0 : taken - said;
};

/** The middle of some numbers, the lower of two: what disturbs a measurement adds to it. */
const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;

const isSame = (a: Solved, b: Solved): boolean =>
  JSON.stringify(a.allocation) === JSON.stringify(b.allocation);

/** The limits that a solver is given: the budget, corrected by how far real artifacts were from the models. */
class Limits {
  readonly #budget: Budget;
  readonly #errors: Readonly<Record<Dimension, number[]>> = {
    modelBytes: [],
    latencyMs: [],
    memoryMb: [],
    averageBits: [],
  };
  #isRelaxed = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get isRelaxed(): boolean {
    return this.#isRelaxed;
  }

  learn({ solved, measured }: Round): void {
    for (const dimension of DIMENSIONS) this.#errors[dimension].push(errorOf(solved, measured, dimension));
  }

  /** The worst reading's error: limits only get narrower, or two allocations could take turns for ever; the usual error once relaxed. */
  correction(dimension: Dimension): number {
    const errors = this.#errors[dimension];
    const usual = this.#isRelaxed && DISTURBED.some((each) => each === dimension);
    return errors.length === 0 ? 0 : usual ? middle(errors) : Math.max(...errors);
  }

  get corrected(): Budget {
    return Object.fromEntries(
      DIMENSIONS.flatMap((dimension) => {
        const limit = this.#budget[dimension];
        return limit === undefined ? [] : [[dimension, limit - this.correction(dimension)]];
      }),
    );
  }

  /** Dimensions that may have been measured while something else ran. */
  get disturbed(): readonly Dimension[] {
    return DISTURBED.filter((dimension) => this.#budget[dimension] !== undefined);
  }

  /** Whether one reading makes the limits much narrower than readings usually do. */
  get isNarrow(): boolean {
    return this.disturbed.some(
      (dimension) =>
        this.correction(dimension) - middle(this.#errors[dimension]) >
        NARROW * (this.#budget[dimension] ?? 0),
    );
  }

  /** From now on what readings usually say counts, instead of the worst. */
  relax(): void {
    this.#isRelaxed = true;
  }
}

/**
 * The allocation with the least damage whose artifact was measured to be within the budget. A reading that was disturbed costs no budget
 * that can be met: before one is refused the allocation with the worst reading is measured anew, which then counts, and limits are relaxed
 * to what readings usually say.
 *
 * @throws BudgetError when no allocation is within it; BitlaneError `BAD_USAGE` when it was missed in every round, the reason of
 *   `signal`
 */
export const meetBudget = async (problem: Problem, budget: Budget, options: MeetOptions): Promise<Met> => {
  const { measure, rounds: most = ROUNDS, signal, onRound } = options;
  const rounds: Round[] = [];
  const limits = new Limits(budget);
  let best: Round | undefined;
  let cap = most;

  const attempts = new Map<string, number>();
  const read = (allocation: Allocation): Promise<Measurements> => {
    signal?.throwIfAborted();
    const text = JSON.stringify(allocation);
    const attempt = attempts.get(text) ?? 0;
    attempts.set(text, attempt + 1);
    return measure(allocation, attempt);
  };

  const look = async (solved: Solved): Promise<Round> => {
    onRound?.(rounds.length + 1);
    const first = await read(solved.allocation);
    const measured = isClose(first, budget) ? mean(first, await read(solved.allocation)) : first;
    const round: Round = { solved, measured, missed: overs(measured, budget) };
    rounds.push(round);
    if (round.missed.length === 0 && (best === undefined || solved.damage < best.solved.damage)) best = round;
    return round;
  };

  /** Once; false where there is nothing to doubt. */
  const relax = async (): Promise<boolean> => {
    if (limits.isRelaxed || (best !== undefined && !limits.isNarrow)) return false;
    const excess = ({ solved, measured }: Round): number =>
      Math.max(...limits.disturbed.map((each) => errorOf(solved, measured, each) / (budget[each] ?? 1)));
    const [doubtful] = rounds
      .filter(({ missed }) => missed.some((each) => limits.disturbed.includes(each)))
      .sort((a, b) => excess(b) - excess(a));
    if (doubtful === undefined) return false;
    limits.relax();
    cap = Math.max(cap, rounds.length + MORE);
    limits.learn(await look(doubtful.solved));
    return true;
  };

  for (;;) {
    signal?.throwIfAborted();
    if (rounds.length >= cap && !(await relax())) break;
    const solved = await solveLayers(problem, limits.corrected, options);
    if (solved === undefined) {
      if (await relax()) continue;
      if (best !== undefined) break;
      throw await budgetError(problem, limits.corrected, budget, options);
    }
    const known = rounds.filter((round) => isSame(round.solved, solved));
    if (known.length > 0 && !limits.isRelaxed) {
      if (await relax()) continue;
      break;
    }
    if (known.length > 1 || known.some(({ missed }) => missed.length === 0)) break;
    const round = await look(solved);
    const isTight = DIMENSIONS.every((dimension) => {
      const limit = budget[dimension];
      const change = errorOf(solved, round.measured, dimension) - limits.correction(dimension);
      return limit === undefined || change >= -WORTH * limit;
    });
    if (round.missed.length === 0 && isTight) break;
    limits.learn(round);
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
