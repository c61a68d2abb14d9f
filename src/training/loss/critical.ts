// Classes that are confused count more: weights of the class loss by true and by scored class.
/**
 * Weights classes x classes for `detectionLoss`: on an object of a critical class, the scores of all classes of its pairs, its own
 * included, count `weight`; everything else counts 1.
 *
 * @param pairs class numbers
 */
export const criticalClassWeights = (
  classes: number,
  pairs: readonly (readonly [number, number])[],
  weight: number,
): Float32Array => {
  const weights = new Float32Array(classes * classes).fill(1);
  for (const [a, b] of pairs) {
    for (const [row, column] of [
      [a, a],
      [a, b],
      [b, a],
      [b, b],
    ] as const) {
      weights[row * classes + column] = weight;
    }
  }
  return weights;
};
