// Every layer alone, exactly, against one session per layer over the whole network; how far maps agree with themselves.
import { join } from 'node:path';
import { z } from 'zod';
import { BitlaneError } from '../../src/errors.js';
import { mapClasses, openDataSet } from '../../src/evaluation/index.js';
import { readModel } from '../../src/onnx/index.js';
import { prepareModel } from '../../src/quantization/index.js';
import type { Artifact } from '../../src/registry/index.js';
import {
  calibrationOf,
  compareWithNaive,
  groupsOf,
  keepPerturbations,
  keptPerturbations,
  labelledPictures,
  makePerturbations,
  parsePairs,
  readRecord,
  splitHalfOf,
  writeRecord,
} from '../../src/significance/index.js';
import { census, type Figure, medianFigure } from './lib.js';

const BITS = [4, 2] as const;
const CALIBRATION = 64;
const LEAST_OBJECTS = 400;

/** What is kept of a chunk that is measured, so that a benchmark that was ended goes on where it was. */
const keptSchema = z.strictObject({
  exactMs: z.number(),
  naiveMs: z.number(),
  worst: z.number(),
  naiveRuns: z.int(),
  naiveOf: z.int(),
  pictures: z.int(),
  objects: z.int(),
  rows: z.array(z.strictObject({ component: z.string(), variant: z.int(), floats: z.int() })),
});

export interface LayerBench {
  readonly artifact: Artifact;
  readonly data: string;
  readonly pictures: number;
  readonly chunk: number;
  readonly layers: number;
  readonly most: number;
  readonly pairs: string;
  readonly state: string | undefined;
}

/** Figures of the layers, and what they were measured on. */
export const layerFigures = async (
  options: LayerBench,
): Promise<{ readonly figures: Figure[]; readonly about: Readonly<Record<string, unknown>> }> => {
  const { artifact, chunk, layers, most, state, pairs } = options;
  const dataSet = openDataSet(options.data, { split: 'train', limit: options.pictures });
  const { detector } = artifact.manifest;
  const map = mapClasses(detector.classes, dataSet.classes);
  const space = { classes: map.classes, fromModel: map.fromModel };
  const model = prepareModel(readModel(artifact.modelPath));
  const kept = state === undefined ? undefined : keptPerturbations(state, BITS);
  const perturbations =
    kept ??
    (await makePerturbations(model, {
      rounding: 'gptq',
      bits: [...BITS],
      feeds: calibrationOf(openDataSet(dataSet.path, { split: dataSet.split }), detector.input, CALIBRATION)
        .feeds,
    }));
  if (kept === undefined && state !== undefined) {
    for (const bits of BITS) keepPerturbations(state, bits, perturbations);
  }
  const comparison = await compareWithNaive({
    model,
    detector,
    space,
    pictures: await labelledPictures(dataSet, map),
    groups: groupsOf(parsePairs(pairs, map.classes)),
    perturbations,
    variants: BITS.map((bits) => ({ kind: 'weights', bits })),
    chunk,
    layers,
    most,
    ...(state !== undefined && {
      kept: (key: string) => readRecord(join(state, `${key}.bin`), keptSchema),
      keep: (key: string, header: unknown, floats: readonly Float32Array[]) =>
        writeRecord(join(state, `${key}.bin`), header, floats),
    }),
  });
  const { chunks, objects } = comparison;
  if (chunks.length === 0) throw new BitlaneError('BAD_DATASET', 'the pictures hold no critical objects');
  const sum = (pick: (chunk: (typeof chunks)[number]) => number): number =>
    chunks.reduce((all, each) => all + pick(each), 0);
  const perPicture = (ms: number): number => ms / sum((each) => each.pictures) / 1000;
  const naive = sum((each) => (each.naiveMs * each.naiveOf) / each.naiveRuns);
  const half = (variant: number, measure: 'robust' | 'divergence' | 'signed' | 'absolute'): Figure =>
    census(
      `splitHalf.${measure}.int${BITS[variant] ?? 0}`,
      'rank',
      splitHalfOf(comparison, variant, measure) ?? NaN,
      objects,
    );
  return {
    about: {
      components: comparison.components,
      split: dataSet.split,
      pictures: sum((each) => each.pictures),
      criticalObjects: objects,
      enough: objects >= LEAST_OBJECTS,
      naive: `${layers} random layers of ${comparison.components} on every chunk of ${chunk} pictures, in turns with all of them exactly, scaled to all`,
    },
    figures: [
      medianFigure(
        'exact.timeRatio',
        'ratio',
        chunks.map((each) => (each.exactMs * each.naiveRuns) / each.naiveOf / each.naiveMs),
      ),
      census(
        'exact.maxDifference',
        'loss',
        comparison.worst,
        sum((each) => each.naiveRuns),
      ),
      census('exact.secondsPerPicture', 's', perPicture(sum((each) => each.exactMs)), chunks.length),
      census('naive.secondsPerPicture', 's', perPicture(naive), chunks.length),
      ...BITS.flatMap((_, variant) => [
        half(variant, 'robust'),
        half(variant, 'divergence'),
        half(variant, 'absolute'),
        half(variant, 'signed'),
      ]),
    ],
  };
};
