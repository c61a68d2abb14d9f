// Thousands of filters under one budget: the convex hull of each one's choices, taken by slope, and a bound.
import { BitlaneError } from '../../errors.js';

/** One way for an item to be. */
export interface Choice {
  readonly size: number;
  readonly damage: number;
}

export interface Packed {
  /** Index of the choice of each item. */
  readonly choices: readonly number[];
  readonly size: number;
  readonly damage: number;
  /** No selection within the budget has less damage than this. */
  readonly bound: number;
}

interface Step {
  readonly item: number;
  readonly choice: number;
  readonly size: number;
  readonly gain: number;
}

/** The choices of an item that are best for some price of size, smallest first. */
const hullOf = (choices: readonly Choice[]): number[] => {
  const at = (index: number | undefined): Choice => choices[index ?? -1] ?? { size: 0, damage: 0 };
  const order = choices
    .map((_, index) => index)
    .sort((a, b) => at(a).size - at(b).size || at(a).damage - at(b).damage);
  const hull: number[] = [];
  for (const index of order) {
    if (hull.length > 0 && at(index).damage >= at(hull.at(-1)).damage) continue;
    for (;;) {
      const [a, b] = [hull.at(-2), hull.at(-1)];
      if (a === undefined || b === undefined) break;
      const [before, after] = [
        (at(a).damage - at(b).damage) * (at(index).size - at(b).size),
        (at(b).damage - at(index).damage) * (at(b).size - at(a).size),
      ];
      if (before > after) break;
      hull.pop();
    }
    hull.push(index);
  }
  return hull;
};

/**
 * One choice for each item, with little damage in all, within a budget of size. `undefined` where even the smallest choices are
 * too large. The bound is that of the linear relaxation: the damage is above it by less than what one item can gain.
 *
 * @param items choices of each; at least one
 */
export const packChoices = (items: readonly (readonly Choice[])[], budget: number): Packed | undefined => {
  const chosen: number[] = [];
  const steps: Step[] = [];
  let [size, damage] = [0, 0];
  items.forEach((choices, item) => {
    const hull = hullOf(choices);
    const [first] = hull;
    const least = first === undefined ? undefined : choices[first];
    if (first === undefined || least === undefined) {
      throw new BitlaneError('INTERNAL', `item ${item} has no choice`);
    }
    chosen.push(first);
    size += least.size;
    damage += least.damage;
    let before = least;
    for (const choice of hull.slice(1)) {
      const next = choices[choice] ?? before;
      steps.push({ item, choice, size: next.size - before.size, gain: before.damage - next.damage });
      before = next;
    }
  });
  if (size > budget) return undefined;
  steps.sort((a, b) => b.gain / b.size - a.gain / a.size);
  let bound: number | undefined;
  const closed = new Set<number>();
  for (const step of steps) {
    if (closed.has(step.item)) continue;
    if (size + step.size <= budget) {
      chosen[step.item] = step.choice;
      size += step.size;
      damage -= step.gain;
      continue;
    }
    bound ??= damage - (step.gain * (budget - size)) / step.size;
    // What comes behind on an item's hull builds on this step.
    closed.add(step.item);
  }
  // Summed anew: ten thousand differences leave their rounding behind.
  [size, damage] = [0, 0];
  items.forEach((choices, item) => {
    const choice = choices[chosen[item] ?? 0];
    size += choice?.size ?? 0;
    damage += choice?.damage ?? 0;
  });
  return { choices: chosen, size, damage, bound: Math.min(damage, bound ?? damage) };
};
