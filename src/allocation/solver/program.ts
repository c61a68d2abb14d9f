// Mixed-integer linear programs, row by row, and HiGHS, which solves them.
import loader from 'highs';
import type { Highs } from 'highs';
import { BitlaneError } from '../../errors.js';

/** A variable of a {@link Program}. */
export type Variable = number;

/** A coefficient by its variable. */
export type Terms = readonly (readonly [Variable, number])[];

export interface SolveOptions {
  /** Largest distance to the bound at which a solution is taken for the best one, relative (default 0). */
  readonly gap?: number;
  /** Seconds after which the best solution so far is taken (default 60). */
  readonly seconds?: number;
  /** Nodes of the search after which it is (default: no limit): unlike seconds, the same solution on every device and under any load. */
  readonly nodes?: number;
}

export interface Solution {
  readonly values: Float64Array;
  readonly objective: number;
  /** No solution can be better than this. */
  readonly bound: number;
  /** (objective - bound) / |objective|; 0 where the solution is proved to be the best. */
  readonly gap: number;
}

/** No solution was found in time. */
export class OutOfTime extends BitlaneError {
  /** No solution can be better than this; -Infinity where nothing is known. */
  readonly bound: number;

  constructor(message: string, bound: number) {
    super('TIMEOUT', message);
    this.bound = bound;
  }
}

// The package's types describe a CommonJS module, where what Node imports is an ES module: its default is the loader itself.
const loadHighs = loader as unknown as () => Promise<Highs>;

/** What floats cannot tell apart in objectives of this room's scale. */
const ABSOLUTE_GAP = 1e-7;

let loaded: Promise<Highs> | undefined;

/** Variables from 0 to 1, rows over them, and what is to be least. */
export class Program {
  readonly #costs: number[] = [];
  readonly #integer: (0 | 1)[] = [];
  readonly #rows: { readonly low: number; readonly high: number; readonly terms: Terms }[] = [];

  get size(): { readonly variables: number; readonly rows: number } {
    return { variables: this.#costs.length, rows: this.#rows.length };
  }

  #add(integer: 0 | 1): Variable {
    this.#integer.push(integer);
    return this.#costs.push(0) - 1;
  }

  /** 0 or 1. */
  binary(): Variable {
    return this.#add(1);
  }

  /** From 0 to 1. */
  continuous(): Variable {
    return this.#add(0);
  }

  /** What is to be least, added to what was said before. */
  minimize(terms: Terms): void {
    for (const [variable, cost] of terms) this.#costs[variable] = (this.#costs[variable] ?? 0) + cost;
  }

  /** low <= sum of terms <= high. */
  row(low: number, high: number, terms: Terms): void {
    this.#rows.push({ low, high, terms });
  }

  /**
   * The best solution; `undefined` where there is none. Blocks the thread.
   *
   * @throws OutOfTime when no solution was found in time
   */
  async solve({ gap = 0, seconds = 60, nodes }: SolveOptions = {}): Promise<Solution | undefined> {
    const highs = await (loaded ??= loadHighs());
    const { optimal, infeasible, unboundedOrInfeasible, timeLimit, solutionLimit } =
      highs.constants.modelStatus;
    const [starts, indices, values] = [[0], [] as number[], [] as number[]];
    for (const { terms } of this.#rows) {
      for (const [variable, coefficient] of merged(terms)) {
        indices.push(variable);
        values.push(coefficient);
      }
      starts.push(indices.length);
    }
    const [numCols, numRows] = [this.#costs.length, this.#rows.length];
    return highs.withModel(
      {
        numCols,
        numRows,
        colCost: this.#costs,
        colLower: this.#costs.map(() => 0),
        colUpper: this.#costs.map(() => 1),
        rowLower: this.#rows.map(({ low }) => (low === -Infinity ? -highs.infinity : low)),
        rowUpper: this.#rows.map(({ high }) => (high === Infinity ? highs.infinity : high)),
        matrix: { format: 'csr', numRows, numCols, starts, indices, values },
        integrality: this.#integer,
      },
      (model): Solution | undefined => {
        model.options.set({
          output_flag: false,
          mip_rel_gap: gap,
          mip_abs_gap: ABSOLUTE_GAP,
          mip_feasibility_tolerance: 1e-8,
          time_limit: seconds,
          ...(nodes !== undefined && { mip_max_nodes: nodes }),
        });
        model.run();
        const status = model.getModelStatus();
        if (status === infeasible || status === unboundedOrInfeasible) return undefined;
        const objective = model.getObjectiveValue();
        const isCut = status === timeLimit || status === solutionLimit;
        const bound = Number(model.info.get('mip_dual_bound'));
        if (status !== optimal && !(isCut && Number.isFinite(objective) && objective < 1e30)) {
          if (!isCut) throw new BitlaneError('INTERNAL', `the solver ended with status ${status}`);
          throw new OutOfTime(
            `no allocation was found within ${status === timeLimit ? `${seconds} s` : `${nodes} nodes`}`,
            Number.isFinite(bound) && Math.abs(bound) < 1e30 ? bound : -Infinity,
          );
        }
        return {
          values: model.getSolution().colValue,
          objective,
          bound,
          gap: objective - bound <= ABSOLUTE_GAP ? 0 : (objective - bound) / Math.abs(objective),
        };
      },
    );
  }
}

/** One coefficient a variable: HiGHS takes no more. */
const merged = (terms: Terms): Map<Variable, number> => {
  const sums = new Map<Variable, number>();
  for (const [variable, coefficient] of terms) {
    sums.set(variable, (sums.get(variable) ?? 0) + coefficient);
  }
  return sums;
};
