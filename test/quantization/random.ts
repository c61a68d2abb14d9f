// Random tensors and grids for the tests of numbers.
import fc from 'fast-check';
import { numbers } from '../onnx/bits.js';

/** Normal 32-bit floats, the same for the same seed. */
export const gauss = (size: number, seed: number, spread = 1): Float32Array => {
  const next = numbers(seed * 7919 + 1);
  return Float32Array.from(
    { length: size },
    () => spread * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
};

/** Laplace-distributed 32-bit floats with mean absolute deviation 1. */
export const laplace = (size: number, seed: number): Float32Array => {
  const next = numbers(seed * 7919 + 1);
  return Float32Array.from({ length: size }, () => Math.log(1 - next()) * (next() < 0.5 ? -1 : 1));
};

export const seed = fc.integer({ min: 1, max: 1_000_000 });

export const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};

/** v^T H v, the slow way. */
export const quadratic = (h: Float64Array, v: readonly number[]): number => {
  let sum = 0;
  v.forEach((a, i) => v.forEach((b, j) => (sum += a * b * (h[i * v.length + j] ?? 0))));
  return sum;
};
