// An artifact from an artifact: quantized, timed beside its parent, looked at layer by layer, validated where there are labels.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import {
  type ClassMap,
  type DataSet,
  describeDevice,
  evaluate,
  type Interval,
  mapClasses,
  pairedBootstrap,
  predict,
} from '../evaluation/index.js';
import { type Model, readModel, writeModel } from '../onnx/index.js';
import {
  type Artifact,
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  type Measured,
  MODEL_FILE,
  readArtifactFolder,
  type Validation,
} from '../registry/index.js';
import { median, writeFileAtomic } from '../system/index.js';
import { type Allocation, averageBits } from './allocation.js';
import { pixelRanges, takeBytes } from './byte-input.js';
import { DEFAULT_RANGE_METHOD, type Range, type RangeMethod } from './calibration.js';
import { componentsOf } from './components.js';
import type { Int8Candidate } from './choose-int8.js';
import { pictureFeeds } from './pictures.js';
import type { ChannelGrid } from './grid.js';
import type { WeightCodes } from './packing.js';
import { alongPlan, planInt8 } from './plan-int8.js';
import { quantizeModel, type QuantizeOptions } from './quantize.js';
import { type LayerReport, layerReport } from './report.js';
import { type FeedSource, heldFeeds } from './taps.js';
import { latencyRatio, type Timed, timeModels, untold } from './timing.js';

/** What is being done, for a progress bar. */
export type Step = 'choosing' | 'calibrating' | 'rounding' | 'comparing layers' | 'timing' | 'validating';

/** Grids of activations that were trained, and what the others follow from. */
export interface TrainedActivations {
  /** By the name of the value. */
  readonly grids: ReadonlyMap<string, ChannelGrid>;
  /** Of all values that need one. */
  readonly ranges: ReadonlyMap<string, Range>;
  readonly floatFunctions: ReadonlySet<string>;
}

export interface TrainedModel {
  /** With the parent's inputs and outputs, and FP32 weights. */
  readonly model: Model;
  /** By the name of the component; of all that have fewer than 32 bits somewhere. */
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** Where activations were trained too: the allocation is then run as it is, nothing is sought or measured. */
  readonly activations?: TrainedActivations;
}

/** Options of `quantizeModel` that pack what was trained. */
export const trainedOptions = ({
  weights,
  activations,
}: TrainedModel): Pick<QuantizeOptions, 'weights' | 'activationGrids' | 'ranges' | 'floatFunctions'> => ({
  weights,
  ...(activations !== undefined && {
    activationGrids: activations.grids,
    ranges: activations.ranges,
    floatFunctions: activations.floatFunctions,
  }),
});

export interface QuantizeArtifactOptions extends Omit<
  QuantizeOptions,
  | 'allocation'
  | 'feeds'
  | 'onProgress'
  | 'channels'
  | 'floatFunctions'
  | 'channelRanges'
  | 'weights'
  | 'activationGrids'
  | 'knownRanges'
> {
  readonly allocation: Allocation;
  /** Pictures that the quantizer sees. */
  readonly calibration: DataSet;
  /** How many of them (default 64). */
  readonly pictures?: number;
  /** Pictures with labels that it must not see before. */
  readonly validation?: readonly { readonly dataSet: DataSet; readonly map: ClassMap }[];
  /** The parent's model as training left it, with the codes of its weights (default: the parent's own, rounded here). */
  readonly trained?: TrainedModel;
  /** Seek how the int8 layers run best: which few stay in FP32, which functions do, how ranges are found. */
  readonly seek?: { readonly maxFloatLayers: number };
  /** Default: the parent's, and the bits. */
  readonly name?: string;
  readonly method?: RangeMethod;
  /** Does the timing (default: as it is). */
  readonly timed?: Timed;
  readonly onProgress?: (step: Step, done: number, all: number) => void;
}

export interface QuantizedArtifact {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly report: QuantizationReport;
}

export interface QuantizationReport {
  readonly bytes: number;
  readonly parentBytes: number;
  readonly bytesRatio: number;
  /** Bytes of weights, scales and biases that the allocation implies. */
  readonly impliedBytes: number;
  readonly averageBits: number;
  /** Medians of one run, milliseconds; the ratio is that of runs side by side. */
  readonly latency: {
    readonly ms: number;
    readonly parentMs: number;
    readonly ratio: Interval;
    readonly rounds: number;
    readonly threads: number;
  };
  readonly layers: readonly LayerReport[];
  readonly validation: readonly Validation[];
  /** What was sought and found: layers in FP32, int8 layers whose function is computed in FP32. */
  readonly floatLayers: readonly string[];
  readonly floatFunctions: readonly string[];
}

