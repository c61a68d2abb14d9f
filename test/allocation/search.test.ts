// The search against every plan there is, on networks small enough to try them all.
import fc from 'fast-check';
import t from 'tap';
import type { Plan } from '../../src/allocation/index.js';
import { randomPlan } from '../../src/allocation/random.js';
import { searchPlans } from '../../src/allocation/search.js';

const plansOf = (count: number): Plan[] =>
  Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (_, i) => ((bits >> i) & 1 ? 'int8' : 'fp32')),
  );

t.test('the cheapest plan of a network is found', async () => {
  const value = fc.double({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 8 }),
      fc.array(
        fc.record({ from: fc.nat(7), to: fc.nat(7), cost: fc.double({ min: 0, max: 1, noNaN: true }) }),
        {
          maxLength: 10,
        },
      ),
      (gains, edges) => {
        const cost = (plan: Plan): number =>
          gains.reduce((sum, gain, i) => sum + (plan[i] === 'int8' ? gain : 0), 0) +
          edges.reduce(
            (sum, { from, to, cost: price }) =>
              sum + (plan[from % gains.length] === plan[to % gains.length] ? 0 : price),
            0,
          );
        const least = Math.min(...plansOf(gains.length).map(cost));
        const starts = (['fp32', 'int8'] as const).map((execution) => gains.map(() => execution));
        const [found] = searchPlans(cost, { starts, kicks: 60 });
        if (found === undefined || Math.abs(found.cost - least) > 1e-12) {
          throw new Error(`${found?.cost} is not the least, ${least}`);
        }
        if (cost(found.plan) !== found.cost) throw new Error('not the cost of its plan');
      },
    ),
    { seed: 5, numRuns: 150 },
  );
});

t.test('it returns distinct plans, cheapest first, and ends when it is told to', async (t) => {
  const cost = (plan: Plan): number => plan.filter((execution) => execution === 'int8').length;
  const start: Plan = ['int8', 'int8', 'int8', 'int8'];
  const found = searchPlans(cost, { starts: [start], keep: 5 });
  t.same(
    found.map((each) => each.cost),
    [0, 1, 1, 1, 1],
  );
  t.equal(new Set(found.map(({ plan }) => plan.join())).size, 5);
  let looked = 0;
  const ended = searchPlans(
    (plan) => {
      looked++;
      return cost(plan);
    },
    { starts: [start], isOver: () => looked >= 3 },
  );
  t.equal(looked, 3);
  t.equal(ended.length, 3);
});

t.test('random plans are the same again, and of several kinds', async (t) => {
  t.same(randomPlan(40, 7), randomPlan(40, 7));
  t.not(randomPlan(40, 7).join(), randomPlan(40, 11).join());
  for (let number = 0; number < 40; number++) t.equal(randomPlan(12, number).length, 12);
  const changes = (plan: Plan): number => plan.filter((each, i) => i > 0 && each !== plan[i - 1]).length;
  const sum = (kind: number): number =>
    Array.from({ length: 30 }, (_, i) => changes(randomPlan(60, 4 * i + kind))).reduce((a, b) => a + b);
  t.ok(sum(2) < sum(1) && sum(1) < sum(3), 'one stretch, long ones, short ones');
});
