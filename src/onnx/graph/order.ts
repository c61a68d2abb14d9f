// Topological order, stable: nodes keep their order wherever it is a valid one.
import { badModel } from '../limits.js';

/** The index of the smallest element is at the root. */
class Heap {
  readonly #items: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((items[parent] ?? 0) <= item) break;
      items[at] = items[parent] ?? 0;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number {
    const items = this.#items;
    const top = items[0] ?? 0;
    const last = items.pop() ?? 0;
    if (items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && (items[child + 1] ?? 0) < (items[child] ?? 0)) child += 1;
      if ((items[child] ?? 0) >= last) break;
      items[at] = items[child] ?? 0;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

/**
 * Orders items so that each comes after those it needs; the earliest possible one first.
 *
 * @param needs for each item, the indices of the items it needs; others than 0 to items.length - 1 are ignored
 * @param label names an item in the error
 * @throws BitlaneError `BAD_MODEL` where they form a cycle
 */
export const stableOrder = <T>(
  items: readonly T[],
  needs: (item: T) => Iterable<number>,
  label: (item: T) => string,
): T[] => {
  const waiting = new Int32Array(items.length);
  const unlocks: number[][] = items.map(() => []);
  items.forEach((item, index) => {
    for (const needed of new Set(needs(item))) {
      const list = unlocks[needed];
      if (list === undefined) continue;
      list.push(index);
      waiting[index] = (waiting[index] ?? 0) + 1;
    }
  });
  const ready = new Heap();
  waiting.forEach((count, index) => {
    if (count === 0) ready.push(index);
  });
  const ordered: T[] = [];
  while (ready.size > 0) {
    const index = ready.pop();
    ordered.push(items[index] as T);
    for (const next of unlocks[index] ?? []) {
      waiting[next] = (waiting[next] ?? 0) - 1;
      if (waiting[next] === 0) ready.push(next);
    }
  }
  if (ordered.length < items.length) {
    const stuck = items[waiting.findIndex((count) => count > 0)];
    throw badModel(
      `the graph has a cycle through node ${stuck === undefined ? '?' : label(stuck)}: a graph must have none`,
    );
  }
  return ordered;
};
