// Parts of data sets.
import type { DataSet } from '../../evaluation/index.js';

/** `count` pictures of a data set, evenly spread over it. */
export const headOf = (dataSet: DataSet, count: number): DataSet => {
  const all = dataSet.images.length;
  if (count >= all) return dataSet;
  const chosen = Array.from({ length: count }, (_, i) => Math.floor((i * all) / count));
  return {
    ...dataSet,
    images: chosen.flatMap((index) => dataSet.images[index] ?? []),
    load: (index) => dataSet.load(chosen[index] ?? -1),
  };
};
