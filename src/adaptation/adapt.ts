// The method, offline and in one go: confusions, critical pairs, significance, allocation within the budget, rounding, validation.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Budget,
  frontOf,
  type FrontPoint,
  interactionOf,
  type MeasureArtifact,
  meetBudget,
  type Met,
  type ObjectiveName,
  type Problem,
  problemOf,
  type Profile,
  repairInteractions,
  semanticPrices,
} from '../allocation/index.js';
import type { ClassMap, DataSet } from '../evaluation/index.js';
import { readModel } from '../onnx/index.js';
import { quantizeArtifact, type QuantizedArtifact, type Step } from '../quantization/index.js';
import {
  type Artifact,
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  MODEL_FILE,
  readArtifactFolder,
  type Validation,
} from '../registry/index.js';
import {
  calibrationOf,
  labelledPictures,
  measurePairs,
  measureSignificance,
  type Pair,
  type PairEffects,
  type Rounded,
  type SignificanceMap,
  type SignificanceOptions,
  type SignificanceStep,
} from '../significance/index.js';
import { writeFileAtomic } from '../system/index.js';
import { compareModels, type Comparison } from './compare.js';

/** What is being done, for a progress bar. */
export type AdaptStep = SignificanceStep | 'measuring pairs' | 'solving' | 'drawing the front' | Step;

/** Labelled pictures and how their classes meet the model's. */
export interface Labelled {
  readonly dataSet: DataSet;
  readonly map: ClassMap;
}

export interface AdaptOptions {
  /** What is looked at to find confusions and significance, and to round by. */
  readonly tuning: Labelled;
  /** What the outcome is judged on; nothing is tuned on it. */
  readonly validation: Labelled;
  /** Critical pairs by index; those that the tuning pictures show where they are left out. */
  readonly pairs?: readonly Pair[];
  readonly costs?: SignificanceOptions['costs'];
  readonly budget: Budget;
  readonly objective: ObjectiveName;
  /** Layers whose pairs are measured, the costliest first (default 0: none); with the semantic objective. */
  readonly pairsAmong?: number;
  readonly profile?: Profile;
  /** Measures the artifact of an allocation, for the budget. */
  readonly measure: MeasureArtifact;
  readonly calibrationPictures: number;
  /** Folder in which what was measured is kept: a run that was ended goes on from there. */
  readonly cache: string;
  readonly processes: number;
  readonly reduceRange: boolean;
  readonly name?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: AdaptStep, done: number, all: number) => void;
}

export interface Adapted {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly significance: SignificanceMap;
  readonly problem: Problem;
  readonly met: Met;
  readonly front: readonly FrontPoint[];
  readonly quantized: QuantizedArtifact['report'];
  readonly comparison: Comparison;
}

/** Most seconds for one solution; one that is not proved by then is taken with its gap. */
const SECONDS = 30;
const BITS = [2, 4, 8] as const;
/** Pictures that pairs are measured on: what they do beyond the sum is large or does not matter. */
const PAIR_PICTURES = 64;

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const validationOf = ({ data, split, pictures, before, after, map50Change }: Comparison): Validation => ({
  data,
  split,
  pictures,
  map50: finite(after.map50),
  map5095: finite(after.map5095),
  parentMap50: finite(before.map50),
  parentMap5095: finite(before.map5095),
  map50Drop: {
    value: finite(-map50Change.value),
    low: finite(-map50Change.high),
    high: finite(-map50Change.low),
  },
});

