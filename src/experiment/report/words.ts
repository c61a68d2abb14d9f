// Numbers and verdicts of an experiment, in words.
import type { Interval } from '../../evaluation/index.js';
import { intervalOfRow, measuredRuns, type ResultRow } from '../compare.js';
import { type Hypothesis, hypothesesOf, MARGIN, type Outcome, outcomesOf } from '../hypothesis.js';
import { FIGURES } from '../judge.js';
import type { ExperimentResult } from '../result.js';

export const number = (value: number | null | undefined, digits = 3): string =>
  value === null || value === undefined || !Number.isFinite(value)
    ? '-'
    : value.toFixed(digits).replace(/^-(0\.0*)$/, '$1');

export const interval = (value: Interval | undefined): string =>
  value === undefined || !Number.isFinite(value.value)
    ? '-'
    : `${number(value.value)} (${number(value.low)} to ${number(value.high)})`;

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Fewer places than this make intervals that are too narrow (the cluster bootstrap needs many clusters). */
const MANY_PLACES = 30;

/** What intervals are over. */
export const resampledOf = ({ data: { validation } }: ExperimentResult): string =>
  validation.places === undefined
    ? 'resampled pictures'
    : `resampled places (${validation.places}, each with all of its pictures${validation.places < MANY_PLACES ? '; so few that intervals are too narrow' : ''})`;

export const HEAD = [
  'row',
  'mAP50',
  'mAP50-95',
  'critical accuracy',
  'near confusion',
  'critical objects found',
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
  const found = mean(runs.map(({ criticalObjects }) => criticalObjects));
  const memory = runs.flatMap(({ memoryMb }) => (memoryMb === null ? [] : [memoryMb]));
  return [
    row.label,
    // What finds nothing confuses nothing.
    ...FIGURES.map((name) =>
      name === 'nearConfusion' && found === 0 ? '-' : interval(intervalOfRow(row, name)),
    ),
    String(Math.round(found)),
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

/** With and without training, a row has the same label but for the method. */
const nameOf = (result: ExperimentResult, id: string): string =>
  id.startsWith('trained') ? labelOf(result, id) : `${labelOf(result, id)}, rounded`;

export const COMPARED = [
  'row',
  'against',
  'difference of critical accuracy (95 %)',
  'p',
  'verdict',
  'difference of mAP50 (95 %)',
  'verdict',
] as const;

/** Every comparison of the hypothesis, with that of mAP50 beside it; columns are those of {@link COMPARED}. */
export const comparisonRows = (result: ExperimentResult): string[][] => {
  const found = hypothesesOf(result, 'map50');
  return hypothesesOf(result, 'criticalAccuracy').map(({ ours, against, difference, verdict }) => {
    const beside = found.find((each) => each.ours === ours && each.against === against);
    return [
      nameOf(result, ours),
      labelOf(result, against),
      interval(difference),
      verdict === 'the same' ? '-' : number(difference.p),
      verdict,
      interval(beside?.difference),
      beside?.verdict ?? '-',
    ];
  });
};

const SAYS: Readonly<Record<Outcome['verdict'], string>> = {
  holds: `the hypothesis holds for it: nowhere lower by ${MARGIN} or more`,
  refuted: 'the hypothesis is refuted for it, all comparisons together',
  open: 'the hypothesis is open for it',
  incomplete: 'not all others are there, so that nothing is said of the hypothesis',
};

const countsOf = (comparisons: readonly Hypothesis[]): string => {
  const count = (verdict: Hypothesis['verdict']): number =>
    comparisons.filter((each) => each.verdict === verdict).length;
  return `better than that of ${count('better')} of ${comparisons.length} others at equal bytes, worse than that of ${count('worse')}`;
};

/** What holds, what does not, and how sure that is. */
export const conclusions = (result: ExperimentResult): string[] => {
  const outcomes = outcomesOf(result);
  if (outcomes.length === 0) {
    return [
      'Nothing can be said of the hypothesis yet: it compares mixed-product, mixed-paperLayers or mixed-paperFilters with another mixed row or ptq4-gptq, and trained-... with trained rows or qat4-lsq.',
    ];
  }
  const found = hypothesesOf(result, 'map50');
  return outcomes.map(({ ours, comparisons, verdict }) => {
    const sameAs = comparisons
      .filter((each) => each.verdict === 'the same')
      .map(({ against }) => labelOf(result, against));
    const also = sameAs.length === 0 ? '' : ` It is the same model as ${sameAs.join(' and ')}.`;
    const beside = found.filter((each) => each.ours === ours);
    const isLess = verdict === 'holds' && beside.some((each) => each.verdict === 'worse');
    const but = isLess ? ' (but it finds less, and what is missed is not confused)' : '';
    return `${nameOf(result, ours)}: critical accuracy is ${countsOf(comparisons)} (each at 95 %); ${SAYS[verdict]}${but}. mAP50 is ${countsOf(beside)}.${also}`;
  });
};
