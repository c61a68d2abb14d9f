// Least squares for cost models: some coefficients cannot be negative, and each is drawn to what was known of it before.
import { BitlaneError } from '../errors.js';

export interface Coefficient {
  /** What it is where the data say nothing. */
  readonly prior: number;
  /** How strongly it is drawn there; 0 where only the data count. */
  readonly weight: number;
  readonly nonNegative: boolean;
}

const SWEEPS = 20_000;
const ENOUGH = 1e-12;

/**
 * Minimizes |X w - y|^2 + sum of weight * (w - prior)^2 by coordinate descent, which ends at the one least point there is.
 *
 * @param rows of X, one an observation
 * @param values y
 */
export const fitCoefficients = (
  rows: readonly (readonly number[])[],
  values: readonly number[],
  coefficients: readonly Coefficient[],
): number[] => {
  const count = coefficients.length;
  if (rows.length !== values.length || rows.some((row) => row.length !== count)) {
    throw new BitlaneError('INTERNAL', 'observations and coefficients do not fit each other');
  }
  const matrix = Array.from({ length: count }, () => new Float64Array(count));
  const right = new Float64Array(count);
  rows.forEach((row, k) => {
    row.forEach((a, i) => {
      if (a === 0) return;
      const line = matrix[i];
      right[i] = (right[i] ?? 0) + a * (values[k] ?? 0);
      row.forEach((b, j) => {
        if (line !== undefined) line[j] = (line[j] ?? 0) + a * b;
      });
    });
  });
  coefficients.forEach(({ prior, weight }, i) => {
    const line = matrix[i];
    if (line !== undefined) line[i] = (line[i] ?? 0) + weight;
    right[i] = (right[i] ?? 0) + weight * prior;
  });
  const solution = coefficients.map(({ prior }) => prior);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = 0;
    coefficients.forEach(({ nonNegative }, i) => {
      const line = matrix[i];
      const own = line?.[i] ?? 0;
      if (line === undefined || own <= 0) return;
      const old = solution[i] ?? 0;
      let rest = right[i] ?? 0;
      for (let j = 0; j < count; j++) if (j !== i) rest -= (line[j] ?? 0) * (solution[j] ?? 0);
      const next = nonNegative ? Math.max(0, rest / own) : rest / own;
      solution[i] = next;
      moved = Math.max(moved, (next - old) ** 2 * own);
    });
    if (moved < ENOUGH) break;
  }
  return solution;
};
