// The method, step by step: confusions, critical pairs, significance, allocation within the budget, weights, judgement. What a step came
// to is kept: whoever calls again in the same folder goes on where it was.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Budget,
  frontOf,
  type FrontPoint,
  type Interaction,
  interactionOf,
  type MeasureArtifact,
  meetBudget,
  type ObjectiveName,
  type Problem,
  problemOf,
  type Profile,
  repairInteractions,
  semanticPrices,
} from '../allocation/index.js';
import { BitlaneError } from '../errors.js';
import type { ClassMap, DataSet } from '../evaluation/index.js';
import { readModel } from '../onnx/index.js';
import { type Allocation, type Component, quantizeArtifact, type Step } from '../quantization/index.js';
import {
  type Artifact,
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  type ManifestParts,
  MODEL_FILE,
  readArtifactFolder,
  type Validation,
} from '../registry/index.js';
import {
  calibrationOf,
  labelledPictures,
  type MeasuredSignificance,
  measurePairs,
  measureSignificance,
  type SignificanceMap,
  type SignificanceOptions,
  significanceSchema,
  type SignificanceStep,
} from '../significance/index.js';
import { writeFileAtomic } from '../system/index.js';
import type { Checkpoints } from './checkpoints.js';
import { compareModels, type Comparison } from './compare.js';
import {
  type Allocated,
  allocatedSchema,
  type Evidence,
  evidenceSchema,
  frontSchema,
  interactionsSchema,
  type Made,
  madeSchema,
  measurementsSchema,
} from './documents.js';
import {
  type CandidateScore,
  chooseCandidate,
  effectsSchema,
  objectivesOf,
  splitTuning,
} from './portfolio.js';
import { teacherAgreement } from './teacher.js';
import { comparable, wholeMeter } from './whole.js';

/** What is being done, for a progress bar. */
export type AdaptStep =
  SignificanceStep | 'measuring pairs' | 'solving' | 'comparing candidates' | 'drawing the front' | Step;

/** Pictures and how their classes meet the model's. */
export interface Labelled {
  readonly dataSet: DataSet;
  readonly map: ClassMap;
  /** False: labels are not looked at (default true). */
  readonly isLabelled?: boolean;
}

/** What a candidate is judged by; nothing is tuned on it. */
export type JudgedBy =
  | { readonly kind: 'labels'; readonly validation: Labelled }
  /** Paths of pictures, on which the FP32 model is the teacher. */
  | { readonly kind: 'teacher'; readonly frames: readonly string[] };

export interface AdaptOptions {
  /** Where the candidate is put, and what the steps came to. */
  readonly folder: string;
  readonly checkpoints: Checkpoints;
  /** What is looked at to find confusions and significance, and to round by. */
  readonly tuning: Labelled;
  /** What weights and ranges are fitted on (default: pictures of `tuning`). */
  readonly calibration?: DataSet;
  readonly judgedBy: JudgedBy;
  /** What the candidate is held against (default: the parent). */
  readonly baseline?: Artifact;
  /** Critical pairs by index, or what to make of those that the tuning pictures show; exactly these where it is left out. */
  readonly pairs?: NonNullable<SignificanceOptions['pairs']>;
  readonly costs?: SignificanceOptions['costs'];
  /** What the manifest says it had to stay within. */
  readonly budget: Budget;
  /** What the solver keeps to where that is not the budget: a run is not all of a frame. */
  readonly limits?: Budget;
  readonly objective: ObjectiveName;
  /**
   * Objectives whose allocations are tried, too; the whole model that does the least damage is kept (default: a few with the semantic
   * objective, else none).
   */
  readonly candidates?: readonly ObjectiveName[];
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
  /** In the folder `candidate`. */
  readonly artifact: Artifact;
  readonly significance: SignificanceMap;
  readonly components: readonly Component[];
  /** What pairs of layers cost together, where that was asked for. */
  readonly interactions: readonly Interaction[];
  /** Of the allocation that was chosen. */
  readonly objective: ObjectiveName;
  /** What each candidate did as a whole. */
  readonly candidates: readonly CandidateScore[];
  readonly allocated: Allocated;
  readonly front: readonly FrontPoint[];
  readonly made: Made;
  readonly evidence: Evidence;
}

/**
 * Nodes of one solution's search: what is not proved to be the best by then is taken with its gap. Seconds would make the outcome a
 * matter of how busy the device was.
 */
const NODES = 4_000;
const SECONDS = 600;
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

/** Every measurement is taken once: a run that is taken up again gets the numbers of the one before. */
const measuredOnce =
  (checkpoints: Checkpoints, measure: MeasureArtifact): MeasureArtifact =>
  (allocation, attempt) => {
    const key = createHash('sha256').update(JSON.stringify(allocation)).digest('hex').slice(0, 16);
    const step = attempt === 0 ? `measured-${key}` : `measured-${key}-${attempt}`;
    return checkpoints.once(step, measurementsSchema, () => measure(allocation, attempt));
  };

