// Estimates of filters against exact values, and what they take beside forward passes.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { BitlaneError } from '../../src/errors.js';
import { mapClasses, openDataSet } from '../../src/evaluation/index.js';
import { readModel } from '../../src/onnx/index.js';
import { prepareModel } from '../../src/quantization/index.js';
import type { Artifact } from '../../src/registry/index.js';
import {
  calibrationOf,
  compareFilters,
  type ComparedFilters,
  groupsOf,
  keepPerturbations,
  keptPerturbations,
  labelledPictures,
  makePerturbations,
  parsePairs,
  type RankedMeasure,
  rankOf,
  readRecord,
  writeRecord,
} from '../../src/significance/index.js';
import { census, type Figure } from './lib.js';

const BITS = [2, 4, 8] as const;
/** Bit-widths at which filters are measured exactly. */
const EXACT_BITS = [4, 2] as const;
const CALIBRATION = 64;

/** Rows of a block of pictures that were measured exactly, so that a run that was ended goes on. */
const blockSchema = z.strictObject({ floats: z.int() });

export interface FilterBench {
  readonly artifact: Artifact;
  readonly data: string;
  readonly split: string;
  readonly pictures: number;
  readonly filters: number;
  readonly pairs: string;
  readonly state: string | undefined;
}

/** Figures of the filters, and what they were measured on. */
export const filterFigures = async (
  options: FilterBench,
): Promise<{ readonly figures: Figure[]; readonly about: Readonly<Record<string, unknown>> }> => {
  const { artifact, state, pairs } = options;
  const { detector } = artifact.manifest;
  const dataSet = openDataSet(options.data, { split: options.split, limit: options.pictures });
  const map = mapClasses(detector.classes, dataSet.classes);
  const model = prepareModel(readModel(artifact.modelPath));
  const kept = state === undefined ? undefined : keptPerturbations(state, BITS);
  const perturbations =
    kept ??
    (await makePerturbations(model, {
      rounding: 'gptq',
      bits: [...BITS],
      // Rounded as the artifact is: on pictures that nothing is reported on.
      feeds: calibrationOf(openDataSet(options.data, { split: 'train' }), detector.input, CALIBRATION).feeds,
    }));
  if (kept === undefined && state !== undefined) {
    for (const bits of BITS) keepPerturbations(state, bits, perturbations);
  }
  const compared = await compareFilters({
    model,
    detector,
    space: { classes: map.classes, fromModel: map.fromModel },
    pictures: await labelledPictures(dataSet, map),
    groups: groupsOf(parsePairs(pairs, map.classes)),
    perturbations,
    bits: BITS,
    exactBits: EXACT_BITS,
    count: options.filters,
    ...(state !== undefined && {
      kept: (key: string) => readRecord(pathOf(state, key), blockSchema)?.floats,
      keep: (key: string, rows: Float32Array) =>
        writeRecord(pathOf(state, key), { floats: rows.length }, [rows]),
    }),
  });
  if (compared.objects === 0) {
    throw new BitlaneError('BAD_DATASET', 'the pictures hold no critical objects');
  }
  const perForward = compared.forwards.map((ms) => compared.estimateMs / ms);
  return {
    figures: [
      ...EXACT_BITS.flatMap((bits, width) => figuresOf(compared, bits, width)),
      {
        name: 'filters.timeInForwardPasses',
        unit: 'passes',
        value: perForward.reduce((a, b) => a + b, 0) / perForward.length,
        low: Math.min(...perForward),
        high: Math.max(...perForward),
        runs: perForward.length,
      },
      census(
        'filters.passesPerPicture',
        'backward passes',
        compared.passes / compared.pictures,
        compared.pictures,
      ),
    ],
    about: {
      filters: compared.filters,
      compared: compared.measured.length,
      split: options.split,
      pictures: compared.pictures,
      criticalObjects: compared.objects,
      reEvaluated: 'the tenth of the compared filters with the highest estimates',
      time: 'estimates of all filters at 2, 4 and 8 bits with guards, decoding and all; forward: FP32 runs alone, before and after',
    },
  };
};

const pathOf = (state: string, key: string): string =>
  join(state, `filters-${createHash('sha256').update(key).digest('hex')}.bin`);

const figuresOf = (compared: ComparedFilters, bits: number, width: number): Figure[] => {
  const rank = (name: string, measure: RankedMeasure, replaced: boolean): Figure => ({
    name: `filters.int${bits}.${name}`,
    unit: 'rank',
    ...rankOf(compared, width, measure, replaced),
    runs: compared.measured.length,
  });
  return [
    rank('spearman', 'divergence', true),
    rank('estimateSpearman', 'divergence', false),
    rank('robustSpearman', 'robust', true),
    rank('robustEstimateSpearman', 'robust', false),
    rank('signedSpearman', 'signed', true),
    rank('signedEstimateSpearman', 'signed', false),
  ];
};
