// What small changes of logits do to a distribution: a root of the Fisher matrix, and the exact divergence of changed logits.

/**
 * A root V of the Fisher matrix F = diag(p) - p p' of a softmax: F = V V'. One column less than there are classes.
 *
 * @param p a distribution
 * @returns V by rows: a row a class
 */
export const fisherRoot = (p: ArrayLike<number>): number[][] => {
  const roots = Array.from(p, (share) => Math.sqrt(Math.max(0, share)));
  // Householder's reflection that takes the roots to the first axis: its other columns are a basis of what is orthogonal to them.
  const mirror = roots.map((root, i) => (i === 0 ? root + 1 : root));
  const size = mirror.reduce((sum, value) => sum + value * value, 0);
  return roots.map((root, i) =>
    roots.slice(1).map((_, j) => {
      const same = i === j + 1 ? 1 : 0;
      return root * (same - (2 * (mirror[i] ?? 0) * (mirror[j + 1] ?? 0)) / size);
    }),
  );
};

/** What a change of the logits does to one object. */
export interface Change {
  /** KL of the distribution before from the one behind. */
  readonly divergence: number;
  /** Hellinger's distance of the two. */
  readonly distance: number;
  /** Change of -log p of the right class. */
  readonly signed: number;
}

/**
 * @param p the distribution before
 * @param moves how far the logits of all classes but the first move beyond it
 * @param truth index of the right class
 */
export const changeOf = (p: ArrayLike<number>, moves: ArrayLike<number>, truth: number): Change => {
  let [sum, half, mean, most] = [p[0] ?? 0, p[0] ?? 0, 0, 0];
  for (let i = 0; i < moves.length; i++) most = Math.max(most, moves[i] ?? 0);
  sum *= Math.exp(-most);
  half *= Math.exp(-most / 2);
  for (let i = 0; i < moves.length; i++) {
    const [share, move] = [p[i + 1] ?? 0, moves[i] ?? 0];
    sum += share * Math.exp(move - most);
    half += share * Math.exp((move - most) / 2);
    mean += share * move;
  }
  const whole = most + Math.log(sum);
  return {
    divergence: Math.max(0, whole - mean),
    distance: Math.sqrt(Math.max(0, 1 - half / Math.sqrt(sum))),
    signed: whole - (truth === 0 ? 0 : (moves[truth - 1] ?? 0)),
  };
};
