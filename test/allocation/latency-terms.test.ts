// A profile's cost model as terms: the same times as `latencyOf` gives, for any allocation; conditions as `findRegions` has them.
import fc from 'fast-check';
import t from 'tap';
import { latencyOf, latencyTerms, solveLayers, timeOf } from '../../src/allocation/index.js';
import { named, regionsOf } from '../../src/allocation/network.js';
import { foldedOf } from '../../src/allocation/variants.js';
import type { Profile } from '../../src/allocation/index.js';
import type { Model } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  componentsOf,
  findRegions,
  holds,
  prepareModel,
  regionConditions,
} from '../../src/quantization/index.js';
import { component } from './problems.js';
import { focusNet } from './nets.js';

const { model: source } = focusNet();
const model = named(prepareModel(source));
const components = componentsOf(model);
const { length } = components;

const allocationOf = (int8: readonly boolean[]): Allocation =>
  allocate(components, (_, i) =>
    int8[i] === true ? { bits: 8, execution: 'int8' } : { bits: 32, execution: 'fp32' },
  );

const runs =
  ({ components }: Allocation) =>
  (name: string): boolean =>
    components[name]?.execution === 'int8';

const choices = fc.array(fc.boolean(), { minLength: length, maxLength: length });

t.test('conditions hold where findRegions finds it so', (t) => {
  const check = (of: Model): void => {
    const conditions = regionConditions(of);
    fc.assert(
      fc.property(choices, (int8) => {
        const allocation = allocationOf(int8);
        const { int8: nodes, absorbed } = findRegions(of, allocation);
        return [...conditions.int8].every(
          ([node, condition]) =>
            holds(condition, runs(allocation)) === (nodes.has(node) || absorbed.has(node)),
        );
      }),
      { numRuns: 200 },
    );
  };
  check(model);
  const folded = foldedOf(model)?.model;
  t.ok(folded, 'its slices can be folded');
  if (folded !== undefined) check(folded);
  t.end();
});

/** What a profile could be: any times, any costs. */
const profileOf = (seed: number): Profile => {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const folded = foldedOf(model)?.model ?? model;
  const times = (of: Model) => Object.fromEntries([...of.graph.nodes()].map(({ name }) => [name, random()]));
  return {
    uniform: { fp32Ms: 3, int8Ms: 2, int8Ratio: 2 / 3 },
    folding: { isUsed: seed % 2 === 0, ratio: 0.9 },
    nodes: { fp32: times(model), int8: times(model), folded: times(folded) },
    cost: [
      0.1,
      random(),
      ...Array.from({ length: 4 }, () => random() / 10),
      ...regionsOf(model).map(() => random() - 0.5),
    ],
  } as unknown as Profile;
};

t.test('the same times as latencyOf gives', async (t) => {
  let foldedPlans = 0;
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), choices, (seed, int8) => {
      const profile = profileOf(seed);
      const allocation = allocationOf(int8);
      const wanted = latencyOf(profile, source)(allocation);
      if (wanted.isFolded) foldedPlans++;
      const terms = latencyTerms(profile, source).find(({ folded }) => folded.size > 0 === wanted.isFolded);
      const found = terms === undefined ? NaN : timeOf(terms, runs(allocation));
      return Math.abs(found - wanted.milliseconds) < 1e-9;
    }),
    { numRuns: 60 },
  );
  t.ok(foldedPlans > 0);
});

t.test('the solver knows of them: what it finds within a time is the best there is', async (t) => {
  const hurts = components.map((_, i) => 1 + ((i * 7) % 5));
  for (const seed of [2, 3, 4, 5]) {
    const profile = profileOf(seed);
    const predict = latencyOf(profile, source);
    const all = Array.from({ length: 2 ** length }, (_, number) => {
      const int8 = components.map((_, i) => ((number >> i) & 1) === 1);
      return {
        ms: predict(allocationOf(int8)).milliseconds,
        damage: hurts.reduce((sum, hurt, i) => sum + (int8[i] === true ? hurt : 0), 0),
      };
    });
    const sorted = all.map(({ ms }) => ms).sort((a, b) => a - b);
    for (const share of [0.05, 0.3, 0.7]) {
      const latencyMs = (sorted[Math.floor(share * sorted.length)] ?? 0) + 1e-4;
      const solved = await solveLayers(
        {
          components: components.map(({ name }) => component(name, 1)),
          damage: components.map(({ name }, i) => ({
            name,
            weights: { 2: 0, 4: 0, 8: 0, 32: 0 },
            int8: hurts[i] ?? 0,
          })),
          bytes: { constant: 0, weights: components.map(() => ({ 2: 1, 4: 1, 8: 1, 32: 1 })), int8: [] },
          latency: latencyTerms(profile, source),
          execution: 'free',
        },
        { latencyMs },
      );
      const best = Math.min(...all.filter(({ ms }) => ms <= latencyMs).map(({ damage }) => damage));
      t.equal(Math.round((solved?.damage ?? NaN) * 1e6) / 1e6, best, `seed ${seed}, ${share} of the times`);
      if (solved === undefined) continue;
      const taken = predict(solved.allocation);
      t.ok(taken.milliseconds <= latencyMs + 1e-6);
      t.equal(solved.allocation.foldSlices === true, taken.isFolded);
    }
  }
});
