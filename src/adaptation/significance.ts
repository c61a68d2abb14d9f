// What an adaptation measures of a model on its pictures: the map, pairs of layers, whole candidates; and the problem that comes of it.
import {
  type Interaction,
  interactionOf,
  type Problem,
  problemOf,
  repairInteractions,
  semanticPrices,
} from '../allocation/index.js';
import { readModel } from '../onnx/index.js';
import type { Artifact, Manifest } from '../registry/index.js';
import {
  calibrationOf,
  labelledPictures,
  type MeasuredSignificance,
  measurePairs,
  measureSignificance,
  type SignificanceMap,
} from '../significance/index.js';
import { interactionsSchema } from './documents.js';
import { NODES, SECONDS } from './limits.js';
import type { AdaptOptions } from './options.js';

const BITS = [2, 4, 8] as const;
/** Pictures that pairs are measured on: what they do beyond the sum is large or does not matter. */
const PAIR_PICTURES = 64;

export const measureMap = async (parent: Artifact, options: AdaptOptions): Promise<MeasuredSignificance> => {
  const { tuning, signal, onProgress, calibration = tuning.dataSet } = options;
  const { detector } = parent.manifest;
  return measureSignificance({
    model: { id: parent.id, path: parent.modelPath, detector },
    data: { name: tuning.dataSet.path, split: tuning.dataSet.split },
    pictures: await labelledPictures(tuning.dataSet, tuning.map, tuning.isLabelled ?? true),
    space: { classes: tuning.map.classes, fromModel: tuning.map.fromModel },
    ...(options.pairs !== undefined && { pairs: options.pairs }),
    ...(options.costs !== undefined && { costs: options.costs }),
    bits: BITS,
    rounding: 'gptq',
    reduceRange: options.reduceRange,
    calibration: calibrationOf(calibration, detector.input, options.calibrationPictures),
    cache: options.cache,
    processes: options.processes,
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
  });
};

/** What pairs cost beyond the sum, where they are asked for. What significance measured is taken from its cache where it is needed again. */
export const interactionsOf = async (
  parent: Artifact,
  problem: Problem,
  significance: SignificanceMap,
  options: AdaptOptions,
  measured: () => Promise<MeasuredSignificance>,
): Promise<readonly Interaction[]> => {
  const { objective, budget, limits = budget, pairsAmong = 0, tuning, signal, onProgress } = options;
  if (pairsAmong < 2 || objective !== 'semantic') return [];
  return options.checkpoints.once('pairs', interactionsSchema, async () => {
    const { classes, fromModel } = tuning.map;
    const pictures = await labelledPictures(tuning.dataSet, tuning.map, tuning.isLabelled ?? true);
    const { perturbations } = await measured();
    const prices = semanticPrices(significance, problem.components);
    const repaired = await repairInteractions(problem, limits, {
      measure: async (pairs) => {
        const effects = await measurePairs(pairs, {
          model: { path: parent.modelPath, detector: parent.manifest.detector },
          space: { classes, fromModel },
          pictures: pictures.slice(0, PAIR_PICTURES),
          groups: significance.critical.groups.map((group) => group.map((name) => classes.indexOf(name))),
          temperature: significance.temperature,
          perturbations,
          ...(signal !== undefined && { signal }),
          onProgress: (done, all) => onProgress?.('measuring pairs', done, all),
        });
        return pairs.map((pair, index) => {
          const own = effects[index];
          return own === undefined ? 0 : interactionOf(prices, pair, own);
        });
      },
      widths: BITS,
      components: pairsAmong,
      nodes: NODES,
      seconds: SECONDS,
      ...(signal !== undefined && { signal }),
    });
    // What no allocation is within is said where the budget is met.
    return repaired?.problem.interactions ?? [];
  });
};

/** The problem that bits are given by. */
export const problemFor = (
  parent: Artifact,
  significance: SignificanceMap,
  { objective, profile }: Pick<AdaptOptions, 'objective' | 'profile'>,
): Promise<Problem> => problemOf(readModel(parent.modelPath), { objective, map: significance, profile });

/** What of a map goes into the manifest: the robust divergence of each layer's weights, and how far it can be trusted. */
export const summaryOf = (
  { critical, data, components, reliability }: SignificanceMap,
  objective: string,
): NonNullable<Manifest['significance']> => ({
  objective,
  pairs: critical.pairs,
  objects: critical.objects,
  pictures: data.pictures,
  labelled: critical.labelled,
  reliability: Object.fromEntries(
    BITS.flatMap((bits) => {
      const known = reliability.weights[bits];
      return known === undefined ? [] : [[String(bits), known.robust]];
    }),
  ),
  divergence: Object.fromEntries(
    Object.entries(components).map(([name, { weights }]) => [
      name,
      Object.fromEntries(
        BITS.flatMap((bits) => {
          const known = weights[bits];
          return known === undefined
            ? []
            : [[String(bits), Number(known.robust.divergence.mean.toPrecision(4))]];
        }),
      ),
    ]),
  ),
});
