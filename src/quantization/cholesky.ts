// Cholesky factors of symmetric positive definite matrices, in 64-bit floats.

/**
 * The lower triangular L with L L^T = `matrix`; undefined where it is not positive definite.
 *
 * @param matrix size x size, row-major; only its lower triangle is read
 */
export const cholesky = (matrix: Float64Array, size: number): Float64Array | undefined => {
  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const rowI = i * size;
    for (let j = 0; j <= i; j++) {
      const rowJ = j * size;
      // Four sums that do not wait for each other.
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      const fours = j & ~3;
      for (let k = 0; k < fours; k += 4) {
        a += (factor[rowI + k] ?? 0) * (factor[rowJ + k] ?? 0);
        b += (factor[rowI + k + 1] ?? 0) * (factor[rowJ + k + 1] ?? 0);
        c += (factor[rowI + k + 2] ?? 0) * (factor[rowJ + k + 2] ?? 0);
        d += (factor[rowI + k + 3] ?? 0) * (factor[rowJ + k + 3] ?? 0);
      }
      for (let k = fours; k < j; k++) a += (factor[rowI + k] ?? 0) * (factor[rowJ + k] ?? 0);
      const rest = (matrix[rowI + j] ?? 0) - (a + b + (c + d));
      if (i === j) {
        if (!(rest > 0) || !Number.isFinite(rest)) return undefined;
        factor[rowI + i] = Math.sqrt(rest);
      } else {
        factor[rowI + j] = rest / (factor[rowJ + j] ?? 1);
      }
    }
  }
  return factor;
};
