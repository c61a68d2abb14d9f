// Weights that make up for what earlier layers lost: with the inputs as they are now, the outputs that there should be.
import { cholesky } from './cholesky.js';

/**
 * The rows w + w D (H + damping)^-1: the least squares answer to "from the inputs x' make what w made of x", kept near w in the
 * directions in which the inputs hardly move.
 *
 * @param rows [channels, size]
 * @param difference D = E[(x - x') x'^T], [size, size]; means taken off where the layer has a bias
 * @param h H = E[x' x'^T]
 * @param damping added to the diagonal of H, as a share of its mean
 */
export const adjustedRows = (
  rows: Float32Array,
  difference: Float64Array,
  h: Float64Array,
  size: number,
  damping: number,
): Float32Array => {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += h[i * size + i] ?? 0;
  if (!(trace > 0)) return rows;
  const damped = h.slice();
  for (let i = 0; i < size; i++) {
    damped[i * size + i] = (damped[i * size + i] ?? 0) + (damping * trace) / size;
  }
  const factor = cholesky(damped, size);
  if (factor === undefined) return rows;
  const result = new Float32Array(rows.length);
  const moved = new Float64Array(size);
  for (let start = 0; start < rows.length; start += size) {
    moved.fill(0);
    for (let i = 0; i < size; i++) {
      const weight = rows[start + i] ?? 0;
      for (let j = 0; j < size; j++) moved[j] = (moved[j] ?? 0) + weight * (difference[i * size + j] ?? 0);
    }
    solve(factor, moved, size);
    for (let i = 0; i < size; i++) result[start + i] = (rows[start + i] ?? 0) + (moved[i] ?? 0);
  }
  return result;
};

/** Solves L L^T x = b in place. */
const solve = (factor: Float64Array, b: Float64Array, size: number): void => {
  for (let i = 0; i < size; i++) {
    let sum = b[i] ?? 0;
    for (let j = 0; j < i; j++) sum -= (factor[i * size + j] ?? 0) * (b[j] ?? 0);
    b[i] = sum / (factor[i * size + i] ?? 1);
  }
  for (let i = size - 1; i >= 0; i--) {
    const value = (b[i] ?? 0) / (factor[i * size + i] ?? 1);
    b[i] = value;
    for (let j = 0; j < i; j++) b[j] = (b[j] ?? 0) - value * (factor[i * size + j] ?? 0);
  }
};
