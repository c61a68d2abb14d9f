// Budgets whose measurements are disturbed: what can be met is met, what cannot is refused.
import fc from 'fast-check';
import t from 'tap';
import {
  BudgetError,
  leastUsage,
  type Measurements,
  meetBudget,
  usageOf,
} from '../../src/allocation/index.js';
import type { Allocation } from '../../src/quantization/index.js';
import { chainProblem } from './problems.js';

const three = chainProblem(
  [100, 200, 300].map((weights) => ({ weights, costs: [9, 3, 1], int8: 1, saves: 1 })),
  0.1,
  [2, 4, 8],
);
const least = (await leastUsage(three, 'latencyMs', {})) ?? NaN;

/** A device that is as the models say, but for readings that come `extra` milliseconds late, by their number. */
const device = (extra: (reading: number) => number) => {
  const asked: { allocation: string; attempt: number; late: number }[] = [];
  const measure = (allocation: Allocation, attempt: number): Promise<Measurements> => {
    const late = extra(asked.length + 1);
    asked.push({ allocation: JSON.stringify(allocation), attempt, late });
    const { modelBytes, latencyMs = 0 } = usageOf(three, allocation);
    return Promise.resolve({ modelBytes, latencyMs: latencyMs + late });
  };
  return { asked, measure };
};

t.test('one disturbed reading refuses nothing that can be met', async (t) => {
  for (const slack of [0.001, 0.05, 0.5]) {
    for (const disturbed of [1, 2]) {
      const budget = { latencyMs: least + slack };
      const { asked, measure } = device((reading) => (reading === disturbed ? 5 : 0));
      const met = await meetBudget(three, budget, { measure });
      t.ok((met.measured.latencyMs ?? Infinity) <= budget.latencyMs, `slack ${slack}, reading ${disturbed}`);
      const calm = await meetBudget(
        three,
        budget,
        device(() => 0),
      );
      t.equal(met.damage, calm.damage, 'as good as if nothing had been disturbed');
      if (disturbed > 1) continue;
      t.same(
        asked.slice(0, 2).map(({ attempt }) => attempt),
        [0, 1],
        'the disturbed one was measured anew',
      );
      t.equal(asked[0]?.allocation, asked[1]?.allocation);
    }
  }
});

t.test('limits that one reading made narrow become wide again', async (t) => {
  const budget = { latencyMs: least + 1.5 };
  // Late enough that another allocation is found, but a worse one than the budget has room for.
  const { measure } = device((reading) => (reading === 1 ? 1.2 : 0));
  const met = await meetBudget(three, budget, { measure });
  const calm = await meetBudget(
    three,
    budget,
    device(() => 0),
  );
  t.ok(met.rounds.length > 2);
  t.equal(met.damage, calm.damage);
});

t.test('what is slow whenever it is measured is refused, after no more than nine measurements', async (t) => {
  const { asked, measure } = device(() => 3);
  await t.rejects(meetBudget(three, { latencyMs: least + 0.5 }, { measure }), { code: 'BAD_USAGE' });
  t.ok(asked.length >= 2 && asked.length <= 9, `${asked.length} measurements`);
});

t.test('what a lucky reading says is not taken for granted', async (t) => {
  const plain = await meetBudget(
    three,
    { latencyMs: least + 1 },
    device(() => 0),
  );
  const budget = { latencyMs: (plain.usage.latencyMs ?? NaN) * 1.001 };
  const slower = 1.01;
  let readings = 0;
  const met = await meetBudget(three, budget, {
    measure: (allocation) => {
      const { modelBytes, latencyMs = NaN } = usageOf(three, allocation);
      readings += 1;
      return Promise.resolve({ modelBytes, latencyMs: readings === 1 ? latencyMs : slower * latencyMs });
    },
  });
  t.ok((met.usage.latencyMs ?? Infinity) * slower <= budget.latencyMs);
});

t.test('doubts come on top of the usual rounds', async (t) => {
  const calm = await meetBudget(
    three,
    { latencyMs: least + 0.5 },
    device(() => 0),
  );
  const budget = { latencyMs: least + 0.5, modelBytes: calm.usage.modelBytes ?? NaN };
  const seen: string[] = [];
  let readings = 0;
  const met = await meetBudget(three, budget, {
    measure: (allocation) => {
      const { modelBytes = NaN, latencyMs = NaN } = usageOf(three, allocation);
      const text = JSON.stringify(allocation);
      if (!seen.includes(text)) seen.push(text);
      // The first reading of a time is late, and files of the first four allocations are more over the models than those before.
      const more = seen.indexOf(text) < 4 ? 1 + seen.indexOf(text) : 0;
      readings += 1;
      return Promise.resolve({
        modelBytes: modelBytes + (more > 0 ? budget.modelBytes - modelBytes + more : 0),
        latencyMs: latencyMs + (readings === 1 ? 50 : 0),
      });
    },
  });
  t.equal(seen.length, 5);
  t.same(met.rounds.at(-1)?.missed, []);
});

t.test('sizes are not doubted', async (t) => {
  let count = 0;
  const measure = (allocation: Allocation): Promise<Measurements> => {
    count += 1;
    return Promise.resolve({ modelBytes: (usageOf(three, allocation).modelBytes ?? 0) + 1e6 });
  };
  await t.rejects(meetBudget(three, { modelBytes: 500 }, { measure }), BudgetError);
  t.equal(count, 1);
});

t.test('whatever single reading is late: the budget is met', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 0.001, max: 4, noNaN: true }),
      fc.integer({ min: 1, max: 4 }),
      fc.double({ min: 0.001, max: 20, noNaN: true }),
      async (slack, disturbed, late) => {
        const budget = { latencyMs: least + slack };
        const { asked, measure } = device((reading) => (reading === disturbed ? late : 0));
        const { measured } = await meetBudget(three, budget, { measure });
        return (measured.latencyMs ?? Infinity) <= budget.latencyMs && asked.length <= 9;
      },
    ),
    { numRuns: 40 },
  );
  t.pass();
});
