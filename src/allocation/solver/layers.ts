// Bits and execution precision of every layer as a mixed-integer linear program.
import { BitlaneError } from '../../errors.js';
import {
  allocate,
  type Allocation,
  type BitWidth,
  BIT_WIDTHS,
  type Condition,
} from '../../quantization/index.js';
import type { LatencyTerms } from './latency-terms.js';
import { damageOf, type Dimension, leastDamage, type Problem, type Usage, usageOf } from './problem.js';
import {
  type OutOfTime,
  Program,
  type Solution,
  type SolveOptions,
  type Terms,
  type Variable,
} from './program.js';

export interface Solved {
  readonly allocation: Allocation;
  readonly damage: number;
  /** No allocation within the budget has less damage than this. */
  readonly bound: number;
  /** Relative distance of the two: 0 where the allocation is proved to be the best. */
  readonly gap: number;
  /** As the problem's models say. */
  readonly usage: Usage;
}

/** A sum over variables. */
interface Linear {
  readonly constant: number;
  readonly terms: Terms;
}

/** What objectives are scaled to: tolerances of solvers are absolute. */
const OBJECTIVE_SCALE = 1_000;
/** What is less by no more than this is the same. */
const LESS = 1e-7;

/** One problem as a program, its slices folded or not; conditions become variables as they are needed. */
export class Layers {
  readonly #problem: Problem;
  readonly #latency: LatencyTerms | undefined;
  readonly #program = new Program();
  readonly #bits: ReadonlyMap<string, ReadonlyMap<BitWidth, Variable>>;
  readonly #int8: ReadonlyMap<string, Variable>;
  readonly #conditions = new Map<Condition, Variable>();
  /** What damage is multiplied by to be the objective. */
  #unit = 1;

  /** @param latency one of the problem's; `undefined` where it has none */
  constructor(problem: Problem, latency: LatencyTerms | undefined) {
    this.#problem = problem;
    this.#latency = latency;
    const { components, widths = BIT_WIDTHS, execution } = problem;
    const { folded, unfolded = new Set<string>() } = latency ?? {};
    const program = this.#program;
    this.#bits = new Map(
      components.map(({ name }) => [name, new Map(widths.map((width) => [width, program.binary()]))]),
    );
    this.#int8 = new Map(components.map(({ name }) => [name, program.binary()]));
    for (const { name } of components) {
      const bits = this.#bits.get(name) ?? new Map<BitWidth, Variable>();
      program.row(
        1,
        1,
        [...bits.values()].map((variable) => [variable, 1] as const),
      );
      const runs = this.#runs(name);
      const whole = bits.get(32);
      if (whole !== undefined) {
        program.row(-Infinity, 1, [
          [whole, 1],
          [runs, 1],
        ]);
      }
      if (folded?.has(name) === true) program.row(0, 0, [[runs, 1]]);
      if (execution !== 'free')
        program.row(execution === 'int8' ? 1 : 0, execution === 'int8' ? 1 : 0, [[runs, 1]]);
    }
    if (unfolded.size > 0) {
      program.row(
        1,
        Infinity,
        [...unfolded].map((name) => [this.#runs(name), 1] as const),
      );
    }
  }

  get #isFolded(): boolean {
    return (this.#latency?.folded.size ?? 0) > 0;
  }

  #runs(name: string): Variable {
    const variable = this.#int8.get(name);
    if (variable === undefined) throw new BitlaneError('INTERNAL', `${name} is no component of the problem`);
    return variable;
  }

  /** The variable that is 1 exactly where a condition holds. */
  #variable(condition: Condition): Variable {
    if (condition.kind === 'component') return this.#runs(condition.name);
    const known = this.#conditions.get(condition);
    if (known !== undefined) return known;
    const program = this.#program;
    const variable = program.continuous();
    this.#conditions.set(condition, variable);
    if (condition.kind === 'constant') {
      program.row(condition.value ? 1 : 0, condition.value ? 1 : 0, [[variable, 1]]);
      return variable;
    }
    const parts = condition.of.map((part) => this.#variable(part));
    const all = parts.map((part) => [part, 1] as const);
    if (condition.kind === 'and') {
      for (const part of parts)
        program.row(0, Infinity, [
          [part, 1],
          [variable, -1],
        ]);
      program.row(-Infinity, parts.length - 1, [...all, [variable, -1]]);
    } else {
      for (const part of parts)
        program.row(-Infinity, 0, [
          [part, 1],
          [variable, -1],
        ]);
      program.row(0, Infinity, [...all, [variable, -1]]);
    }
    return variable;
  }