/** Calls `work` with the artifact in a folder of its own, which is gone afterwards. */
const inFolder = async <T>(
  { bytes, manifest }: QuantizedArtifact,
  work: (artifact: Artifact) => Promise<T>,
): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-adapt-'));
  try {
    writeFileAtomic(join(folder, MODEL_FILE), bytes);
    writeFileAtomic(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
    return await work(await readArtifactFolder(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/**
 * Adapts a model to the confusions on some pictures, within a budget, without fine-tuning. Writes nothing that stays but what the
 * cache keeps. Blocks the thread while models run.
 *
 * @throws BudgetError when no allocation is within the budget; BitlaneError `BAD_DATASET` where nothing is confused or found,
 *   `BAD_MODEL` when a model cannot be run, the reason of `signal`
 */
export const adaptModel = async (parent: Artifact, options: AdaptOptions): Promise<Adapted> => {
  const { tuning, validation, budget, objective, profile, measure, signal } = options;
  const { onProgress = () => undefined } = options;
  const { detector } = parent.manifest;
  const pictures = await labelledPictures(tuning.dataSet, tuning.map);
  const space = { classes: tuning.map.classes, fromModel: tuning.map.fromModel };
  const { map: significance, perturbations } = await measureSignificance({
    model: { id: parent.id, path: parent.modelPath, detector },
    data: { name: tuning.dataSet.path, split: tuning.dataSet.split },
    pictures,
    space,
    ...(options.pairs !== undefined && { pairs: options.pairs }),
    ...(options.costs !== undefined && { costs: options.costs }),
    bits: BITS,
    rounding: 'gptq',
    reduceRange: options.reduceRange,
    calibration: calibrationOf(tuning.dataSet, detector.input, options.calibrationPictures),
    cache: options.cache,
    processes: options.processes,
    ...(signal !== undefined && { signal }),
    onProgress,
  });
  const alone = await problemOf(readModel(parent.modelPath), { objective, map: significance, profile });
  const problem = await withPairs(alone, significance, options, (pairs) =>
    measurePairs(pairs, {
      model: { path: parent.modelPath, detector },
      space,
      pictures: pictures.slice(0, PAIR_PICTURES),
      groups: significance.critical.groups.map((group) => group.map((name) => space.classes.indexOf(name))),
      temperature: significance.temperature,
      perturbations,
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress('measuring pairs', done, all),
    }),
  );
  const met = await meetBudget(problem, budget, {
    measure,
    seconds: SECONDS,
    ...(signal !== undefined && { signal }),
    onRound: (round) => onProgress('solving', round, round),
  });
  const front = await frontOf(problem, {
    ...(signal !== undefined && { signal }),
    onProgress: (done, all) => onProgress('drawing the front', done, all),
  });
  const quantized = await quantizeArtifact(parent, {
    allocation: met.allocation,
    calibration: tuning.dataSet,
    pictures: options.calibrationPictures,
    rounding: 'gptq',
    reduceRange: options.reduceRange,
    ...(options.name !== undefined && { name: options.name }),
    ...(signal !== undefined && { signal }),
    onProgress,
  });
  const { classes } = validation.map;
  const pairs = significance.critical.pairs.flatMap((pair): [number, number][] => {
    const [a = -1, b = -1] = pair.map((name) => classes.indexOf(name));
    return a < 0 || b < 0 ? [] : [[a, b]];
  });
  const comparison = await inFolder(quantized, (artifact) =>
    compareModels(parent, artifact, {
      ...validation,
      pairs,
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress('validating', done, all),
    }),
  );
  const { bytes, manifest, report } = quantized;
  return {
    bytes,
    manifest: createManifest(bytes, {
      ...manifest,
      parentId: parent.id,
      budget: budgetOf(budget),
      significance: summaryOf(significance, objective),
      validation: [validationOf(comparison)],
    }),
    significance,
    problem,
    met,
    front,
    quantized: report,
    comparison,
  };
};

/** The problem with what pairs cost beyond the sum, where they are asked for. */
const withPairs = async (
  problem: Problem,
  significance: SignificanceMap,
  { objective, budget, pairsAmong = 0, signal }: AdaptOptions,
  measure: (pairs: readonly (readonly [Rounded, Rounded])[]) => Promise<PairEffects[]>,
): Promise<Problem> => {
  if (pairsAmong < 2 || objective !== 'semantic') return problem;
  const prices = semanticPrices(significance, problem.components);
  const repaired = await repairInteractions(problem, budget, {
    measure: async (pairs) => {
      const effects = await measure(pairs);
      return pairs.map((pair, index) => {
        const own = effects[index];
        return own === undefined ? 0 : interactionOf(prices, pair, own);
      });
    },
    widths: BITS,
    components: pairsAmong,
    seconds: SECONDS,
    ...(signal !== undefined && { signal }),
  });
  // What no allocation is within is said where the budget is met.
  return repaired?.problem ?? problem;
};

const budgetOf = ({ modelBytes, latencyMs, memoryMb }: Budget): NonNullable<Manifest['budget']> => ({
  ...(modelBytes !== undefined && { modelBytes }),
  ...(latencyMs !== undefined && { latencyMs }),
  ...(memoryMb !== undefined && { memoryMb }),
});

/** What of a map goes into the manifest: the robust divergence of each layer's weights, and how far it can be trusted. */
const summaryOf = (
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
