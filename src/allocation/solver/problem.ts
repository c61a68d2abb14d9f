// What a solver is asked: components with their damage and sizes, what a plan takes, and the limits.
import {
  type Allocation,
  averageBits,
  BIT_WIDTHS,
  type BitWidth,
  type Component,
} from '../../quantization/index.js';
import type { Damage } from '../damage/damage.js';
import { type LatencyTerms, timeOf } from './latency-terms.js';

/** Limits of an allocation; those that are left out do not count. */
export interface Budget {
  /** Bytes of the artifact's model file. */
  readonly modelBytes?: number | undefined;
  /** Milliseconds of a run, as a profile predicts them. */
  readonly latencyMs?: number | undefined;
  /** Peak of the detector's process. */
  readonly memoryMb?: number | undefined;
  /** Stored bits of a weight on average: for comparisons at equal size. */
  readonly averageBits?: number | undefined;
}

export const DIMENSIONS = [
  'modelBytes',
  'latencyMs',
  'memoryMb',
  'averageBits',
] as const satisfies (keyof Budget)[];
export type Dimension = (typeof DIMENSIONS)[number];

/** Bytes of a file: a constant, each component in each bit-width, and what an integer kernel adds. */
export interface ByteModel {
  readonly constant: number;
  /** In the order of the components. */
  readonly weights: readonly Readonly<Record<BitWidth, number>>[];
  readonly int8: readonly number[];
}

/** Peak memory: a constant, and what each component changes of it when it runs in int8. */
export interface MemoryModel {
  readonly constantMb: number;
  readonly int8Mb: readonly number[];
}

/** What two components cost together beyond the sum of what each costs alone; may be negative. */
export interface Interaction {
  readonly components: readonly [string, string];
  readonly bits: readonly [BitWidth, BitWidth];
  readonly damage: number;
}

/** Which execution precisions may be chosen. */
export type ExecutionChoice = 'free' | 'fp32' | 'int8';

export interface Problem {
  readonly components: readonly Component[];
  readonly damage: Damage;
  readonly bytes: ByteModel;
  /** Slices folded, or not; empty where there is no profile. The first one is preferred. */
  readonly latency: readonly LatencyTerms[];
  readonly memory?: MemoryModel | undefined;
  readonly execution: ExecutionChoice;
  /** Bit-widths to choose from (default all). */
  readonly widths?: readonly BitWidth[];
  readonly interactions?: readonly Interaction[];
}

/** What an allocation takes by the models of a problem; `undefined` where there is none. */
export type Usage = Readonly<Record<Dimension, number | undefined>>;

const entryOf = ({ components }: Allocation, name: string) => components[name];

/** An allocation with one bit-width a component; those by channel are not looked at. */
const bitsOf = (allocation: Allocation, name: string): BitWidth => {
  const bits = entryOf(allocation, name)?.bits;
  return typeof bits === 'number' ? bits : 32;
};

/** What an allocation takes as the problem's models say. */
export const usageOf = (problem: Problem, allocation: Allocation): Usage => {
  const { components, bytes, memory } = problem;
  const latency = problem.latency.find(({ folded }) => folded.size > 0 === (allocation.foldSlices === true));
  const runsInt8 = (name: string): boolean => entryOf(allocation, name)?.execution === 'int8';
  let [modelBytes, memoryMb] = [bytes.constant, memory?.constantMb ?? 0];
  components.forEach(({ name }, index) => {
    modelBytes += bytes.weights[index]?.[bitsOf(allocation, name)] ?? 0;
    if (!runsInt8(name)) return;
    modelBytes += bytes.int8[index] ?? 0;
    memoryMb += memory?.int8Mb[index] ?? 0;
  });
  return {
    modelBytes,
    latencyMs: latency === undefined ? undefined : timeOf(latency, runsInt8),
    memoryMb: memory === undefined ? undefined : memoryMb,
    averageBits: averageBits(components, allocation),
  };
};

/** The damage of an allocation as the problem says it. */
export const damageOf = ({ damage, interactions = [] }: Problem, allocation: Allocation): number => {
  const alone = damage.reduce(
    (sum, { name, weights, int8 }) =>
      sum + weights[bitsOf(allocation, name)] + (entryOf(allocation, name)?.execution === 'int8' ? int8 : 0),
    0,
  );
  return interactions.reduce(
    (sum, { components: [a, b], bits, damage: extra }) =>
      bitsOf(allocation, a) === bits[0] && bitsOf(allocation, b) === bits[1] ? sum + extra : sum,
    alone,
  );
};

/** No allocation has less damage than this, whatever the budget. */
export const leastDamage = ({ damage, interactions = [], widths = BIT_WIDTHS }: Problem): number => {
  const alone = damage.reduce(
    (sum, { weights, int8 }) => sum + Math.min(...widths.map((width) => weights[width])) + Math.min(0, int8),
    0,
  );
  return interactions.reduce((sum, { damage: extra }) => sum + Math.min(0, extra), alone);
};
