// Small problems for solvers, and the best that looking at everything finds.
import fc from 'fast-check';
import {
  type Budget,
  damageOf,
  DIMENSIONS,
  type Problem,
  usageOf,
  weightDamage,
} from '../../src/allocation/index.js';
import type { Allocation, BitWidth, Component, ComponentAllocation } from '../../src/quantization/index.js';

export const component = (name: string, weights: number): Component => ({
  name,
  kind: 'Conv',
  input: `${name}.in`,
  weight: `${name}.w`,
  bias: undefined,
  output: `${name}.out`,
  weightDims: [1, weights, 1, 1],
  axis: 0,
  outputChannels: 1,
  groups: 1,
  kernel: [1, 1],
  weightBytes: 4 * weights,
  macs: weights,
  activation: 'none',
});

interface Layer {
  readonly weights: number;
  readonly costs: readonly [number, number, number];
  readonly int8: number;
  readonly saves: number;
}

const cost = fc.integer({ min: 0, max: 1_000 }).map((hundredths) => hundredths / 100);

export const layer: fc.Arbitrary<Layer> = fc.record({
  weights: fc.integer({ min: 1, max: 500 }),
  costs: fc.tuple(cost, cost, cost),
  int8: cost,
  saves: fc.integer({ min: -100, max: 300 }).map((hundredths) => hundredths / 100),
});

/** Layers in a row: a change of precision between neighbours costs, and so do floats at both ends. */
export const chainProblem = (
  layers: readonly Layer[],
  crossing: number,
  widths: readonly BitWidth[],
): Problem => {
  const names = layers.map((_, i) => `layer${i}`);
  const runs = (name: string) => ({ kind: 'component', name }) as const;
  return {
    components: layers.map(({ weights }, i) => component(names[i] ?? '', weights)),
    damage: layers.map(({ costs: [a, b, c], int8 }, i) => ({
      name: names[i] ?? '',
      weights: weightDamage(a, b, c),
      int8,
    })),
    bytes: {
      constant: 100,
      weights: layers.map(({ weights }) => ({
        2: Math.ceil(weights / 4) + 9,
        4: Math.ceil(weights / 2) + 9,
        8: weights + 9,
        32: 4 * weights,
      })),
      int8: layers.map(() => 5),
    },
    latency: [
      {
        constantMs: 4 * layers.length,
        terms: [
          ...layers.map(({ saves }, i) => ({ on: runs(names[i] ?? ''), off: undefined, ms: -saves })),
          ...names.flatMap((name, i) => {
            const before = names[i - 1];
            const after = names[i + 1];
            return [
              { on: runs(name), off: before === undefined ? undefined : runs(before), ms: crossing },
              { on: runs(name), off: after === undefined ? undefined : runs(after), ms: crossing },
            ];
          }),
        ],
        folded: new Set<string>(),
        unfolded: new Set<string>(),
      },
    ],
    memory: { constantMb: 50, int8Mb: layers.map(({ weights }) => -weights / 500) },
    execution: 'free',
    widths,
  };
};

/** Every allocation there is. */
export const everyAllocation = function* ({
  components,
  widths = [2, 4, 8, 32],
}: Problem): Generator<Allocation> {
  const entries = widths.flatMap((bits): ComponentAllocation[] => [
    { bits, execution: 'fp32' },
    ...(bits === 32 ? [] : [{ bits, execution: 'int8' as const }]),
  ]);
  const count = entries.length ** components.length;
  for (let number = 0; number < count; number++) {
    let rest = number;
    yield {
      format: 'bitlane-allocation',
      version: 1,
      components: Object.fromEntries(
        components.map(({ name }) => {
          const entry = entries[rest % entries.length];
          if (entry === undefined) throw new Error('an entry');
          rest = Math.floor(rest / entries.length);
          return [name, entry];
        }),
      ),
    };
  }
};

/** True where an allocation is within a budget, but for what floats cannot tell. */
export const isWithin = (problem: Problem, allocation: Allocation, budget: Budget, spare = 1e-6): boolean => {
  const usage = usageOf(problem, allocation);
  return DIMENSIONS.every((dimension) => {
    const [taken, most] = [usage[dimension], budget[dimension]];
    return most === undefined || (taken ?? Infinity) <= most + spare * Math.max(1, Math.abs(most));
  });
};

/** The least damage within a budget; Infinity where nothing is. */
export const bruteForce = (problem: Problem, budget: Budget, spare = 0): number => {
  let least = Infinity;
  for (const allocation of everyAllocation(problem)) {
    if (isWithin(problem, allocation, budget, spare)) least = Math.min(least, damageOf(problem, allocation));
  }
  return least;
};
