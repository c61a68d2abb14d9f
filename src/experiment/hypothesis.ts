// The paper's hypothesis: critical accuracy of the proposed method is at least that of every other way to give bits, at equal bytes.
import { areSame, type Comparison, type Difference, differenceOf, verdictOf } from './compare.js';
import type { FigureName } from './judge.js';
import type { ExperimentResult } from './result.js';

export interface Hypothesis {
  readonly ours: string;
  readonly against: string;
  readonly difference: Difference;
  readonly verdict: Comparison;
}

/** Of the proposed method, rows with and without training. */
const OURS = ['product', 'paperLayers', 'paperFilters'] as const;
const AGAINST = ['hawq', 'haq', 'fisher', 'relativeWeightError'] as const;
const UNIFORM = { trained: 'qat4-lsq', mixed: 'ptq4-gptq' } as const;

/** Rows that the hypothesis speaks of. */
export const COMPARED_ROWS: readonly string[] = (['mixed', 'trained'] as const).flatMap((kind) => [
  UNIFORM[kind],
  ...[...AGAINST, ...OURS].map((search) => `${kind}-${search}`),
]);

/** Each row of the proposed method against every other allocation, both trained or both not. Of rows that are missing, nothing is said. */
export const hypothesesOf = ({ rows }: ExperimentResult, name: FigureName): Hypothesis[] => {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return (['trained', 'mixed'] as const).flatMap((kind) =>
    OURS.flatMap((ours) =>
      [UNIFORM[kind], ...AGAINST.map((search) => `${kind}-${search}`)].flatMap((against): Hypothesis[] => {
        const [first, second] = [byId.get(`${kind}-${ours}`), byId.get(against)];
        if (first === undefined || second === undefined) return [];
        const difference = differenceOf(first, second, name);
        if (difference === undefined || !Number.isFinite(difference.value)) return [];
        const verdict = areSame(first, second) ? 'the same' : verdictOf(difference);
        return [{ ours: `${kind}-${ours}`, against, difference, verdict }];
      }),
    ),
  );
};

/** A critical accuracy that is lower by less counts as no lower: the project's bar for what quantization may cost. */
export const MARGIN = 0.01;
const LEVEL = 0.05;

/** Whether any is below zero after Holm's correction (1979) for as many comparisons. */
const isWorseThanAny = (comparisons: readonly Hypothesis[]): boolean => {
  const sorted = [...comparisons].sort((a, b) => a.difference.p - b.difference.p);
  for (const [rank, { difference, verdict }] of sorted.entries()) {
    if (difference.p > LEVEL / (sorted.length - rank)) return false;
    if (difference.value < 0 && verdict !== 'the same') return true;
  }
  return false;
};

export interface Outcome {
  readonly ours: string;
  readonly comparisons: readonly Hypothesis[];
  /**
   * `holds`: nowhere lower by {@link MARGIN} or more, at 95 % each. `refuted`: lower than one of the others, at 95 % of all together (Holm).
   * `incomplete`: not all of the others are there.
   */
  readonly verdict: 'holds' | 'refuted' | 'open' | 'incomplete';
}

/** What each row of the proposed method says of the hypothesis. */
export const outcomesOf = (result: ExperimentResult): Outcome[] => {
  const all = hypothesesOf(result, 'criticalAccuracy');
  return [...new Set(all.map(({ ours }) => ours))].map((ours) => {
    const comparisons = all.filter((each) => each.ours === ours);
    const isLow = ({ difference, verdict }: Hypothesis): boolean =>
      verdict !== 'the same' && difference.low <= -MARGIN;
    const verdict =
      comparisons.length <= AGAINST.length
        ? 'incomplete'
        : isWorseThanAny(comparisons)
          ? 'refuted'
          : comparisons.some(isLow)
            ? 'open'
            : 'holds';
    return { ours, comparisons, verdict };
  });
};
