// Parts of data sets.
import type { DataSet } from './types.js';

/** `count` of some things, evenly spread over them; all of them where there are fewer. */
export const spread = <T>(things: readonly T[], count: number): T[] => {
  const taken = Math.min(count, things.length);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * things.length) / taken)).flatMap((index) =>
    things.slice(index, index + 1),
  );
};

/** The pictures of these indices, in their order. */
export const partOf = (dataSet: DataSet, indices: readonly number[]): DataSet => ({
  ...dataSet,
  images: indices.flatMap((index) => dataSet.images[index] ?? []),
  load: (index) => dataSet.load(indices[index] ?? -1),
});

/** `count` pictures of a data set, evenly spread over it. */
export const spreadOver = (dataSet: DataSet, count: number): DataSet => {
  const all = dataSet.images.map((_, index) => index);
  return count >= all.length ? dataSet : partOf(dataSet, spread(all, count));
};
