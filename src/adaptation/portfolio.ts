// Candidates within one budget: whole models, rounded as the artifact is, held against each other on training pictures.
import { z } from 'zod';
import { type ObjectiveName, OBJECTIVES, type Prices } from '../allocation/index.js';
import { BitlaneError } from '../errors.js';
import { type DataSet, partOf, spread } from '../evaluation/index.js';
import type { Allocation } from '../quantization/index.js';
import type { Effects, SignificanceMap } from '../significance/index.js';
import { figure } from './documents.js';

/** Objectives whose allocations are tried beside the one that was asked for. */
export const PORTFOLIO = [
  'semantic',
  'semanticGuarded',
  'semanticLean',
  'taskAgnostic',
  'relativeWeightError',
  'uniform',
] as const satisfies readonly ObjectiveName[];

/** Most pictures that whole models are measured on, and the fewest worth keeping from the map. */
const MOST = 150;
const FEWEST = 40;
/** One picture in so many is kept from the map. */
const EVERY = 4;

export const effectsSchema = z.strictObject({
  /** Mean divergence of the critical classes; of no number where no such object was found. */
  divergence: figure,
  objectness: z.number(),
  box: z.number(),
  others: z.number(),
});

export const candidateSchema = z.strictObject({
  objective: z.enum(OBJECTIVES),
  /** Of the whole model, by {@link wholeDamage}; null where nothing fitted the budget, or no other candidate was to be compared. */
  damage: z.number().nullable(),
  effects: effectsSchema.nullable(),
  /** Of an earlier candidate: the same allocation. */
  sameAs: z.enum(OBJECTIVES).optional(),
  isChosen: z.boolean(),
});
export type CandidateScore = z.output<typeof candidateSchema>;

/**
 * The pictures that significance is measured on, and those that whole candidates are compared on: others where there are enough of them,
 * else the same, evenly spread.
 */
export const splitTuning = (
  dataSet: DataSet,
): { readonly map: DataSet; readonly compared: DataSet; readonly isHeldOut: boolean } => {
  const all = dataSet.images.map((_, index) => index);
  const own = all.filter((index) => index % EVERY === EVERY - 1);
  const isHeldOut = own.length >= FEWEST;
  const compared = spread(isHeldOut ? own : all, MOST);
  const kept = new Set(isHeldOut ? compared : []);
  return {
    map: isHeldOut
      ? partOf(
          dataSet,
          all.filter((index) => !kept.has(index)),
        )
      : dataSet,
    compared: partOf(dataSet, compared),
    isHeldOut,
  };
};

/**
 * The pictures that whole candidates are compared on where the map is given: those behind the ones that it was measured on, the first of
 * the split, where there are enough of them; else all.
 */
export const picturesBeside = (
  dataSet: DataSet,
  { data }: Pick<SignificanceMap, 'data'>,
): { readonly compared: DataSet; readonly isHeldOut: boolean } => {
  const all = dataSet.images.map((_, index) => index);
  if (data.name !== dataSet.path || data.split !== dataSet.split) {
    return { compared: partOf(dataSet, spread(all, MOST)), isHeldOut: true };
  }
  const unseen = all.slice(data.pictures);
  const isHeldOut = unseen.length >= FEWEST;
  return { compared: partOf(dataSet, isHeldOut ? unseen.slice(0, MOST) : spread(all, MOST)), isHeldOut };
};

/** Whose allocations are compared: those that were asked for, the main one first. */
export const objectivesOf = (
  objective: ObjectiveName,
  candidates: readonly ObjectiveName[] = objective === 'semantic' ? PORTFOLIO : [],
): ObjectiveName[] => [...new Set([objective, ...candidates])];

/** How far the divergence counts beside the guards. */
const DIVERGENCE_SHARE = 0.75;

/**
 * What a whole model does: the divergence of the critical classes to the power of 3/4 by what guards say (at the prices of the semantic
 * damage, 4 bits) to that of 1/4. A model that does more of both is always the worse one; whatever the units of the two, a third more
 * divergence weighs as much as guards that are more than doubled. Guards alone where no critical object was found.
 */
export const wholeDamage = (prices: Prices, effects: Effects): number => {
  const price = prices(4);
  const guards = (['objectness', 'box', 'others'] as const).reduce(
    (sum, effect) => sum + price[effect] * effects[effect],
    0,
  );
  const { divergence } = effects;
  return Number.isFinite(divergence)
    ? divergence ** DIVERGENCE_SHARE * guards ** (1 - DIVERGENCE_SHARE)
    : guards;
};

export interface PortfolioWork<T extends { readonly allocation: Allocation }> {
  /** The asked one first: it wins where two do the same damage. */
  readonly objectives: readonly ObjectiveName[];
  /** @throws BitlaneError `BAD_USAGE` where nothing fits */
  readonly allocate: (objective: ObjectiveName) => Promise<T>;
  /** Rounds the allocation as the artifact is, and measures the whole. */
  readonly measure: (objective: ObjectiveName, allocation: Allocation) => Promise<Effects>;
  readonly prices: () => Prices;
}

export interface Chosen<T> {
  readonly objective: ObjectiveName;
  readonly allocated: T;
  readonly scores: readonly CandidateScore[];
}

/**
 * The candidate whose whole model does the least damage. The first one must fit into the budget; others that do not are left out, and the
 * same allocation is measured once.
 */
export const chooseCandidate = async <T extends { readonly allocation: Allocation }>({
  objectives,
  allocate,
  measure,
  prices,
}: PortfolioWork<T>): Promise<Chosen<T>> => {
  const [asked, ...others] = objectives;
  if (asked === undefined) throw new RangeError('no objective to allocate by');
  const first = { objective: asked, allocated: await allocate(asked) };
  const candidates = [first];
  const scores = new Map<ObjectiveName, Omit<CandidateScore, 'isChosen' | 'objective'>>();
  for (const objective of others) {
    let allocated: T;
    try {
      allocated = await allocate(objective);
    } catch (error) {
      if (!(error instanceof BitlaneError) || error.code !== 'BAD_USAGE') throw error;
      scores.set(objective, { damage: null, effects: null });
      continue;
    }
    const text = JSON.stringify(allocated.allocation);
    const same = candidates.find((each) => JSON.stringify(each.allocated.allocation) === text);
    if (same === undefined) candidates.push({ objective, allocated });
    else scores.set(objective, { damage: null, effects: null, sameAs: same.objective });
  }
  let best = { candidate: first, damage: Infinity };
  for (const candidate of candidates) {
    if (candidates.length === 1) break;
    const effects = await measure(candidate.objective, candidate.allocated.allocation);
    const damage = wholeDamage(prices(), effects);
    scores.set(candidate.objective, { damage: Number.isFinite(damage) ? damage : null, effects });
    if (damage < best.damage) best = { candidate, damage };
  }
  const { objective: kept, allocated } = best.candidate;
  return {
    objective: kept,
    allocated,
    scores: objectives.map((objective) => ({
      objective,
      ...(scores.get(objective) ?? { damage: null, effects: null }),
      isChosen: objective === kept,
    })),
  };
};
