// What is kept of rows, whenever they were asked for.
import type { Checkpoints } from '../adaptation/index.js';
import { type ExperimentResult, latencyRatioSchema, type RowResult, rowResultSchema } from './result.js';
import { type Row, ROWS } from './rows/row.js';

/** Of rows that are not random. */
const ONLY_SEED = 1;

/** The seeds that a row is made with. */
export const seedsOf = ({ isRandom }: Row, seeds: readonly number[]): readonly number[] =>
  isRandom ? seeds : [ONLY_SEED];

/** What every step of a row begins with; its seed follows. */
const startOf = (id: string): string => `row-${id}-`;
export const rowStep = (id: string, seed: number): string => `${startOf(id)}${seed}`;
/** Of times that were taken after all rows were made. */
export const timesStep = (id: string, seed: number): string => `times-${id}-${seed}`;

/** What a row came to; times that were taken later stand for those taken when it was made. */
const keptRun = (kept: Checkpoints, id: string, seed: number): RowResult | undefined => {
  const result = kept.kept(rowStep(id, seed), rowResultSchema);
  if (result?.status !== 'measured') return result;
  const latencyRatio = kept.kept(timesStep(id, seed), latencyRatioSchema);
  return latencyRatio === undefined ? result : { ...result, latencyRatio };
};

/** All rows that are there, with all their seeds. */
export const keptRows = (kept: Checkpoints): ExperimentResult['rows'] => {
  const steps = kept.steps();
  return ROWS.flatMap(({ id, family, label }) => {
    const start = startOf(id);
    const seeds = steps
      .filter((step) => step.startsWith(start))
      .map((step) => step.slice(start.length))
      .filter((rest) => /^\d+$/.test(rest))
      .map(Number)
      .sort((a, b) => a - b);
    const runs = seeds.flatMap((seed) => {
      const result = keptRun(kept, id, seed);
      return result === undefined ? [] : [{ seed, result }];
    });
    return runs.length === 0 ? [] : [{ id, family, label, runs }];
  });
};
