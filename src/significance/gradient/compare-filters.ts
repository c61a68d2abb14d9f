// Estimates beside exact values of random filters, and beside the time of forward passes. For the benchmark.
import { type Model, writeModel } from '../../onnx/index.js';
import { componentsOf } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { withSession } from '../../runtime/index.js';
import { type ClassSpace, compactWidth } from '../compact.js';
import { Evaluator } from '../evaluator.js';
import { looksAt } from '../looks.js';
import { CriticalSet, effectsOf, objectsOf } from '../measures.js';
import { findObjects, type FoundObjects, type LabelledPicture } from '../objects.js';
import type { MeasuredBits, Perturbations } from '../perturb.js';
import { meanOf, randomNumbers, rankInterval } from '../statistics.js';
import { estimateFilters, type FilterEstimates } from './estimate.js';
import { type Filter, filterRows, filtersOf } from './exact.js';

export interface CompareFiltersOptions {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly pictures: readonly LabelledPicture[];
  readonly groups: readonly (readonly number[])[];
  readonly perturbations: Perturbations;
  /** Of the estimates. */
  readonly bits: readonly MeasuredBits[];
  /** Of the exact values. */
  readonly exactBits: readonly MeasuredBits[];
  /** Random filters that are measured exactly. */
  readonly count: number;
  /** What was measured before, by what it was measured on. */
  readonly kept?: (key: string) => Float32Array | undefined;
  readonly keep?: (key: string, rows: Float32Array) => void;
  readonly onProgress?: (what: string) => void;
}

export type RankedMeasure = 'divergence' | 'robust' | 'signed';

/** Values of a filter at one bit-width. */
type Ranked = Readonly<Record<RankedMeasure, number>>;

export interface ComparedFilters {
  /** All filters of the model. */
  readonly filters: number;
  readonly pictures: number;
  readonly objects: number;
  /** Backward passes. */
  readonly passes: number;
  readonly estimateMs: number;
  /** Times of one forward pass over all pictures: before the estimates, and after. */
  readonly forwards: readonly number[];
  readonly measured: readonly {
    readonly filter: Filter;
    readonly estimated: readonly Ranked[];
    readonly exact: readonly Ranked[];
  }[];
}

/** Pictures that are measured and kept at once. */
const BLOCK = 8;

/** The time of FP32 runs over all pictures, without reading them. */
const forwardMs = async ({ model, detector }: CompareFiltersOptions, found: FoundObjects): Promise<number> =>
  withSession(writeModel(model), { threads: 1 }, async (session) => {
    let [sum, warm] = [0, false];
    for (const picture of found.pictures) {
      const [look] = await looksAt(detector, [picture]);
      if (look === undefined) continue;
      if (!warm) await session.run(look.feed);
      warm = true;
      const start = performance.now();
      await session.run(look.feed);
      sum += performance.now() - start;
    }
    return sum;
  });

const exactRows = async (
  options: CompareFiltersOptions,
  found: FoundObjects,
  filters: readonly Filter[],
): Promise<Float32Array[][]> => {
  const { model, detector, space, perturbations, exactBits } = options;
  const width = compactWidth(space);
  const evaluator = await Evaluator.open(model, detector);
  const all = filters.map(() => exactBits.map(() => found.rows.slice()));
  let first = 0;
  try {
    for (let at = 0; at < found.pictures.length; at += BLOCK) {
      const pictures = found.pictures.slice(at, at + BLOCK);
      const count = pictures.reduce((sum, { rows }) => sum + rows.length, 0);
      const size = count * width;
      const key = JSON.stringify([filters, exactBits, space, pictures.map(({ hash, rows }) => [hash, rows])]);
      let rows = options.kept?.(key);
      if (rows?.length !== filters.length * exactBits.length * size) {
        const plain = found.rows.subarray(first * width, first * width + size);
        const own = await filterRows(
          evaluator,
          { model, detector, space, perturbations, bits: exactBits, filters },
          pictures,
        );
        rows = new Float32Array(filters.length * exactBits.length * size);
        for (const [i, part] of own.flat().entries()) rows.set(part ?? plain, i * size);
        options.keep?.(key, rows);
      }
      for (const [i, part] of all.flat().entries()) {
        part.set(rows.subarray(i * size, (i + 1) * size), first * width);
      }
      first += count;
      options.onProgress?.(`exact: ${at + pictures.length} of ${found.pictures.length} pictures`);
    }
  } finally {
    await evaluator.release();
  }
  return all;
};

