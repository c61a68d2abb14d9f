// What a model is worth: figures on the validation pictures, and the same over resampled pictures (or places), so that rows can be compared in pairs.
import { z } from 'zod';
import {
  type BootstrapOptions,
  type ClassMap,
  classesOf,
  criticalAccuracyFigure,
  type DataSet,
  evaluate,
  type Evaluation,
  predict,
  resample,
  type WeightedFigure,
} from '../evaluation/index.js';
import { type Artifact, withTemporaryArtifact } from '../registry/index.js';
import type { ClassPair } from './setting.js';

export const FIGURES = ['map50', 'map5095', 'criticalAccuracy', 'nearConfusion'] as const;
export type FigureName = (typeof FIGURES)[number];

const figureSchema = z.strictObject({
  value: z.number().nullable(),
  /** Over resampled pictures (or places), the same ones for all rows of an experiment. */
  rounds: z.array(z.number().nullable()),
});

export const judgedSchema = z.strictObject({
  figures: z.record(z.enum(FIGURES), figureSchema),
  /** Matched objects of critical classes that were taken for one of them. */
  criticalObjects: z.int().nonnegative(),
  confusion: z.strictObject({ classes: z.array(z.string()), counts: z.array(z.array(z.int())) }),
});
export type JudgedRow = z.output<typeof judgedSchema>;

/** Digits that count: four figures of some hundred rounds each, for some dozen rows. */
const DIGITS = 5;
const short = (value: number): number | null =>
  Number.isFinite(value) ? Number(value.toFixed(DIGITS)) : null;

/** A model on labelled pictures. Blocks the thread while it runs. */
export const judgeOn = (
  parent: Artifact,
  bytes: Uint8Array,
  dataSet: DataSet,
  map: ClassMap,
  signal?: AbortSignal,
  pairs?: readonly ClassPair[],
): Promise<Evaluation> =>
  withTemporaryArtifact(bytes, parent.manifest, async (artifact) => {
    const { results } = await predict(artifact, dataSet, map, {}, undefined, signal);
    return evaluate(results, map, {
      rounds: 0,
      ...(pairs !== undefined && { pairs: pairs.map(([a, b]) => ({ a, b })) }),
    });
  });

/**
 * Share of the objects of critical classes, found or not, that were taken for the other class of a pair. What a model does not find it
 * does not confuse: read it beside mAP.
 */
const nearConfusionFigure = ({ judged }: Evaluation, pairs: readonly ClassPair[]): WeightedFigure => {
  const isNear = (truth: number, predicted: number): boolean =>
    pairs.some(([a, b]) => (truth === a && predicted === b) || (truth === b && predicted === a));
  const critical = new Set(pairs.flat());
  const counts = judged.map((verdicts) => ({
    confused: verdicts.filter(({ truth, predicted }) => isNear(truth, predicted)).length,
    all: verdicts.filter(({ truth }) => critical.has(truth)).length,
  }));
  return (weights) => {
    let [confused, all] = [0, 0];
    counts.forEach((count, picture) => {
      const weight = weights[picture] ?? 0;
      confused += weight * count.confused;
      all += weight * count.all;
    });
    return all === 0 ? Number.NaN : confused / all;
  };
};

/** The figures of an evaluation, with their resampled rounds. */
export const judgedOf = (
  evaluation: Evaluation,
  pictures: number,
  pairs: readonly ClassPair[],
  drawn: BootstrapOptions,
): JudgedRow => {
  const classes = classesOf(pairs.map(([a, b]) => ({ a, b })));
  const { table, judged, confusion, criticalAccuracy } = evaluation;
  const byName: Readonly<Record<FigureName, WeightedFigure>> = {
    map50: (weights) => table.map50(weights),
    map5095: (weights) => table.map5095(weights),
    criticalAccuracy: criticalAccuracyFigure(judged, classes),
    nearConfusion: nearConfusionFigure(evaluation, pairs),
  };
  const figures = Object.fromEntries(
    FIGURES.map((name) => {
      const { value, rounds: values } = resample(pictures, byName[name], drawn);
      return [name, { value: short(value), rounds: values.map(short) }];
    }),
  ) as JudgedRow['figures'];
  return {
    figures,
    criticalObjects: criticalAccuracy.support,
    confusion: {
      classes: [...confusion.classes],
      counts: confusion.counts.map((row) => [...row]),
    },
  };
};
