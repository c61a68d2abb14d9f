// Numbers and verdicts of an experiment, in words.
import type { Interval } from '../../evaluation/index.js';
import { type Hypothesis, hypothesesOf, intervalOfRow, measuredRuns, type ResultRow } from '../compare.js';
import { FIGURES } from '../judge.js';
import type { ExperimentResult } from '../result.js';

export const number = (value: number | null | undefined, digits = 3): string =>
  value === null || value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);

export const interval = (value: Interval | undefined): string =>
  value === undefined || !Number.isFinite(value.value)
    ? '-'
    : `${number(value.value)} (${number(value.low)} to ${number(value.high)})`;

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;

/** What intervals are over. */
export const resampledOf = ({ data: { validation } }: ExperimentResult): string =>
  validation.places === undefined
    ? 'resampled pictures'
    : `resampled places (${validation.places}, each with all of its pictures)`;

export const HEAD = [
  'row',
  'mAP50',
  'mAP50-95',
  'critical accuracy',
  'near confusion',
  'bytes',
  'bits a weight',
  'time to FP32',
  'peak, MB',
  'search, passes',
  'runs',
] as const;

/** The cells of a row; one that could not be made says why. */
export const cellsOf = (row: ResultRow): string[] => {
  const runs = measuredRuns(row);
  if (runs.length === 0) {
    return [row.label, 'not possible', ...HEAD.slice(2).map(() => '')];
  }
  const passes = runs.flatMap(({ searchPasses }) => (searchPasses === null ? [] : [searchPasses]));
  const memory = runs.flatMap(({ memoryMb }) => (memoryMb === null ? [] : [memoryMb]));
  return [
    row.label,
    ...FIGURES.map((name) => interval(intervalOfRow(row, name))),
    String(Math.round(mean(runs.map(({ modelBytes }) => modelBytes)))),
    number(mean(runs.map(({ averageBits }) => averageBits)), 2),
    number(mean(runs.map(({ latencyRatio }) => latencyRatio.value)), 2),
    number(mean(memory), 0),
    passes.length === 0 ? '-' : String(Math.round(mean(passes))),
    String(runs.length),
  ];
};

/** Why rows are missing. */
export const notesOf = ({ rows }: ExperimentResult): string[] =>
  rows.flatMap(({ label, runs }) => {
    const [reason] = runs.flatMap(({ result }) => (result.status === 'impossible' ? [result.reason] : []));
    return reason === undefined ? [] : [`${label}: ${reason}.`];
  });

const labelOf = ({ rows }: ExperimentResult, id: string): string =>
  rows.find((row) => row.id === id)?.label ?? id;

export const COMPARED = ['', 'against', 'critical accuracy (95 %)', 'p', '', 'mAP50 (95 %)', ''] as const;

/** Every comparison of the hypothesis, with that of mAP50 beside it; columns are those of {@link COMPARED}. */
export const comparisonRows = (result: ExperimentResult): string[][] => {
  const found = hypothesesOf(result, 'map50');
  return hypothesesOf(result, 'criticalAccuracy').map(({ ours, against, difference, verdict }) => {
    const beside = found.find((each) => each.ours === ours && each.against === against);
    return [
      `${labelOf(result, ours)}${ours.startsWith('trained') ? '' : ', rounded'}`,
      labelOf(result, against),
      interval(difference),
      number(difference.p),
      verdict,
      interval(beside?.difference),
      beside?.verdict ?? '-',
    ];
  });
};

/** What holds, what does not, and how sure that is. */
export const conclusions = (result: ExperimentResult): string[] => {
  const all = hypothesesOf(result, 'criticalAccuracy');
  if (all.length === 0) {
    return [
      'Nothing can be said of the hypothesis yet: it compares mixed-product, mixed-paperLayers or mixed-paperFilters with another mixed row or ptq4-gptq, and trained-... with trained rows or qat4-lsq.',
    ];
  }
  const found = hypothesesOf(result, 'map50');
  return [
    'trained-product',
    'trained-paperLayers',
    'trained-paperFilters',
    'mixed-product',
    'mixed-paperLayers',
    'mixed-paperFilters',
  ].flatMap((ours) => {
    const own = all.filter((each) => each.ours === ours);
    if (own.length === 0) return [];
    const count = (verdict: Hypothesis['verdict'], among = own): number =>
      among.filter((each) => each.ours === ours && each.verdict === verdict).length;
    const [better, worse, same] = [count('better'), count('worse'), count('the same')];
    const others = own.length - same;
    const sameAs = own
      .filter(({ verdict }) => verdict === 'the same')
      .map(({ against }) => labelOf(result, against));
    const also = same === 0 ? '' : ` It is the same model as ${sameAs.join(' and ')}.`;
    const verdict =
      worse > 0
        ? 'the hypothesis does not hold for it'
        : better === others && others > 0
          ? 'the hypothesis holds for it'
          : 'the hypothesis is not refuted, and not shown';
    const training = ours.startsWith('trained') ? 'with training' : 'rounded only';
    return [
      `${labelOf(result, ours).replace(/, LSQ$/, '')}, ${training}: critical accuracy is better than that of ${better} of ${others} others at equal bytes outside the 95 % interval, worse than that of ${worse}; ${verdict}.${also} Its mAP50 is better than that of ${count('better', found)}, worse than that of ${count('worse', found)}.`,
    ];
  });
};
