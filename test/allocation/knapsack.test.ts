// Thousands of filters: against everything there is, against HiGHS, and against its own bound.
import fc from 'fast-check';
import t from 'tap';
import { type Choice, packChoices } from '../../src/allocation/index.js';
import { Program } from '../../src/allocation/solver/program.js';

const choice = fc.record({
  size: fc.integer({ min: 1, max: 60 }),
  damage: fc.double({ min: 0, max: 10, noNaN: true }),
});
const item = fc.array(choice, { minLength: 1, maxLength: 4 });

const bruteForce = (items: readonly (readonly Choice[])[], budget: number): number => {
  const go = (at: number, left: number): number =>
    at === items.length
      ? 0
      : Math.min(
          Infinity,
          ...(items[at] ?? [])
            .filter(({ size }) => size <= left)
            .map(({ size, damage }) => damage + go(at + 1, left - size)),
        );
  return go(0, budget);
};

t.test('within the budget, and between its bound and the best there is', (t) => {
  let impossible = 0;
  fc.assert(
    fc.property(
      fc.array(item, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 200 }),
      (items, budget) => {
        const packed = packChoices(items, budget);
        const best = bruteForce(items, budget);
        if (packed === undefined) {
          impossible++;
          return best === Infinity;
        }
        const chosen = packed.choices.map((index, i) => items[i]?.[index]);
        const sum = (of: (each: Choice) => number): number =>
          chosen.reduce((total, each) => total + (each === undefined ? NaN : of(each)), 0);
        // One step at most is missing from the relaxation.
        const step = Math.max(...items.map((each) => Math.max(...each.map(({ damage }) => damage))));
        return (
          packed.size <= budget &&
          packed.size === sum(({ size }) => size) &&
          Math.abs(packed.damage - sum(({ damage }) => damage)) < 1e-9 &&
          packed.bound <= best + 1e-9 &&
          packed.damage >= best - 1e-9 &&
          packed.damage <= packed.bound + step + 1e-9
        );
      },
    ),
    { numRuns: 500 },
  );
  t.ok(impossible > 0);
  t.equal(packChoices([[]].slice(1), 5)?.damage, 0, 'nothing to pack');
  t.throws(() => packChoices([[]], 5), { code: 'INTERNAL' });
  t.end();
});

t.test('HiGHS finds hardly less, and nothing below the bound', async (t) => {
  let seed = 3;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const items = Array.from({ length: 300 }, (): Choice[] => {
    const [weights, hurt] = [9 + Math.floor(random() * 500), Math.exp(4 * random())];
    return [2, 4, 8].map((bits) => ({
      size: (weights * bits) / 8,
      damage: hurt * (0.5 + random()) * 4 ** (2 - bits / 2),
    }));
  });
  const budget = items.reduce((sum, choices) => sum + (choices[1]?.size ?? 0), 0);
  const packed = packChoices(items, budget);
  if (packed === undefined) throw new Error('it fits');
  const program = new Program();
  const sizes: [number, number][] = [];
  const damages: [number, number][] = [];
  for (const choices of items) {
    const variables = choices.map(({ size, damage }) => {
      const variable = program.binary();
      sizes.push([variable, size]);
      damages.push([variable, damage]);
      return variable;
    });
    program.row(
      1,
      1,
      variables.map((variable) => [variable, 1] as const),
    );
  }
  program.row(-Infinity, budget, sizes);
  program.minimize(damages);
  const solution = await program.solve({ gap: 1e-5, seconds: 20 });
  const best = solution?.objective ?? NaN;
  t.ok(packed.bound <= best * (1 + 1e-6), `bound ${packed.bound}, HiGHS ${best}`);
  t.ok(
    packed.damage >= best * (1 - 1e-4) && packed.damage <= best * 1.005,
    `${packed.damage}, HiGHS ${best}`,
  );
});
