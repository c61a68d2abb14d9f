// Random plans: scattered ones, and ones of long stretches as they are worth having.
import type { Execution } from '../quantization/index.js';
import type { Plan } from './network.js';

/** Numbers from 0 to below 1, the same for the same seed (Weyl sequence, mixed twice). */
export const randomSource = (seed: number): (() => number) => {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
};

const pick = (isInt8: boolean): Execution => (isInt8 ? 'int8' : 'fp32');

/**
 * The plan of that number over `count` regions: by turns scattered, in stretches, with one stretch unlike the rest, and in short
 * stretches.
 */
export const randomPlan = (count: number, number: number, seed = 1): Plan => {
  const random = randomSource(seed * 1_000_003 + number);
  const scattered = (): Plan => {
    const share = random();
    return Array.from({ length: count }, () => pick(random() < share));
  };
  const stretches = (length: number): Plan => {
    let isInt8 = random() < 0.5;
    return Array.from({ length: count }, () => {
      if (random() < 1 / length) isInt8 = !isInt8;
      return pick(isInt8);
    });
  };
  const oneStretch = (): Plan => {
    const [a, b] = [random() * count, random() * count];
    const inside = random() < 0.5;
    return Array.from({ length: count }, (_, i) =>
      pick(i >= Math.min(a, b) && i <= Math.max(a, b) ? inside : !inside),
    );
  };
  switch (number % 4) {
    case 0:
      return scattered();
    case 1:
      return stretches(8);
    case 2:
      return oneStretch();
    default:
      return stretches(3);
  }
};
