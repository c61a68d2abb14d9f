// A bit-width for every filter, with the least damage within a budget that the real file is measured by.
import { BitlaneError } from '../../errors.js';
import type { Model } from '../../onnx/index.js';
import {
  allocate,
  type Allocation,
  averageBits,
  type Component,
  componentsOf,
  type Execution,
  prepareModel,
} from '../../quantization/index.js';
import type { InputSpec } from '../../registry/index.js';
import type { FilterMap } from '../../significance/index.js';
import { artifactBytes } from '../budget/artifact-builder.js';
import type { ObjectiveName } from '../damage/objectives.js';
import { type Choice, packChoices, type Packed } from '../solver/knapsack.js';
import { filterDamage } from './filters.js';

/** Bit-widths that a filter is given. */
const WIDTHS = [2, 4, 8] as const;

export interface FilterBudget {
  /** Bytes of the artifact's model file. */
  readonly modelBytes?: number | undefined;
  /** Stored bits of a weight on average. */
  readonly averageBits?: number | undefined;
}

export interface FilterOptions {
  readonly map: FilterMap;
  readonly objective: ObjectiveName;
  /** What all kernels compute in. */
  readonly execution: Execution;
  readonly budget: FilterBudget;
  /** Of the FP32 model, where the file is to take bytes if it can, as artifacts do. */
  readonly input?: InputSpec;
  readonly signal?: AbortSignal;
}

export interface FilterAllocation {
  readonly allocation: Allocation;
  readonly components: readonly Component[];
  readonly damage: number;
  /** No allocation whose weights take as many bytes has less damage than this. */
  readonly bound: number;
  readonly modelBytes: number;
  readonly averageBits: number;
  /** Times that a file was built and its bytes were counted. */
  readonly rounds: number;
}

const ROUNDS = 6;
/** Room that is left over is used where it is more than this share of the budget. */
const WORTH = 0.001;

const allocationFrom = (
  components: readonly Component[],
  { choices }: Packed,
  execution: Execution,
): Allocation => {
  let first = 0;
  return allocate(components, ({ outputChannels }) => {
    const bits = Array.from({ length: outputChannels }, (_, i) => WIDTHS[choices[first + i] ?? 0] ?? 8);
    first += outputChannels;
    const [own = 8] = bits;
    return { bits: bits.every((width) => width === own) ? own : bits, execution };
  });
};

/**
 * Gives every filter 2, 4 or 8 bits. The damage is that of weights alone: execution precision is the same for all.
 *
 * @param source the FP32 model
 * @throws BitlaneError `BAD_CONFIG` where the map is not of this model, `BAD_USAGE` for a budget that cannot be met, or that says
 *   nothing; the reason of `signal`
 */
export const allocateFilters = async (
  source: Model,
  { map, objective, execution, budget, input, signal }: FilterOptions,
): Promise<FilterAllocation> => {
  const components = componentsOf(prepareModel(source));
  const damage = filterDamage(objective, map, components);
  const weights = components.flatMap(({ weightBytes, outputChannels }) =>
    Array.from({ length: outputChannels }, () => weightBytes / 4 / outputChannels),
  );
  const items = damage.map(({ weights: costs }, i) =>
    WIDTHS.map((bits): Choice => ({ size: (bits * (weights[i] ?? 0)) / 8, damage: costs[bits] })),
  );
  const all = weights.reduce((sum, count) => sum + count, 0);
  const byBits = budget.averageBits === undefined ? Infinity : (budget.averageBits * all) / 8;
  const { modelBytes: most } = budget;
  if (most === undefined && budget.averageBits === undefined) {
    throw new BitlaneError('BAD_USAGE', 'filters are given bits within a budget of bytes: name one');
  }
  let beside = 0;
  let best: FilterAllocation | undefined;
  for (let round = 1; round <= ROUNDS; round++) {
    signal?.throwIfAborted();
    const packed = packChoices(items, Math.min(byBits, most === undefined ? Infinity : most - beside));
    if (packed === undefined) break;
    const allocation = allocationFrom(components, packed, execution);
    const modelBytes = await artifactBytes(source, allocation, undefined, input);
    const found = {
      allocation,
      components,
      damage: packed.damage,
      bound: packed.bound,
      modelBytes,
      averageBits: averageBits(components, allocation),
      rounds: round,
    };
    if (most === undefined) return found;
    const room = most - modelBytes;
    if (room >= 0 && (best === undefined || found.damage < best.damage)) best = found;
    if (room >= 0 && (room <= WORTH * most || packed.size >= byBits * (1 - WORTH))) break;
    // What a file holds beside weights depends a little on which filters share their bits.
    const now = modelBytes - packed.size;
    if (round > 1 && room >= 0 && now >= beside) break;
    beside = room < 0 ? Math.max(now, beside + 1) : now;
  }
  if (best !== undefined) return best;
  throw new BitlaneError(
    'BAD_USAGE',
    `no allocation of filters is within ${budgetText(budget)}: with every filter at 2 bits the weights alone take ${Math.ceil(all / 4)} bytes`,
  );
};

const budgetText = ({ modelBytes, averageBits: bits }: FilterBudget): string =>
  [
    modelBytes === undefined ? [] : [`${modelBytes} bytes`],
    bits === undefined ? [] : [`${bits} bits a weight`],
  ]
    .flat()
    .join(' and ');