/** Solves a problem within its limits and measures what comes out. */
export const allocateWithin = async (
  problem: Problem,
  limits: Budget,
  step: string,
  {
    checkpoints,
    measure,
    signal,
    onProgress,
  }: Pick<AdaptOptions, 'checkpoints' | 'measure' | 'signal' | 'onProgress'>,
): Promise<Allocated> =>
  checkpoints.once(step, allocatedSchema, async () => {
    const { rounds, ...met } = await meetBudget(problem, limits, {
      measure: measuredOnce(checkpoints, measure),
      nodes: NODES,
      seconds: SECONDS,
      ...(signal !== undefined && { signal }),
      onRound: (round) => onProgress?.('solving', round, round),
    });
    return { ...met, rounds: rounds.length };
  });

/** Writes an artifact into a new folder in the place of whatever a killed run left there. */
const putArtifact = async (folder: string, bytes: Uint8Array, manifest: Manifest): Promise<Artifact> => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileAtomic(join(folder, MODEL_FILE), bytes);
  writeFileAtomic(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  return readArtifactFolder(folder);
};

/** How the weights of an allocation come about. Rounding is the only way so far; training the rounded model on would be another. */
export type MakeWeights = (
  parent: Artifact,
  allocation: Allocation,
  options: AdaptOptions,
) => Promise<{ readonly bytes: Uint8Array; readonly manifest: Manifest; readonly made: Omit<Made, 'id'> }>;

const roundWeights: MakeWeights = async (parent, allocation, options) => {
  const { calibration = options.tuning.dataSet, name, signal, onProgress = () => undefined } = options;
  const { bytes, manifest, report } = await quantizeArtifact(parent, {
    allocation,
    calibration,
    pictures: options.calibrationPictures,
    rounding: 'gptq',
    reduceRange: options.reduceRange,
    ...(name !== undefined && { name }),
    ...(signal !== undefined && { signal }),
    onProgress,
  });
  const { bytesRatio, averageBits, latency } = report;
  return { bytes, manifest, made: { bytes: bytes.length, bytesRatio, averageBits, latency } };
};

/** Makes the artifact of an allocation in `<folder>/<step>`, once. */
export const makeArtifact = async (
  parent: Artifact,
  allocation: Allocation,
  step: string,
  options: AdaptOptions,
  complete: Pick<ManifestParts, 'budget' | 'significance'>,
  make: MakeWeights = roundWeights,
): Promise<{ readonly artifact: Artifact; readonly made: Made }> => {
  const folder = join(options.folder, step);
  const work = async (): Promise<Made> => {
    const { bytes, manifest, made } = await make(parent, allocation, options);
    const whole = createManifest(bytes, { ...manifest, parentId: parent.id, ...complete });
    return { id: (await putArtifact(folder, bytes, whole)).id, ...made };
  };
  const made = await options.checkpoints.once(step, madeSchema, work);
  const artifact = await readArtifactFolder(folder);
  if (artifact.id !== made.id) {
    throw new BitlaneError('BAD_MODEL', `${folder} holds another artifact than the one that was made there`);
  }
  return { artifact, made };
};

