// How long solvers take, and how near their results are to the best: the real network's layers, and ten thousand filters.
import {
  type Choice,
  latencyTerms,
  leastUsage,
  packChoices,
  type Problem,
  problemOf,
  type Profile,
  solveLayers,
} from '../../src/allocation/index.js';
import { componentsOf, prepareModel } from '../../src/quantization/index.js';
import { type AllocationPart, randomDamage, randomNumbers } from './allocation-lib.js';
import { census, type Figure, medianFigure } from './lib.js';

const WIDTHS = [2, 4, 8] as const;
const FILTERS = 10_000;
const SEEDS = 5;
/** A proof is to take 2 s; what takes longer than this is told by its gap. */
const SECONDS = 20;

const seconds = async <T>(work: () => T | Promise<T>): Promise<[T, number]> => {
  const start = performance.now();
  const result = await work();
  return [result, (performance.now() - start) / 1000];
};

/** Between the least and the most of a dimension, by share. */
const between = (low: number, high: number, share: number): number => low + share * (high - low);

const layers = async (base: Problem, profile: Profile | undefined): Promise<readonly Figure[]> => {
  const [times, gaps]: [number[], number[]] = [[], []];
  const least = (await leastUsage(base, 'modelBytes', {})) ?? 0;
  const most = base.bytes.weights.reduce((sum, each) => sum + each[8], base.bytes.constant);
  const fastest = profile === undefined ? undefined : await leastUsage(base, 'latencyMs', {});
  for (let seed = 1; seed <= SEEDS; seed++) {
    const problem = { ...base, damage: randomDamage(base.components, seed), widths: WIDTHS };
    const free = await solveLayers(problem, {}, { gap: 0.01 });
    for (const [bytes, time] of [
      [0.3, 0.3],
      [0.5, 0.7],
    ] as const) {
      const budget = {
        modelBytes: between(least, most, bytes),
        ...(fastest !== undefined && {
          latencyMs: between(fastest, free?.usage.latencyMs ?? fastest, time),
        }),
      };
      const [solved, taken] = await seconds(() => solveLayers(problem, budget, { seconds: SECONDS }));
      times.push(taken);
      gaps.push(solved?.gap ?? 1);
    }
  }
  return [
    medianFigure('solver.layersSeconds', 's', times),
    census('solver.layersWorstSeconds', 's', Math.max(...times), times.length),
    census('solver.layersGap', 'ratio', Math.max(...gaps), gaps.length),
  ];
};

const filters = async (): Promise<readonly Figure[]> => {
  const [times, gaps]: [number[], number[]] = [[], []];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomNumbers(seed);
    const items = Array.from({ length: FILTERS }, (): Choice[] => {
      const [weights, usual] = [9 + Math.floor(random() * 1_000), Math.exp(6 * random())];
      const sizes = WIDTHS.map((bits) => Math.ceil((weights * bits) / 8));
      const damages = [usual * (4 + 12 * random()), usual, 0.01 * usual * random()];
      return sizes.map((size, i) => ({ size, damage: damages[i] ?? 0 }));
    });
    const budget = items.reduce((sum, choices) => sum + (choices[1]?.size ?? 0), 0);
    const [packed, taken] = await seconds(() => packChoices(items, budget));
    times.push(taken);
    gaps.push(packed === undefined ? 1 : (packed.damage - packed.bound) / packed.damage);
  }
  return [
    medianFigure('solver.filtersSeconds', 's', times),
    census('solver.filtersGap', 'ratio', Math.max(...gaps), gaps.length),
  ];
};

export const solverFigures: AllocationPart = async ({ bench, profile }) => {
  const components = componentsOf(prepareModel(bench.model));
  const problem = await problemOf(bench.model, { objective: 'uniform', profile, execution: 'free' });
  return [
    census('solver.layers', 'layers', components.length, 1),
    census(
      'solver.latencyTerms',
      'terms',
      profile === undefined
        ? 0
        : Math.max(...latencyTerms(profile, bench.model).map(({ terms }) => terms.length)),
      1,
    ),
    ...(await layers(problem, profile)),
    ...(await filters()),
  ];
};