const DEFAULT_PICTURES = 64;
const REPORT_PICTURES = 8;
/** Calibration pictures on which ways to run in int8 are compared. */
const COMPARED_PICTURES = 48;

/** Calls `seen` for every input that is taken. */
const counted = (feeds: FeedSource, seen: () => void): FeedSource =>
  async function* () {
    for await (const feed of feeds()) {
      yield feed;
      seen();
    }
  };

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const validate = async (
  parent: Artifact,
  artifact: Artifact,
  { dataSet, map }: { readonly dataSet: DataSet; readonly map: ClassMap },
  onProgress: () => void,
  signal: AbortSignal | undefined,
): Promise<Validation> => {
  const [before, after] = [
    await predict(parent, dataSet, map, {}, onProgress, signal),
    await predict(artifact, dataSet, map, {}, onProgress, signal),
  ].map(({ results }) => evaluate(results, map, { rounds: 0 }));
  if (before === undefined || after === undefined) throw new BitlaneError('INTERNAL', 'two evaluations');
  const pictures = dataSet.images.length;
  const drop = pairedBootstrap(
    pictures,
    (weights) => after.table.map50(weights),
    (weights) => before.table.map50(weights),
  );
  return {
    data: dataSet.path,
    split: dataSet.split,
    pictures,
    map50: finite(after.precision.map50),
    map5095: finite(after.precision.map5095),
    parentMap50: finite(before.precision.map50),
    parentMap5095: finite(before.precision.map5095),
    map50Drop: { value: finite(drop.value), low: finite(drop.low), high: finite(drop.high) },
  };
};

/** How the int8 layers of an artifact run best, sought with calibration data; `undefined` where `seek` does not ask for it. */
export const seekPlan = async (
  parent: Artifact,
  feeds: FeedSource,
  {
    seek,
    onProgress,
    reduceRange,
    signal,
  }: Pick<QuantizeArtifactOptions, 'seek' | 'onProgress' | 'reduceRange' | 'signal'>,
): Promise<Int8Candidate | undefined> => {
  if (seek === undefined) return undefined;
  onProgress?.('choosing', 0, 1);
  const held = await heldFeeds(feeds, signal);
  const choice = await planInt8(parent, {
    feeds: () => held,
    compared: () => held.slice(0, COMPARED_PICTURES),
    maxFloatLayers: seek.maxFloatLayers,
    onProgress: (done, all) => onProgress?.('choosing', done, all),
    ...(reduceRange !== undefined && { reduceRange }),
    ...(signal !== undefined && { signal }),
  });
  return choice.best;
};

/** `yolox-nano-4bit`, `yolox-nano-mixed`. */
const nameOf = (parent: string, { components }: Allocation): string => {
  const widths = new Set(Object.values(components).flatMap(({ bits }) => bits));
  const [only] = widths;
  const suffix = widths.size === 1 && only !== undefined ? `${only}bit` : 'mixed';
  return `${parent.slice(0, 100)}-${suffix}`;
};

/**
 * Quantizes an artifact; writes nothing that stays. Blocks the thread while models run.
 *
 * @throws BitlaneError `BAD_CONFIG` for an allocation that does not fit, `BAD_MODEL` when a model cannot be run, `BAD_DATASET`
 *   when a picture cannot be read, the reason of `signal` when it is aborted
 */