  #time(): Linear | undefined {
    const { execution } = this.#problem;
    const latency = this.#latency;
    if (latency === undefined) return undefined;
    const terms: [Variable, number][] = [];
    let constant = latency.constantMs;
    for (const { on, off, ms } of latency.terms) {
      if (off === undefined && on.kind === 'constant') constant += on.value ? ms : 0;
      else if (off === undefined || (off.kind === 'constant' && !off.value))
        terms.push([this.#variable(on), ms]);
      else if (execution === 'fp32') continue;
      else {
        // A crossing only costs, so its lower end is enough.
        const crossing = this.#program.continuous();
        this.#program.row(0, Infinity, [
          [crossing, 1],
          [this.#variable(on), -1],
          [this.#variable(off), 1],
        ]);
        terms.push([crossing, ms]);
      }
    }
    return { constant, terms };
  }

  #over(
    each: (index: number) => { readonly bits: (width: BitWidth) => number; readonly int8: number },
  ): Terms {
    return this.#problem.components.flatMap(({ name }, index) => {
      const { bits, int8 } = each(index);
      return [
        ...[...(this.#bits.get(name) ?? [])].map(([width, variable]) => [variable, bits(width)] as const),
        [this.#runs(name), int8] as const,
      ];
    });
  }

  /** What a dimension takes; `undefined` where the problem has no model of it. */
  linear(dimension: Dimension): Linear | undefined {
    const { components, bytes, memory } = this.#problem;
    switch (dimension) {
      case 'modelBytes':
        return {
          constant: bytes.constant,
          terms: this.#over((i) => ({
            bits: (width) => bytes.weights[i]?.[width] ?? 0,
            int8: bytes.int8[i] ?? 0,
          })),
        };
      case 'latencyMs':
        return this.#time();
      case 'memoryMb':
        return (
          memory && {
            constant: memory.constantMb,
            terms: [...this.#int8.values()].map((variable, i) => [variable, memory.int8Mb[i] ?? 0] as const),
          }
        );
      case 'averageBits': {
        const all = components.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
        return {
          constant: 0,
          terms: this.#over((i) => ({
            bits: (width) => (width * (components[i]?.weightBytes ?? 0)) / all,
            int8: 0,
          })),
        };
      }
    }
  }

  limit(dimension: Dimension, most: number): void {
    const linear = this.linear(dimension);
    if (linear === undefined) {
      throw new BitlaneError(
        'BAD_USAGE',
        `a budget of ${dimension} needs a device profile: make one with \`bitlane profile\``,
      );
    }
    // Rows in units of their limit: a solver's tolerance is one number for bytes and milliseconds.
    const left = most - linear.constant;
    const unit = Math.max(1e-6, ...linear.terms.map(([, coefficient]) => Math.abs(coefficient)));
    this.#program.row(
      -Infinity,
      left / unit,
      linear.terms.map(([variable, coefficient]) => [variable, coefficient / unit]),
    );
  }

  /** @param below allocations with no less damage than this are of no interest */
  minimizeDamage(below = Infinity): void {
    const { damage, interactions = [] } = this.#problem;
    const terms: [Variable, number][] = [];
    const unit = (this.#unit =
      OBJECTIVE_SCALE /
      Math.max(
        1e-300,
        damage.reduce((sum, each) => sum + each.weights[2] + each.int8, 0),
      ));
    for (const [variable, value] of this.#over((i) => ({
      bits: (width) => damage[i]?.weights[width] ?? 0,
      int8: damage[i]?.int8 ?? 0,
    }))) {
      terms.push([variable, value * unit]);
    }
    for (const { components, bits, damage: extra } of interactions) {
      const [a, b] = [0, 1].map((i) => this.#bits.get(components[i] ?? '')?.get(bits[i] ?? 32));
      if (a === undefined || b === undefined) continue;
      const together = this.#program.continuous();
      this.#program.row(-Infinity, 1, [
        [a, 1],
        [b, 1],
        [together, -1],
      ]);
      for (const each of [a, b])
        this.#program.row(0, Infinity, [
          [each, 1],
          [together, -1],
        ]);
      terms.push([together, extra * unit]);
    }
    this.#program.minimize(terms);
    if (Number.isFinite(below)) this.#program.row(-Infinity, below * unit * (1 - LESS), terms);
  }

  minimizeUsage(dimension: Dimension): void {
    const terms = this.linear(dimension)?.terms ?? [];
    const unit =
      OBJECTIVE_SCALE /
      Math.max(
        1e-300,
        terms.reduce((sum, [, value]) => sum + Math.abs(value), 0),
      );
    this.#program.minimize(terms.map(([variable, value]) => [variable, value * unit] as const));
  }

  /** Damage that no allocation of this program is below, after a search for the least that ran out of time. */
  damageBound({ bound }: OutOfTime): number {
    return Math.max(leastDamage(this.#problem), bound / this.#unit);
  }

  async solve(options: SolveOptions): Promise<Solved | undefined> {
    const solution = await this.#program.solve(options);
    return solution === undefined ? undefined : this.#solved(solution);
  }

  #solved({ values, bound, objective, gap }: Solution): Solved {
    const allocation = allocate(this.#problem.components, ({ name }) => {
      const [width] = [...(this.#bits.get(name) ?? [])].sort(
        (a, b) => (values[b[1]] ?? 0) - (values[a[1]] ?? 0),
      );
      return {
        bits: width?.[0] ?? 32,
        execution: (values[this.#runs(name)] ?? 0) > 0.5 ? 'int8' : 'fp32',
      };
    });
    const damage = damageOf(this.#problem, allocation);
    const share = Math.abs(objective) < 1e-12 ? 0 : bound / objective;
    return {
      allocation: this.#isFolded ? { ...allocation, foldSlices: true } : allocation,
      damage,
      bound: gap === 0 ? damage : damage * share,
      gap,
      usage: usageOf(this.#problem, { ...allocation, foldSlices: this.#isFolded }),
    };
  }
}
