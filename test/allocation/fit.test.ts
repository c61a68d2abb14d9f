// Least squares, ranks and medians, against their definitions.
import fc from 'fast-check';
import t from 'tap';
import { type Coefficient, fitCoefficients } from '../../src/allocation/fit.js';
import { medianError, rankCorrelation } from '../../src/allocation/statistics.js';
import { median } from '../../src/system/index.js';

const number = fc.double({ min: -3, max: 3, noNaN: true });

const objective = (
  rows: readonly (readonly number[])[],
  values: readonly number[],
  coefficients: readonly Coefficient[],
  solution: readonly number[],
): number =>
  rows.reduce((sum, row, k) => {
    const value = row.reduce((total, x, i) => total + x * (solution[i] ?? 0), 0);
    return sum + (value - (values[k] ?? 0)) ** 2;
  }, 0) +
  coefficients.reduce((sum, { prior, weight }, i) => sum + weight * ((solution[i] ?? 0) - prior) ** 2, 0);

t.test('nothing near the solution is better, and what cannot be negative is not', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(number, number, number, number), { minLength: 1, maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
      (data, signs) => {
        const rows = data.map(([a, b, c]) => [a, b, c]);
        const values = data.map(([, , , y]) => y);
        const coefficients = signs.map((nonNegative, i) => ({ prior: i / 2, weight: 0.5, nonNegative }));
        const solution = fitCoefficients(rows, values, coefficients);
        const least = objective(rows, values, coefficients, solution);
        solution.forEach((value, i) => {
          if (signs[i] === true && value < 0) throw new Error('negative');
          for (const step of [-0.01, 0.01]) {
            const moved = solution.map((old, j) => (j === i ? old + step : old));
            if (signs[i] === true && (moved[i] ?? 0) < 0) continue;
            if (objective(rows, values, coefficients, moved) < least - 1e-7) throw new Error('not least');
          }
        });
      },
    ),
    { seed: 11 },
  );
});

t.test('exact data give their coefficients back', async (t) => {
  const truth = [2, -1, 0.5];
  const rows = Array.from({ length: 9 }, (_, k) => [1, Math.sin(k), Math.cos(3 * k)]);
  const values = rows.map((row) => row.reduce((sum, x, i) => sum + x * (truth[i] ?? 0), 0));
  const free = truth.map(() => ({ prior: 0, weight: 0, nonNegative: false }));
  fitCoefficients(rows, values, free).forEach((value, i) => {
    t.ok(Math.abs(value - (truth[i] ?? 0)) < 1e-4);
  });
  t.throws(() => fitCoefficients(rows, values.slice(1), free), { code: 'INTERNAL' });
});

t.test('medians, their errors, and ranks', async (t) => {
  t.equal(median([5, 1, 3]), 3);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(medianError([1, 2, 3]), Infinity);
  t.equal(medianError(new Array<number>(20).fill(7)), 0);
  t.ok(medianError(Array.from({ length: 25 }, (_, i) => i)) > 3);
  t.equal(rankCorrelation([1, 2, 3, 9], [10, 20, 21, 400]), 1);
  t.equal(rankCorrelation([1, 2, 3], [3, 2, 1]), -1);
  t.ok(Math.abs(rankCorrelation([1, 1, 2], [1, 2, 3]) - Math.sqrt(3) / 2) < 1e-12);
});
