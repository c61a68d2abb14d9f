// Ranks, and how far samples are from a stable median.

/** Half of a 95 % interval of the median, by order statistics: no assumption on how the samples lie. Infinity below six. */
export const medianError = (values: readonly number[]): number => {
  const { length } = values;
  if (length < 6) return Infinity;
  const sorted = [...values].sort((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(length);
  const low = Math.max(0, Math.floor((length - 1) / 2 - reach));
  const high = Math.min(length - 1, Math.ceil((length - 1) / 2 + reach));
  return ((sorted[high] ?? NaN) - (sorted[low] ?? NaN)) / 2;
};

/** Ranks from 0; equal values share the middle of theirs. */
const ranksOf = (values: readonly number[]): number[] => {
  const order = values.map((_, index) => index).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const ranks = new Array<number>(values.length).fill(0);
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && values[order[to] ?? 0] === values[order[from] ?? 0]) to++;
    for (let i = from; i < to; i++) ranks[order[i] ?? 0] = (from + to - 1) / 2;
    from = to;
  }
  return ranks;
};

/** Spearman's rank correlation; NaN where one side does not vary. */
export const rankCorrelation = (a: readonly number[], b: readonly number[]): number => {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const middle = (a.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [(x[i] ?? 0) - middle, (y[i] ?? 0) - middle];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xy / Math.sqrt(xx * yy);
};
