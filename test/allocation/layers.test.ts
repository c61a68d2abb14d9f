// The exact solver against everything there is, on small problems: damage, budgets, the nearest that can be met, interactions.
import fc from 'fast-check';
import t from 'tap';
import {
  BudgetError,
  damageOf,
  DIMENSIONS,
  type Dimension,
  leastUsage,
  type Measurements,
  meetBudget,
  pairsToMeasure,
  type Problem,
  repairInteractions,
  solveLayers,
  usageOf,
} from '../../src/allocation/index.js';
import { bruteForce, chainProblem, everyAllocation, isWithin, layer } from './problems.js';

const RUNS = 60;

const problems = fc
  .tuple(
    fc.array(layer, { minLength: 1, maxLength: 3 }),
    fc.double({ min: 0, max: 2, noNaN: true }),
    fc.constantFrom([2, 4, 8] as const, [2, 4, 8, 32] as const, [4, 32] as const),
  )
  .map(([layers, crossing, widths]) => chainProblem(layers, crossing, widths));

/** A budget somewhere between the least and the most that a dimension can be. */
const limits = fc.record({
  modelBytes: fc.option(fc.double({ min: -0.1, max: 1, noNaN: true }), { nil: undefined }),
  latencyMs: fc.option(fc.double({ min: -0.1, max: 1, noNaN: true }), { nil: undefined }),
  memoryMb: fc.option(fc.double({ min: -0.1, max: 1, noNaN: true }), { nil: undefined }),
  averageBits: fc.option(fc.double({ min: -0.1, max: 1, noNaN: true }), { nil: undefined }),
});

const rangeOf = (problem: Problem, dimension: Dimension): [number, number] => {
  const all = [...everyAllocation(problem)].map((each) => usageOf(problem, each)[dimension] ?? 0);
  return [Math.min(...all), Math.max(...all)];
};

const budgetOf = (problem: Problem, shares: Partial<Record<Dimension, number | undefined>>) =>
  Object.fromEntries(
    DIMENSIONS.map((dimension) => {
      const share = shares[dimension];
      const [low, high] = rangeOf(problem, dimension);
      return [dimension, share === undefined ? undefined : low + share * (high - low)];
    }),
  );

t.test('it finds what looking at everything finds, and proves it', async (t) => {
  let [met, unmet] = [0, 0];
  await fc.assert(
    fc.asyncProperty(problems, limits, async (problem, shares) => {
      const budget = budgetOf(problem, shares);
      const solved = await solveLayers(problem, budget);
      // What lies on a limit to the last digit may be on either side of it.
      const [least, most] = [bruteForce(problem, budget, 1e-6), bruteForce(problem, budget, -1e-6)];
      if (solved === undefined) {
        unmet++;
        return most === Infinity;
      }
      met++;
      const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b));
      return (
        isWithin(problem, solved.allocation, budget) &&
        solved.gap === 0 &&
        near(solved.damage, damageOf(problem, solved.allocation)) &&
        (solved.damage >= least || near(solved.damage, least)) &&
        (solved.damage <= most || near(solved.damage, most))
      );
    }),
    { numRuns: RUNS },
  );
  t.ok(met > 5 && unmet > 0, `${met} met, ${unmet} cannot be`);
});

t.test('the least of a dimension is the least', async (t) => {
  await fc.assert(
    fc.asyncProperty(problems, fc.constantFrom(...DIMENSIONS), async (problem, dimension) => {
      const found = (await leastUsage(problem, dimension, {})) ?? NaN;
      const [least] = rangeOf(problem, dimension);
      return Math.abs(found - least) <= 1e-5 * Math.max(1, Math.abs(least));
    }),
    { numRuns: 30 },
  );
  t.pass();
});

t.test('precisions can be given', async (t) => {
  const problem = chainProblem(
    [
      { weights: 10, costs: [3, 2, 1], int8: 0, saves: 2 },
      { weights: 10, costs: [3, 2, 1], int8: 0, saves: 2 },
    ],
    0.1,
    [2, 4, 8, 32],
  );
  for (const execution of ['fp32', 'int8'] as const) {
    const solved = await solveLayers({ ...problem, execution }, { averageBits: 8 });
    const entries = Object.values(solved?.allocation.components ?? {});
    t.same(entries, [
      { bits: 8, execution },
      { bits: 8, execution },
    ]);
  }
});