export const quantizeArtifact = async (
  parent: Artifact,
  options: QuantizeArtifactOptions,
): Promise<QuantizedArtifact> => {
  const { calibration, pictures = DEFAULT_PICTURES, validation = [], signal, trained } = options;
  const { onProgress = () => undefined, ...rest } = options;
  const { detector } = parent.manifest;
  const progress = (step: Step, all: number): (() => void) => {
    let done = 0;
    onProgress(step, 0, all);
    return () => onProgress(step, Math.min(all, ++done), all);
  };
  const taken = Math.min(pictures, calibration.images.length);
  if (taken === 0) throw new BitlaneError('BAD_DATASET', `${calibration.path} has no pictures`);
  const isInteger = Object.values(options.allocation.components).some(
    ({ execution }) => execution === 'int8',
  );
  const isDynamic = options.activations === 'dynamic';
  const learned = trained?.activations;
  const needsRanges = isInteger && !isDynamic && learned === undefined;
  const isFed = trained === undefined && (options.rounding === 'gptq' || options.biasCorrection === true);
  const feeds = pictureFeeds(calibration, detector.input, taken);
  const plan = needsRanges ? await seekPlan(parent, feeds, options) : undefined;
  const planned = plan === undefined ? undefined : alongPlan(options.allocation, plan);
  const allocation = planned?.allocation ?? options.allocation;
  const method = planned?.method ?? options.method ?? DEFAULT_RANGE_METHOD;
  const floatFunctions = [...(plan?.floatFunctions ?? learned?.floatFunctions ?? [])];
  const made = await quantizeModel(trained?.model ?? readModel(parent.modelPath), {
    ...rest,
    ...planned,
    ...(trained !== undefined && trainedOptions(trained)),
    knownRanges: pixelRanges(detector.input),
    feeds: counted(
      feeds,
      progress('calibrating', taken * ((needsRanges && plan === undefined ? 1 : 0) + (isFed ? 1 : 0))),
    ),
    onProgress: (done, all) => onProgress('rounding', done, all),
  });
  const shown = Math.min(REPORT_PICTURES, taken);
  const layers = await layerReport(
    made.prepared,
    made,
    counted(pictureFeeds(calibration, detector.input, shown), progress('comparing layers', 2 * shown)),
    rest,
  );
  // What was compared took the parent's floats.
  const input = takeBytes(made.model, detector.input);
  const bytes = writeModel(made.model);
  const parts = {
    name: options.name ?? nameOf(parent.manifest.name, options.allocation),
    detector: { ...detector, input },
    parentId: parent.id,
    origin: parent.manifest.origin,
    allocation,
    calibration: {
      data: calibration.path,
      split: calibration.split,
      pictures: taken,
      ...(isInteger && { ranges: isDynamic ? 'dynamic' : learned === undefined ? method : 'trained' }),
      rounding: trained === undefined ? (options.rounding ?? 'nearest') : 'trained',
      ...(options.equalize === true && { equalized: true }),
      ...(options.biasCorrection !== undefined && { biasCorrected: options.biasCorrection }),
      reduceRange: options.reduceRange ?? false,
      ...((plan ?? learned) !== undefined && { floatFunctions }),
    },
  };
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-quantize-'));
  try {
    const modelPath = join(folder, MODEL_FILE);
    writeFileAtomic(modelPath, bytes);
    writeFileAtomic(join(folder, MANIFEST_FILE), JSON.stringify(createManifest(bytes, parts)));
    const artifact = await readArtifactFolder(folder);
    onProgress('timing', 0, 1);
    const { name, width, height } = detector.input;
    const { timed = untold } = options;
    const [before = [], after = []] = await timed(() =>
      timeModels([parent.modelPath, modelPath], {
        input: { name, dims: [1, 3, height, width] },
        ...(signal === undefined ? {} : { signal }),
      }),
    );
    onProgress('timing', 1, 1);
    const latency = {
      ms: median(after),
      parentMs: median(before),
      ratio: latencyRatio(before, after),
      rounds: after.length,
      threads: 1,
    };
    const labelled = validation.reduce((sum, { dataSet }) => sum + 2 * dataSet.images.length, 0);
    const seen = labelled === 0 ? () => undefined : progress('validating', labelled);
    const validated: Validation[] = [];
    for (const each of validation) validated.push(await validate(parent, artifact, each, seen, signal));
    const measured: Measured = {
      device: describeDevice().name,
      measuredAt: new Date().toISOString(),
      latencyMs: latency.ms,
      parentLatencyMs: latency.parentMs,
      threads: latency.threads,
    };
    return {
      bytes,
      manifest: createManifest(bytes, { ...parts, measured: [measured], validation: validated }),
      report: {
        bytes: bytes.length,
        parentBytes: parent.manifest.modelBytes,
        bytesRatio: bytes.length / parent.manifest.modelBytes,
        impliedBytes: made.impliedBytes,
        averageBits: averageBits(componentsOf(made.prepared), allocation),
        latency,
        layers,
        validation: validated,
        floatLayers: plan?.floatLayers ?? [],
        floatFunctions,
      },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Opens validation data for a model: its classes must meet the data's. */
export const validationOf = (
  artifact: Artifact,
  dataSet: DataSet,
): { readonly dataSet: DataSet; readonly map: ClassMap } => ({
  dataSet,
  map: mapClasses(artifact.manifest.detector.classes, dataSet.classes),
});
