// The figures of the QAT benchmark: runs of several seeds as one, differences on the same resampled pictures.
import { bootstrap, type Evaluation, type WeightedFigure } from '../../src/evaluation/index.js';
import { type Model, writeModel } from '../../src/onnx/index.js';
import { FIRST_CLASS } from '../../src/training/index.js';
import { census, type Figure } from './lib.js';
import { teacherDivergence, wordsOf } from './qat-agreement.js';
import type { Runs } from './qat-runs.js';

/** How far models are from the one that they come from, on the pictures held out. */
export const divergenceFigures = async (
  { runs, site }: { readonly runs: Runs; readonly site: Model },
  models: Readonly<Record<string, readonly Uint8Array[]>>,
): Promise<Figure[]> => {
  const width = FIRST_CLASS + runs.detector.classes.length;
  const teacher = await wordsOf(runs, writeModel(site));
  const figures: Figure[] = [];
  for (const [name, files] of Object.entries(models)) {
    let sum = 0;
    for (const bytes of files) sum += teacherDivergence(teacher, await wordsOf(runs, bytes), width);
    figures.push(census(`${name}.teacherDivergence`, 'nats', sum / files.length, files.length));
  }
  return figures;
};

/** What each seed came to, where there are several. */
export const seedFigures = (
  name: string,
  seeds: readonly number[],
  evaluations: readonly Evaluation[],
): Figure[] =>
  seeds.length < 2
    ? []
    : evaluations.map((each, i) =>
        census(`${name}.seed${seeds[i] ?? 0}.map50`, 'mAP50', each.table.map50(), 1),
      );

/** What of the way from `from` to `to` was made. */
export const recovered = (
  name: string,
  pictures: number,
  from: WeightedFigure,
  to: WeightedFigure,
  reached: WeightedFigure,
): Figure => ({
  name,
  unit: 'share',
  ...bootstrap(pictures, (weights) => {
    const start = from(weights);
    return (reached(weights) - start) / (to(weights) - start);
  }),
  runs: pictures,
});