t.test('two that hurt each other more together are kept apart', async (t) => {
  const layers = [1, 1.1, 1.2].map((two) => ({
    weights: 100,
    costs: [two, 0, 0] as const,
    int8: 0,
    saves: 0,
  }));
  const problem = chainProblem(layers, 0, [2, 4]);
  const budget = { averageBits: 2 + 2 / 3 };
  const before = await solveLayers(problem, budget);
  t.same(
    Object.values(before?.allocation.components ?? {}).map(({ bits }) => bits),
    [2, 2, 4],
  );
  if (before === undefined) throw new Error('a solution');
  t.same(pairsToMeasure(problem, before.allocation, 4), [
    [
      { component: 'layer1', bits: 2 },
      { component: 'layer0', bits: 2 },
    ],
  ]);
  const asked: string[] = [];
  const repaired = await repairInteractions(problem, budget, {
    measure: (pairs) => {
      const keys = pairs.map((pair) =>
        pair
          .map(({ component }) => component)
          .sort()
          .join(),
      );
      asked.push(...keys);
      return Promise.resolve(
        keys.map((key) => (key === 'layer0,layer1' ? 5 : key === 'layer0,layer2' ? -0.5 : 0)),
      );
    },
  });
  t.same(
    Object.values(repaired?.solved.allocation.components ?? {}).map(({ bits }) => bits),
    [2, 4, 2],
  );
  t.same(asked, ['layer0,layer1', 'layer0,layer2'], 'each pair once');
  t.ok(Math.abs((repaired?.solved.damage ?? 0) - 1.7) < 1e-9);
  t.equal(
    await repairInteractions(problem, { averageBits: 1 }, { measure: () => Promise.resolve([]) }),
    undefined,
  );
});

t.test('interactions are counted as looking at everything counts them', async (t) => {
  const bits = fc.constantFrom(2 as const, 4 as const);
  const interaction = fc.record({
    components: fc.constantFrom<[string, string]>(
      ['layer0', 'layer1'],
      ['layer1', 'layer2'],
      ['layer0', 'layer2'],
    ),
    bits: fc.tuple(bits, bits),
    damage: fc.double({ min: -3, max: 3, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(layer, { minLength: 3, maxLength: 3 }),
      fc.array(interaction, { minLength: 1, maxLength: 4 }),
      async (layers, interactions) => {
        const problem: Problem = {
          ...chainProblem(layers, 0, [2, 4, 8]),
          execution: 'fp32',
          interactions,
        };
        const budget = { averageBits: 5 };
        const solved = await solveLayers(problem, budget);
        const least = bruteForce({ ...problem, widths: [2, 4, 8] }, budget, 1e-6);
        return solved !== undefined && solved.damage <= least + 1e-5 + 10 * 1e-5;
      },
    ),
    { numRuns: 30 },
  );
  t.pass();
});

const three = chainProblem(
  [100, 200, 300].map((weights) => ({ weights, costs: [9, 3, 1], int8: 1, saves: 1 })),
  0.1,
  [2, 4, 8],
);

t.test('what the artifact misses goes back into the solver', async (t) => {
  const measured: Measurements[] = [];
  const budget = { modelBytes: 500, latencyMs: 11.5 };
  // Files are 60 bytes larger than the model says, and runs 4 % slower.
  const met = await meetBudget(three, budget, {
    measure: (allocation) => {
      const { modelBytes = 0, latencyMs = 0 } = usageOf(three, allocation);
      measured.push({ modelBytes: modelBytes + 60, latencyMs: latencyMs * 1.04 });
      return Promise.resolve(measured.at(-1) ?? {});
    },
  });
  t.ok(met.rounds.length > 1 && met.rounds.length <= 6, `${met.rounds.length} rounds`);
  t.ok(met.rounds[0]?.missed.length, 'the first one missed');
  t.ok((met.measured.modelBytes ?? Infinity) <= budget.modelBytes);
  t.ok((met.measured.latencyMs ?? Infinity) <= budget.latencyMs);
  t.same(met.measured, measured[met.rounds.findIndex(({ missed }) => missed.length === 0)]);
});

t.test('room that the artifact leaves is used', async (t) => {
  const met = await meetBudget(
    three,
    { modelBytes: 500 },
    {
      measure: (allocation) =>
        Promise.resolve({ modelBytes: (usageOf(three, allocation).modelBytes ?? 0) - 80 }),
    },
  );
  const naive = await solveLayers(three, { modelBytes: 500 });
  t.ok(met.damage < (naive?.damage ?? 0));
  t.ok((met.measured.modelBytes ?? Infinity) <= 500);
});

t.test('a budget that cannot be met is answered with those that can', async (t) => {
  const measure = (allocation: Parameters<typeof usageOf>[1]): Promise<Measurements> =>
    Promise.resolve({ modelBytes: usageOf(three, allocation).modelBytes ?? 0 });
  const least = (await leastUsage(three, 'modelBytes', {})) ?? 0;
  const error: unknown = await meetBudget(three, { modelBytes: 10 }, { measure }).catch(
    (thrown: unknown) => thrown,
  );
  t.ok(error instanceof BudgetError);
  if (!(error instanceof BudgetError)) return;
  t.equal(error.code, 'BAD_USAGE');
  t.same(error.nearest, [{ dimension: 'modelBytes', given: 10, withOthers: least, alone: least }]);
  t.match(error.message, `${least} bytes at least (10 bytes were given)`);
  const both: unknown = await meetBudget(three, { modelBytes: 10, latencyMs: 1 }, { measure }).catch(
    (thrown: unknown) => thrown,
  );
  if (!(both instanceof BudgetError)) throw new Error('a budget error');
  t.equal(both.nearest.length, 2);
  t.match(both.message, /even without the others/);
  await t.rejects(
    meetBudget(three, { modelBytes: 500 }, { measure: () => Promise.resolve({ modelBytes: 1e6 }) }),
    {
      code: 'BAD_USAGE',
    },
  );
});