const estimatesOf = (estimates: FilterEstimates): ((filter: Filter, width: number) => Ranked) => {
  const { divergence, distance, signed } = estimates.tallies;
  const means = [divergence, distance, signed].map((tally) => tally?.means);
  const firsts = new Map(estimates.components.map(({ component, first }) => [component.name, first]));
  return ({ component, channel }, width) => {
    const at = ((firsts.get(component) ?? 0) + channel) * estimates.widths + width;
    const [kl = 0, d = 0, change = 0] = means.map((values) => values?.[at] ?? 0);
    return { divergence: kl, robust: 4 * d * d, signed: change };
  };
};

/**
 * Estimates all filters, and measures random ones exactly on the same pictures. With one thread in this process. Blocks it.
 */
export const compareFilters = async (options: CompareFiltersOptions): Promise<ComparedFilters> => {
  const { model, detector, space, perturbations, bits, exactBits } = options;
  const found = await findObjects(model, detector, space, options.pictures);
  const critical = new CriticalSet(objectsOf(found.pictures, true), found.rows, found.pictures.length, {
    groups: options.groups,
    costs: [],
  });
  const roundings = componentsOf(model).map((component) => ({
    component,
    layers: bits.flatMap((width) => perturbations.weights.get(component.name)?.get(width) ?? []),
  }));
  const before = await forwardMs(options, found);
  const start = performance.now();
  const estimates = await estimateFilters({ model, detector, space, found, critical, roundings });
  const estimateMs = performance.now() - start;
  const forwards = [before, await forwardMs(options, found)];
  const estimateOf = estimatesOf(estimates);
  const reached = new Set(estimates.components.map(({ component }) => component.name));
  const pool = filtersOf(model).filter(({ component }) => reached.has(component));
  const random = randomNumbers(1);
  const filters = Array.from({ length: Math.min(options.count, pool.length) }, () =>
    pool.splice(Math.floor(random() * pool.length), 1),
  ).flat();
  const rows = await exactRows(options, found, filters);
  return {
    filters: estimates.filters,
    pictures: found.pictures.length,
    objects: critical.size,
    passes: estimates.passes,
    estimateMs,
    forwards,
    measured: filters.map((filter, i) => ({
      filter,
      estimated: exactBits.map((width) => estimateOf(filter, bits.indexOf(width))),
      exact: (rows[i] ?? []).map((own): Ranked => {
        const measured = critical.measure(own);
        return {
          divergence: meanOf(measured.divergence),
          robust: effectsOf(measured).divergence,
          signed: measured.signed === undefined ? 0 : meanOf(measured.signed),
        };
      }),
    })),
  };
};

/**
 * Rank correlation of estimates and exact values at one of the exact bit-widths, with its 95 % interval over resampled filters.
 *
 * @param replaced whether the tenth with the highest estimates counts with its exact values
 */
export const rankOf = (
  { measured }: ComparedFilters,
  width: number,
  measure: RankedMeasure,
  replaced: boolean,
): { readonly value: number; readonly low: number; readonly high: number } => {
  const pairs = measured.map(({ estimated, exact }) => ({
    estimate: estimated[width]?.[measure] ?? 0,
    // What matters is judged by what never is negative.
    weight: estimated[width]?.robust ?? 0,
    exact: exact[width]?.[measure] ?? 0,
  }));
  const least = [...pairs].sort((a, b) => b.weight - a.weight)[Math.ceil(pairs.length / 10) - 1]?.weight ?? 0;
  const taken = pairs.map(({ estimate, weight, exact }) => ({
    estimate: replaced && weight >= least ? exact : estimate,
    exact,
  }));
  return rankInterval(
    taken.map(({ estimate }) => estimate),
    taken.map(({ exact }) => exact),
  );
};
