// The exact solver where a search runs out of time: what was found is kept, and its bound holds.
import t from 'tap';
import { frontOf, type Problem, solveLayers } from '../../src/allocation/index.js';
import { numbers } from '../onnx/bits.js';
import { chainProblem } from './problems.js';

/** Twelve layers that all must run in int8 to be in time, by sums alone; where changes of precision cost, it takes a search. */
const slow = () => {
  const next = numbers(3);
  const layers = Array.from({ length: 12 }, () => ({
    weights: 1 + Math.floor(next() * 500),
    costs: [10 * next(), 5 * next(), 0.1 + next()] as const,
    int8: 0.1 + next(),
    saves: 1 + next(),
  }));
  const problem = chainProblem(layers, 0.7, [4, 8]);
  const [searched] = problem.latency;
  if (searched === undefined) throw new Error('a latency');
  const all = layers.reduce((sum, { saves }) => sum + saves, 0);
  const summed = { ...searched, terms: searched.terms.slice(0, layers.length) };
  const folded = {
    ...searched,
    constantMs: searched.constantMs - 0.6 * all,
    folded: new Set(['layer0']),
  };
  return { problem, summed, folded, budget: { latencyMs: searched.constantMs - all + 1e-9 } };
};

t.test('what is found stays found where the search with folded slices runs out of time', async (t) => {
  const { problem, summed, folded, budget } = slow();
  const at = (latency: Problem['latency'], nodes?: number) =>
    solveLayers({ ...problem, latency }, budget, nodes === undefined ? {} : { nodes });
  await t.rejects(at([folded], 0), { code: 'TIMEOUT' });
  const [alone, best] = [await at([summed], 0), await at([summed, folded])];
  if (alone === undefined || best === undefined) throw new Error('solutions');
  t.ok(best.damage < alone.damage, 'the folded ones are better, given time');
  for (const latency of [
    [summed, folded],
    [folded, summed],
  ]) {
    const late = await at(latency, 0);
    t.same(late?.allocation, alone.allocation);
    t.ok((late?.bound ?? Infinity) <= best.damage, `${late?.bound} is a bound of ${best.damage}`);
    t.ok((late?.bound ?? 0) > 0);
    t.ok(Math.abs((late?.gap ?? 0) - (1 - (late?.bound ?? 0) / alone.damage)) < 1e-12);
  }
});

t.test('a front leaves out what is not found in time', async (t) => {
  const problem: Problem = { ...slow().problem, latency: [], widths: [2, 4, 8] };
  const whole = await frontOf(problem, { sizes: 8 });
  const hurried = await frontOf(problem, { sizes: 8, nodes: 0 });
  t.ok(hurried.length > 0 && hurried.length < whole.length, `${hurried.length} of ${whole.length} points`);
  for (const { modelBytes, damage } of hurried) {
    t.ok(whole.some((point) => point.modelBytes === modelBytes && Math.abs(point.damage - damage) < 1e-9));
  }
});
