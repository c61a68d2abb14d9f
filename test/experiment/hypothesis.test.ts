// The hypothesis: which rows are compared, and what all comparisons together say.
import t from 'tap';
import {
  conclusions,
  experimentMarkdown,
  hypothesesOf,
  type MeasuredRow,
  type Outcome,
  outcomesOf,
  type ResultRow,
} from '../../src/experiment/index.js';
import { resultOf, row, run } from './rows-of.js';

const ROUNDS = 400;
/** A row whose figure is `value` on average, and wavers by as much as `by` over resampled pictures. */
const wavering = (id: string, value: number, by: number): ResultRow =>
  row(id, [
    run(
      value,
      Array.from({ length: ROUNDS }, (_, i) => value + by * ((2 * i) / (ROUNDS - 1) - 1)),
    ),
  ]);
/** The others have no waver of their own, so that a difference wavers as ours does. */
const others = (values: readonly number[]): ResultRow[] =>
  ['ptq4-gptq', 'mixed-hawq', 'mixed-haq', 'mixed-fisher', 'mixed-relativeWeightError'].map((id, i) =>
    wavering(id, values[i] ?? 0, 0),
  );
const outcome = (ours: ResultRow, against: readonly ResultRow[]): Outcome['verdict'] | undefined =>
  outcomesOf(resultOf([ours, ...against]))[0]?.verdict;

t.test('it is looked at where both rows are there', async (t) => {
  const rounds = [0.5, 0.6, 0.7];
  t.same(hypothesesOf(resultOf([row('mixed-product', [run(0.6, rounds)])]), 'map50'), []);
  const found = hypothesesOf(
    resultOf([row('mixed-product', [run(0.6, rounds)]), row('mixed-hawq', [run(0.5, rounds)])]),
    'map50',
  );
  t.same(
    found.map(({ ours, against }) => [ours, against]),
    [['mixed-product', 'mixed-hawq']],
  );
  const verdicts = (other: MeasuredRow): string[] =>
    hypothesesOf(
      resultOf([row('mixed-product', [run(0.6, rounds)]), row('mixed-fisher', [other])]),
      'map50',
    ).map(({ verdict }) => verdict);
  t.same(verdicts(run(0.6, rounds)), ['the same']);
  t.same(verdicts({ ...run(0.6, rounds), modelBytes: 999 }), ['undecided'], 'as good, but another model');
});

t.test('all comparisons together', async (t) => {
  const ours = (by: number): ResultRow => wavering('mixed-product', 0.8, by);
  t.equal(outcome(ours(0.005), others([0.7, 0.7, 0.7, 0.7, 0.7])), 'holds', 'better than each');
  t.equal(
    outcome(ours(0.005), others([0.8, 0.8, 0.8, 0.8, 0.8])),
    'holds',
    'lower by no more than the margin',
  );
  t.equal(outcome(ours(0.05), others([0.7, 0.7, 0.7, 0.7, 0.8])), 'open', 'one may be better by more');
  t.equal(outcome(ours(0.05), others([0.7, 0.7, 0.7, 0.7, 0.9])), 'refuted', 'one is better');
  // 1.6 % of resamples lie on the other side: enough for one comparison, not for one of five that alone says anything.
  const barely = others([0.8, 0.8, 0.8, 0.8, 0.8484]);
  const each = hypothesesOf(resultOf([ours(0.05), ...barely]), 'criticalAccuracy');
  t.equal(each.find(({ verdict }) => verdict === 'worse')?.against, 'mixed-relativeWeightError');
  t.equal(outcome(ours(0.05), barely), 'open', 'by itself it is worse, among five it may be chance');
  t.equal(outcome(ours(0.005), others([0.7, 0.7, 0.7, 0.7]).slice(0, 4)), 'incomplete');
  const same = others([0.7, 0.7, 0.7, 0.7, 0.7]).map((each) =>
    each.id === 'mixed-fisher' ? { ...ours(0.05), id: each.id } : each,
  );
  t.equal(outcome(ours(0.05), same), 'holds', 'what is the same model is not lower');
});

t.test('and in words', async (t) => {
  const result = resultOf([
    wavering('mixed-product', 0.8, 0.05),
    ...others([0.7, 0.7, 0.7, 0.8, 0.9]),
    wavering('mixed-paperLayers', 0.8, 0.05),
  ]);
  const [text = '', more] = conclusions(result);
  t.match(text, /^mixed-product, rounded: critical accuracy is better than that of 3 of 5 others/);
  t.match(text, /worse than that of 1 \(each at 95 %\); the hypothesis is refuted for it/);
  t.match(text, /mAP50 is better than that of 3 of 5 others at equal bytes, worse than that of 1\.$/);
  t.match(more, /^mixed-paperLayers, rounded/);
  t.match(conclusions(resultOf([])), [/Nothing can be said/]);
  const markdown = experimentMarkdown('A title', result);
  t.match(markdown, /## A title/);
  t.match(
    markdown,
    /\| mixed-product, rounded \| mixed-haq \| 0\.100 \(0\.0\d\d to 0\.1\d\d\) \| 0\.005 \| better \|/,
  );
  t.match(markdown, /\| 10 \| 1000 \| 4\.00 \|/, 'critical objects found, bytes, bits');
  t.match(conclusions(resultOf([wavering('mixed-product', 0.8, 0.05), ...others([0.7]).slice(0, 1)])), [
    /not all others are there/,
  ]);

  const less: ResultRow = {
    ...wavering('mixed-product', 0.8, 0.005),
    runs: wavering('mixed-product', 0.8, 0.005).runs.map(({ seed, result }) => ({
      seed,
      result:
        result.status === 'measured'
          ? {
              ...result,
              figures: {
                ...result.figures,
                map50: { value: 0.3, rounds: Array.from({ length: ROUNDS }, () => 0.3) },
              },
            }
          : result,
    })),
  };
  t.match(conclusions(resultOf([less, ...others([0.7, 0.7, 0.7, 0.7, 0.7])])), [
    /the hypothesis holds for it: nowhere lower by 0\.01 or more \(but it finds less,/,
  ]);
});
