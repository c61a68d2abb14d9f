// Looks for the cheapest plans under a cost model: turns over runs of neighbours while that helps, from many starts.
import type { Execution } from '../quantization/index.js';
import type { Plan } from './network.js';
import { randomSource } from './random.js';

export interface SearchOptions {
  /** Plans to start at. */
  readonly starts: readonly Plan[];
  /** Most regions in a row that are turned over at once (default 8). */
  readonly reach?: number;
  /** Times that the best plan is shaken and improved again (default 20). */
  readonly kicks?: number;
  /** Plans to return (default 6). */
  readonly keep?: number;
  readonly seed?: number;
  /** Called before every cost: true ends the search with what it has. */
  readonly isOver?: () => boolean;
}

export interface Found {
  readonly plan: Plan;
  readonly cost: number;
}

const other = (execution: Execution): Execution => (execution === 'int8' ? 'fp32' : 'int8');

const turned = (plan: Plan, from: number, to: number): Execution[] =>
  plan.map((execution, i) => (i >= from && i < to ? other(execution) : execution));

/** Local search with a memory of what was looked at. */
class Search {
  readonly seen = new Map<string, Found>();
  readonly #cost: (plan: Plan) => number;
  readonly #isOver: () => boolean;
  readonly #reach: number;

  constructor(cost: (plan: Plan) => number, { isOver = () => false, reach = 8 }: SearchOptions) {
    this.#cost = cost;
    this.#isOver = isOver;
    this.#reach = reach;
  }

  get isOver(): boolean {
    return this.#isOver();
  }

  look(plan: Plan): Found {
    const key = plan.join();
    const known = this.seen.get(key) ?? { plan, cost: this.#cost(plan) };
    this.seen.set(key, known);
    return known;
  }

  /** The best that turning over can make of a plan. */
  improve(plan: Plan): Found {
    let best = this.look(plan);
    for (let improved = true; improved;) {
      improved = false;
      for (let from = 0; from < plan.length; from++) {
        for (let to = from + 1; to <= Math.min(plan.length, from + this.#reach); to++) {
          if (this.#isOver()) return best;
          const found = this.look(turned(best.plan, from, to));
          if (found.cost < best.cost) {
            best = found;
            improved = true;
          }
        }
      }
    }
    return best;
  }
}

/**
 * The cheapest plans found, cheapest first; deterministic for a cost that is.
 *
 * @param cost of a plan; called once for each plan looked at
 */
export const searchPlans = (cost: (plan: Plan) => number, options: SearchOptions): Found[] => {
  const { starts, kicks = 20, keep = 6, seed = 1 } = options;
  const search = new Search(cost, options);
  const random = randomSource(seed);
  let best: Found | undefined;
  const take = (found: Found): void => {
    if (best === undefined || found.cost < best.cost) best = found;
  };
  for (const start of starts) take(search.improve(start));
  for (let kick = 0; kick < kicks && best !== undefined && !search.isOver; kick++) {
    const plan = best.plan.map((execution) => (random() < 0.15 ? other(execution) : execution));
    take(search.improve(plan));
  }
  return [...search.seen.values()].sort((a, b) => a.cost - b.cost).slice(0, keep);
};
