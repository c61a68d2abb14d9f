// What bits and integer kernels cost a model: a number for each component and bit-width that a solver can add up.
import type { BitWidth } from '../../quantization/index.js';

/** What the weights of a component cost in each bit-width: never negative, never more in more bits, nothing in 32. */
export type WeightDamage = Readonly<Record<BitWidth, number>>;

export interface ComponentDamage {
  readonly name: string;
  readonly weights: WeightDamage;
  /** What an integer kernel with its 8-bit activations costs; never negative. */
  readonly int8: number;
}

/** In the model's order. One unit for all of it. */
export type Damage = readonly ComponentDamage[];

/** The nearest values (least squares) that never rise: neighbours in the wrong order are pooled. */
export const nonIncreasing = (values: readonly number[]): number[] => {
  const pools: { sum: number; count: number }[] = [];
  for (const value of values) {
    pools.push({ sum: value, count: 1 });
    for (;;) {
      const [last, before] = [pools.at(-1), pools.at(-2)];
      if (last === undefined || before === undefined) break;
      if (before.sum / before.count >= last.sum / last.count) break;
      pools.splice(-2, 2, { sum: before.sum + last.sum, count: before.count + last.count });
    }
  }
  return pools.flatMap(({ sum, count }) => Array.from({ length: count }, () => sum / count));
};

/** Costs of 2, 4 and 8 bits as a solver needs them; those that are no number are nothing. */
export const weightDamage = (two: number, four: number, eight: number): WeightDamage => {
  const finite = [two, four, eight].map((value) => (Number.isFinite(value) ? value : 0));
  const [a = 0, b = 0, c = 0] = nonIncreasing(finite).map((value) => Math.max(0, value));
  return { 2: a, 4: b, 8: c, 32: 0 };
};

/** A sum of damages of the same components, each with its weight. */
export const addDamage = (parts: readonly (readonly [number, Damage])[]): Damage => {
  const [first] = parts;
  if (first === undefined) return [];
  return first[1].map(({ name }, index) => {
    const sum = (of: (damage: ComponentDamage) => number): number =>
      parts.reduce((total, [weight, damage]) => {
        const part = damage[index];
        return part === undefined || weight === 0 ? total : total + weight * of(part);
      }, 0);
    return {
      name,
      weights: weightDamage(
        sum(({ weights }) => weights[2]),
        sum(({ weights }) => weights[4]),
        sum(({ weights }) => weights[8]),
      ),
      int8: Math.max(
        0,
        sum(({ int8 }) => int8),
      ),
    };
  });
};

/** The bit-width whose mean damage is 1 when a damage is scaled: what is usual. */
const USUAL_BITS = 4;

/** One over what a component costs on average at 4 bits; 0 where nothing costs anything. */
export const unitFactor = (damage: Damage): number => {
  const mean = (of: (each: ComponentDamage) => number): number =>
    damage.reduce((sum, each) => sum + of(each), 0) / Math.max(1, damage.length);
  const usual = mean(({ weights }) => weights[USUAL_BITS]);
  // All of it may lie at 2 bits only.
  const unit = usual > 0 ? usual : mean(({ weights }) => weights[2]);
  // What is too small to divide by is nothing.
  return unit > 1e-200 ? 1 / unit : 0;
};

/** The same damage in units of what a component costs on average at 4 bits, so that it can be added to others. */
export const scaled = (damage: Damage): Damage => {
  const factor = unitFactor(damage);
  return damage.map(({ name, weights, int8 }) => ({
    name,
    weights: {
      2: weights[2] * factor,
      4: weights[4] * factor,
      8: weights[8] * factor,
      32: 0,
    },
    int8: int8 * factor,
  }));
};
