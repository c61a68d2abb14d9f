// Rows in pairs: the same resampled pictures (or places) and seeds; how sure a difference is.
import { type Interval, intervalOf } from '../evaluation/index.js';
import { Random } from '../system/index.js';
import type { FigureName } from './judge.js';
import type { ExperimentResult, MeasuredRow } from './result.js';
import { ROWS } from './rows/row.js';

export type ResultRow = ExperimentResult['rows'][number];

const NaNOf = (value: number | null | undefined): number => value ?? Number.NaN;

/** The runs of a row that could be measured. */
export const measuredRuns = ({ runs }: ResultRow): MeasuredRow[] =>
  runs.flatMap(({ result }) => (result.status === 'measured' ? [result] : []));

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export interface Figure {
  /** Mean over seeds. */
  readonly value: number;
  /** Over resampled pictures, each the mean over resampled seeds. */
  readonly rounds: readonly number[];
}

/** Seeds drawn with replacement, as many as there are: in one round the same ones for all rows of as many. */
const drawnSeeds = (seeds: number, round: number): number[] => {
  const random = new Random(round, seeds);
  return Array.from({ length: seeds }, () => random.below(seeds));
};

/**
 * A figure of a row; undefined where nothing was measured.
 * @param only those seeds
 */
export const figureOf = (
  row: ResultRow,
  name: FigureName,
  only: readonly number[] = row.runs.map(({ seed }) => seed),
): Figure | undefined => {
  const runs = row.runs.filter(({ seed }) => only.includes(seed));
  const figures = measuredRuns({ ...row, runs }).flatMap(({ figures: { [name]: own } }) =>
    own === undefined ? [] : [own],
  );
  const [first] = figures;
  if (first === undefined) return undefined;
  return {
    value: mean(figures.map(({ value }) => NaNOf(value))),
    rounds: first.rounds.map((_, round) =>
      mean(drawnSeeds(figures.length, round).map((drawn) => NaNOf(figures[drawn]?.rounds[round]))),
    ),
  };
};

/** A figure with its 95 % interval. */
export const intervalOfRow = (row: ResultRow, name: FigureName): Interval | undefined => {
  const figure = figureOf(row, name);
  return figure && intervalOf(figure.value, figure.rounds);
};

export interface Difference extends Interval {
  /**
   * Twice the share of resamples in which the sign is the other one (where there is no difference, half), one added above and below: the
   * bootstrap's counterpart of a two-sided p-value.
   */
  readonly p: number;
}

const isRandom = ({ id, runs }: ResultRow): boolean =>
  ROWS.find((row) => row.id === id)?.isRandom ?? runs.length > 1;

/** Seeds that both rows are compared on: of two random rows those that both have, else all. */
const comparedSeeds = (first: ResultRow, second: ResultRow): number[] => {
  const [a, b] = [first, second].map(({ runs }) => runs.map(({ seed }) => seed)) as [number[], number[]];
  return isRandom(first) && isRandom(second) ? a.filter((seed) => b.includes(seed)) : [...a, ...b];
};

/** `first - second` over the same resampled pictures and seeds. */
export const differenceOf = (
  first: ResultRow,
  second: ResultRow,
  name: FigureName,
): Difference | undefined => {
  const seeds = comparedSeeds(first, second);
  const [a, b] = [figureOf(first, name, seeds), figureOf(second, name, seeds)];
  if (a === undefined || b === undefined) return undefined;
  const rounds = a.rounds.map((value, round) => value - (b.rounds[round] ?? Number.NaN));
  const known = rounds.filter((value) => !Number.isNaN(value));
  const below = known.reduce((sum, value) => sum + (value < 0 ? 1 : value === 0 ? 0.5 : 0), 0);
  const rarer = Math.min(below, known.length - below);
  return {
    ...intervalOf(a.value - b.value, rounds),
    p: Math.min(1, (2 * (rarer + 1)) / (known.length + 1)),
  };
};

export const VERDICTS = ['better', 'worse', 'undecided', 'the same'] as const;
export type Comparison = (typeof VERDICTS)[number];

/** What an interval of a difference says. */
export const verdictOf = ({ low, high }: Interval): Exclude<Comparison, 'the same'> =>
  low > 0 ? 'better' : high < 0 ? 'worse' : 'undecided';

/** Whether two rows came to the same models: bits, bytes and every figure on every resampled picture. */
export const areSame = (first: ResultRow, second: ResultRow): boolean => {
  const seeds = comparedSeeds(first, second);
  const [a, b] = [first, second].map(({ runs, ...row }) =>
    JSON.stringify(
      measuredRuns({ ...row, runs: runs.filter(({ seed }) => seeds.includes(seed)) }).map(
        ({ allocation, modelBytes, figures, confusion }) => [allocation, modelBytes, figures, confusion],
      ),
    ),
  );
  return a === b;
};
