// A model of the detector's peak memory, between the two uniform models that a profile measured.
import type { Component } from '../../quantization/index.js';
import type { Profile } from '../profile.js';
import type { MemoryModel } from '../solver/problem.js';

/**
 * What a component saves in int8: its share of what the uniform int8 model saves, by its weights and multiply-accumulates in equal
 * parts. `undefined` where the profile has no memory.
 */
export const memoryModel = (
  { memoryMb }: Profile,
  components: readonly Component[],
): MemoryModel | undefined => {
  const { fp32, int8 } = memoryMb;
  if (fp32 === null || int8 === null) return undefined;
  const sum = (of: (component: Component) => number): number =>
    Math.max(
      1,
      components.reduce((total, component) => total + of(component), 0),
    );
  const [weights, macs] = [sum(({ weightBytes }) => weightBytes), sum(({ macs = 1 }) => macs)];
  return {
    constantMb: fp32,
    int8Mb: components.map(
      (component) => ((int8 - fp32) * (component.weightBytes / weights + (component.macs ?? 1) / macs)) / 2,
    ),
  };
};