const measureMap = async (parent: Artifact, options: AdaptOptions): Promise<MeasuredSignificance> => {
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
const interactionsOf = async (
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

/** Holds a candidate against what is to be replaced. */
export const judgeCandidate = (
  parent: Artifact,
  candidate: Artifact,
  significance: SignificanceMap,
  step: string,
  options: AdaptOptions,
): Promise<Evidence> => {
  const { judgedBy, baseline = parent, checkpoints, signal, onProgress } = options;
  const report = {
    ...(signal !== undefined && { signal }),
    onProgress: (done: number, all: number) => onProgress?.('validating', done, all),
  };
  return checkpoints.once(step, evidenceSchema, async (): Promise<Evidence> => {
    if (judgedBy.kind === 'teacher') {
      const { frames } = judgedBy;
      return {
        kind: 'teacher',
        agreement: await teacherAgreement(parent, baseline, candidate, { frames, ...report }),
      };
    }
    const { dataSet, map } = judgedBy.validation;
    const pairs = significance.critical.pairs.flatMap((pair): [number, number][] => {
      const [a = -1, b = -1] = pair.map((name) => map.classes.indexOf(name));
      return a < 0 || b < 0 ? [] : [[a, b]];
    });
    const comparison = await compareModels(baseline, candidate, { dataSet, map, pairs, ...report });
    return { kind: 'labels', comparison };
  });
};

/** The problem that bits are given by. */
export const problemFor = (
  parent: Artifact,
  significance: SignificanceMap,
  { objective, profile }: Pick<AdaptOptions, 'objective' | 'profile'>,
): Promise<Problem> => problemOf(readModel(parent.modelPath), { objective, map: significance, profile });

/**
 * Adapts a model to the confusions on some pictures, within a budget. Blocks the thread while models run. The same parent, pictures,
 * options and measurements give the same model, to the last bit, however often it is killed on the way.
 *
 * @throws BudgetError when no allocation is within the budget; BitlaneError `BAD_DATASET` where nothing is confused or found,
 *   `BAD_MODEL` when a model cannot be run, the reason of `signal`
 */
export const adaptModel = async (parent: Artifact, options: AdaptOptions): Promise<Adapted> => {
  const { checkpoints, budget, limits = budget, signal, onProgress, baseline = parent } = options;
  const objectives = objectivesOf(options.objective, options.candidates);
  const split = objectives.length > 1 ? splitTuning(options.tuning.dataSet) : undefined;
  const mapped: AdaptOptions =
    split === undefined
      ? options
      : {
          ...options,
          calibration: options.calibration ?? options.tuning.dataSet,
          tuning: { ...options.tuning, dataSet: split.map },
        };
  let measured: MeasuredSignificance | undefined;
  const measureOnce = async (): Promise<MeasuredSignificance> =>
    (measured ??= await measureMap(parent, mapped));
  const significance = await checkpoints.once(
    'significance',
    significanceSchema,
    async () => (await measureOnce()).map,
  );
  const problems = new Map<ObjectiveName, Problem>();
  const problemOfName = async (objective: ObjectiveName): Promise<Problem> => {
    const known = problems.get(objective);
    if (known !== undefined) return known;
    const own = { ...mapped, objective };
    const alone = await problemFor(parent, significance, own);
    const problem = {
      ...alone,
      interactions: await interactionsOf(parent, alone, significance, own, measureOnce),
    };
    problems.set(objective, problem);
    return problem;
  };
  const complete = (objective: ObjectiveName): Pick<ManifestParts, 'budget' | 'significance'> => ({
    budget: budgetOf(budget),
    significance: summaryOf(significance, objective),
  });
  const tried = (objective: ObjectiveName): string => `candidate-${objective}`;
  const meter = wholeMeter(parent, significance, {
    dataSet: split?.compared ?? options.tuning.dataSet,
    map: options.tuning.map,
    ...(signal !== undefined && { signal }),
  });
  const { components } = await problemOfName(options.objective);
  const { objective, allocated, scores } = await chooseCandidate({
    objectives,
    allocate: async (name) =>
      allocateWithin(
        await problemOfName(name),
        limits,
        name === options.objective ? 'allocation' : `allocation-${name}`,
        options,
      ),
    measure: (name, allocation) =>
      checkpoints.once(`whole-${name}`, effectsSchema, async () => {
        onProgress?.('comparing candidates', objectives.indexOf(name), objectives.length);
        const { artifact } = await makeArtifact(parent, allocation, tried(name), mapped, complete(name));
        return comparable(await meter(new Uint8Array(readFileSync(artifact.modelPath))));
      }),
    prices: () => semanticPrices(significance, components),
  });
  const problem = await problemOfName(objective);
  const front = await checkpoints.once('front', frontSchema, () =>
    frontOf(problem, {
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress?.('drawing the front', done, all),
    }),
  );
  const isTried = scores.some(({ damage }) => damage !== null);
  const { artifact, made } = await makeArtifact(
    parent,
    allocated.allocation,
    'candidate',
    mapped,
    complete(objective),
    isTried ? takeTried(tried(objective)) : roundWeights,
  );
  for (const name of objectives) rmSync(join(options.folder, tried(name)), { recursive: true, force: true });
  const evidence = await judgeCandidate(parent, artifact, significance, 'judgement', options);
  return {
    artifact:
      evidence.kind === 'labels' && baseline.id === parent.id ? judgedArtifact(artifact, evidence) : artifact,
    significance,
    components,
    interactions: problem.interactions ?? [],
    objective,
    candidates: scores,
    allocated,
    front,
    made,
    evidence,
  };
};

/** Takes the artifact that was made in another step of the same folder. */
const takeTried =
  (step: string): MakeWeights =>
  async (_parent, _allocation, { folder, checkpoints }) => {
    const { modelPath, manifest } = await readArtifactFolder(join(folder, step));
    const made = checkpoints.kept(step, madeSchema);
    if (made === undefined) throw new BitlaneError('INTERNAL', `nothing is kept of ${step}`);
    return { bytes: new Uint8Array(readFileSync(modelPath)), manifest, made };
  };

/** With what it is worth beside its parent in the manifest; an artifact's file itself is not changed any more. */
const judgedArtifact = (
  artifact: Artifact,
  { comparison }: Extract<Evidence, { kind: 'labels' }>,
): Artifact => ({
  ...artifact,
  manifest: { ...artifact.manifest, validation: [validationOf(comparison)] },
});

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
