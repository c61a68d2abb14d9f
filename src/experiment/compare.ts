// Rows in pairs: the same resampled pictures (or places), seeds averaged; how sure a difference is.
import { type Interval, intervalOf } from '../evaluation/index.js';
import type { FigureName } from './judge.js';
import type { ExperimentResult, MeasuredRow } from './result.js';

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
  /** Over resampled pictures, each the mean over seeds. */
  readonly rounds: readonly number[];
}

/** A figure of a row; undefined where nothing was measured. */
export const figureOf = (row: ResultRow, name: FigureName): Figure | undefined => {
  const figures = measuredRuns(row).flatMap(({ figures: { [name]: own } }) =>
    own === undefined ? [] : [own],
  );
  const [first] = figures;
  if (first === undefined) return undefined;
  return {
    value: mean(figures.map(({ value }) => NaNOf(value))),
    rounds: first.rounds.map((_, round) => mean(figures.map(({ rounds }) => NaNOf(rounds[round])))),
  };
};

/** A figure with its 95 % interval. */
export const intervalOfRow = (row: ResultRow, name: FigureName): Interval | undefined => {
  const figure = figureOf(row, name);
  return figure && intervalOf(figure.value, figure.rounds);
};

export interface Difference extends Interval {
  /**
   * One-sided: the share of resampled pictures on which the first is worse (where both are alike, half), at least one in all of them
   * (Davison & Hinkley 1997).
   */
  readonly p: number;
}

/** `first - second` over the same resampled pictures. */
export const differenceOf = (
  first: ResultRow,
  second: ResultRow,
  name: FigureName,
): Difference | undefined => {
  const [a, b] = [figureOf(first, name), figureOf(second, name)];
  if (a === undefined || b === undefined) return undefined;
  const rounds = a.rounds.map((value, round) => value - (b.rounds[round] ?? Number.NaN));
  const known = rounds.filter((value) => !Number.isNaN(value));
  const worse = known.reduce((sum, value) => sum + (value < 0 ? 1 : value === 0 ? 0.5 : 0), 0);
  return { ...intervalOf(a.value - b.value, rounds), p: (worse + 1) / (known.length + 1) };
};

export const VERDICTS = ['better', 'worse', 'undecided', 'the same'] as const;
export type Comparison = (typeof VERDICTS)[number];

/** What an interval of a difference says. */
export const verdictOf = ({ low, high }: Interval): Exclude<Comparison, 'the same'> =>
  low > 0 ? 'better' : high < 0 ? 'worse' : 'undecided';

/** Whether two rows came to the same models: bits, bytes and every figure on every resampled picture. */
export const areSame = (first: ResultRow, second: ResultRow): boolean => {
  const [a, b] = [first, second].map((row) =>
    JSON.stringify(
      measuredRuns(row).map(({ allocation, modelBytes, figures, confusion }) => [
        allocation,
        modelBytes,
        figures,
        confusion,
      ]),
    ),
  );
  return a === b;
};

export interface Hypothesis {
  readonly ours: string;
  readonly against: string;
  readonly difference: Difference;
  readonly verdict: Comparison;
}

/** Of the proposed method, rows with and without training. */
const OURS = ['product', 'paperLayers', 'paperFilters'] as const;
const AGAINST = ['hawq', 'haq', 'fisher', 'relativeWeightError'] as const;

/**
 * The paper's hypothesis: at equal bytes, critical accuracy of the proposed method is at least that of each other allocation, with and
 * without training. Comparisons of which a row is missing are left out.
 */
export const hypothesesOf = ({ rows }: ExperimentResult, name: FigureName): Hypothesis[] => {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const uniform = { mixed: 'ptq4-gptq', trained: 'qat4-lsq' } as const;
  return (['trained', 'mixed'] as const).flatMap((kind) =>
    OURS.flatMap((ours) =>
      [uniform[kind], ...AGAINST.map((search) => `${kind}-${search}`)].flatMap((against): Hypothesis[] => {
        const [first, second] = [byId.get(`${kind}-${ours}`), byId.get(against)];
        const difference =
          first === undefined || second === undefined ? undefined : differenceOf(first, second, name);
        if (difference === undefined || !Number.isFinite(difference.value)) return [];
        const isSame = first !== undefined && second !== undefined && areSame(first, second);
        const verdict = isSame ? 'the same' : verdictOf(difference);
        return [{ ours: `${kind}-${ours}`, against, difference, verdict }];
      }),
    ),
  );
};
