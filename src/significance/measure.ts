// Measures a significance map: objects, rounded layers, every component alone in several processes, means of what came out.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type Model, readModel } from '../onnx/index.js';
import {
  type Component,
  componentsOf,
  type FeedSource,
  prepareModel,
  type Rounding,
} from '../quantization/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { floatTensor } from '../runtime/index.js';
import { readPicture } from '../evaluation/index.js';
import { Preprocessor } from '../vision/index.js';
import { type Entry, keepPerturbations, keptEntries, keptPerturbations } from './cache.js';
import { type ClassSpace, compactRows, compactWidth } from './compact.js';
import { groupsOf, type Pair, pairsOf } from './critical.js';
import { Evaluator } from './evaluator.js';
import type { SignificanceMap } from './map.js';
import { type Cost, CriticalSet, type Found } from './measures.js';
import { findObjects, type FoundObjects, type LabelledPicture, type PictureObjects } from './objects.js';
import {
  makePerturbations,
  type MeasuredBits,
  type Perturbations,
  variantName,
  variantsOf,
} from './perturb.js';
import { summarize } from './summary.js';
import type { WorkerJob } from './worker-messages.js';
import { doJobs } from './workers.js';

/** What is being done, for a progress bar. */
export type SignificanceStep = 'finding objects' | 'rounding' | 'measuring';

export interface SignificanceOptions {
  /** The FP32 model. */
  readonly model: { readonly id: string; readonly path: string; readonly detector: DetectorSpec };
  readonly data: { readonly name: string; readonly split: string };
  readonly pictures: readonly LabelledPicture[];
  /** Classes that are told apart; labels are in these. */
  readonly space: ClassSpace;
  /** Critical pairs, or what to make of those that the confusion matrix shows; exactly these where it is left out. */
  readonly pairs?: readonly Pair[] | ((shown: readonly Pair[]) => readonly Pair[]);
  readonly costs?: readonly Cost[];
  /** Default 2 and 4. */
  readonly bits?: readonly MeasuredBits[];
  /** Default `gptq`. */
  readonly rounding?: Rounding;
  readonly reduceRange?: boolean;
  /** Calibration data, and what names them in the cache. */
  readonly calibration: { readonly feeds: FeedSource; readonly key: string };
  /** Folder in which everything measured is kept. */
  readonly cache: string;
  /** Default 1. */
  readonly processes?: number;
  /** Compute heads whole (default false): for comparison. */
  readonly wholeHeads?: boolean;
  /** Pictures that a process takes at once (default: what fits into 256 MiB, 32 at most). */
  readonly chunk?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: SignificanceStep, done: number, all: number) => void;
}

const BYTES_PER_CHUNK = 256 * 2 ** 20;
const LARGEST_CHUNK = 32;
/** Pictures on which heads around rows are held against whole ones, and how far they may be apart. */
const CHECKED = 2;
const NEAR = 1e-3;

const sha256 = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** Whether rows computed around themselves are what the whole model gives. */
const isExact = async (
  evaluator: Evaluator,
  spec: DetectorSpec,
  space: ClassSpace,
  found: FoundObjects,
): Promise<boolean> => {
  const pictures = found.pictures.slice(0, CHECKED);
  const { input } = spec;
  const preprocessor = new Preprocessor();
  const looks = [];
  for (const { path, rows } of pictures) {
    const tensor = preprocessor.tensor(input);
    preprocessor.preprocess(await readPicture(path), input, tensor);
    looks.push({
      feed: { [input.name]: floatTensor([1, 3, input.height, input.width], tensor.slice()) },
      rows,
    });
  }
  const indices = pictures.flatMap(({ rows }) => rows);
  const compact = compactRows(evaluator.rows, await evaluator.plain(looks), indices, space);
  return compact.every((value, i) => {
    const whole = found.rows[i] ?? 0;
    return Math.abs(value - whole) <= NEAR * (1 + Math.abs(whole));
  });
};

/** Opens the model as exactly as fast as can be. */
const planOf = async (
  model: Model,
  options: SignificanceOptions,
  found: FoundObjects,
): Promise<{ readonly windows: boolean; readonly chunk: number; readonly reached: ReadonlySet<string> }> => {
  const { detector } = options.model;
  for (const windows of options.wholeHeads === true ? [false] : [true, false]) {
    const evaluator = await Evaluator.open(model, detector, { windows });
    try {
      if (windows && !(await isExact(evaluator, detector, options.space, found))) continue;
      const fits = Math.max(1, Math.floor(BYTES_PER_CHUNK / Math.max(1, evaluator.bytesPerPicture)));
      const fair = Math.ceil(found.pictures.length / (options.processes ?? 1));
      return {
        windows,
        chunk: options.chunk ?? Math.min(fits, LARGEST_CHUNK, Math.max(1, fair)),
        reached: new Set(evaluator.components.map(({ name }) => name)),
      };
    } finally {
      await evaluator.release();
    }
  }
  throw new BitlaneError('INTERNAL', 'the model does not give the same rows twice');
};

interface ChunkPlan {
  readonly key: string;
  readonly pictures: readonly PictureObjects[];
  readonly objects: number;
}

const chunksOf = (pictures: readonly PictureObjects[], size: number): ChunkPlan[] => {
  const chunks: ChunkPlan[] = [];
  for (let at = 0; at < pictures.length; at += size) {
    const own = pictures.slice(at, at + size);
    chunks.push({
      key: sha256(own.map(({ hash, rows }) => [hash, rows])),
      pictures: own,
      objects: own.reduce((sum, { rows }) => sum + rows.length, 0),
    });
  }
  return chunks;
};

/** Rounded layers of all bit-widths: what is kept, and what is missing anew. */
const perturbationsFor = async (
  folder: string,
  model: Model,
  bits: readonly MeasuredBits[],
  options: SignificanceOptions,
): Promise<Perturbations> => {
  const missing = bits.filter((width) => keptPerturbations(folder, [width]) === undefined);
  if (missing.length > 0) {
    const made = await makePerturbations(model, {
      rounding: options.rounding ?? 'gptq',
      bits: missing,
      feeds: options.calibration.feeds,
      reduceRange: options.reduceRange ?? false,
      ...(options.signal && { signal: options.signal }),
      onProgress: (done, all) => options.onProgress?.('rounding', done, all),
    });
    for (const width of missing) keepPerturbations(folder, width, made);
  }
  const kept = keptPerturbations(folder, bits);
  if (kept === undefined)
    throw new BitlaneError('STORE_FAILED', `${folder} does not keep what is written to it`);
  return kept;
};

/** Rows of all objects, by component and variant. */
export type ComponentRows = ReadonlyMap<string, ReadonlyMap<string, Entry>>;

const measureComponents = async (
  folder: string,
  components: readonly Component[],
  reached: ReadonlySet<string>,
  chunks: readonly ChunkPlan[],
  plan: { readonly windows: boolean },
  bits: readonly MeasuredBits[],
  options: SignificanceOptions,
): Promise<ComponentRows> => {
  const width = compactWidth(options.space);
  const names = variantsOf(bits).map(variantName);
  const kept = (chunk: ChunkPlan, index: number): Map<string, Entry> =>
    keptEntries(folder, chunk.key, index, components[index]?.name ?? '', chunk.objects * width);
  let [done, all] = [0, 0];
  const jobs = chunks.flatMap((chunk): WorkerJob[] => {
    const todo = components.flatMap(({ name }, index) => {
      if (!reached.has(name)) return [];
      all++;
      const have = kept(chunk, index);
      const variants = names.filter((variant) => !have.has(variant));
      if (variants.length === 0) done++;
      return variants.length === 0 ? [] : [{ index, variants }];
    });
    const pictures = chunk.pictures.map(({ path, rows }) => ({ path, rows: [...rows] }));
    return todo.length === 0 ? [] : [{ type: 'job', chunk: chunk.key, pictures, todo }];
  });
  options.onProgress?.('measuring', done, all);
  await doJobs(
    {
      type: 'setup',
      model: options.model.path,
      detector: options.model.detector,
      space: { classes: [...options.space.classes], fromModel: [...options.space.fromModel] },
      windows: plan.windows,
      folder,
      bits: [...bits],
    },
    jobs,
    {
      processes: options.processes ?? 1,
      ...(options.signal && { signal: options.signal }),
      onComponent: () => options.onProgress?.('measuring', Math.min(++done, all), all),
    },
  );
  return new Map(
    components.flatMap(({ name }, index) => {
      if (!reached.has(name)) return [];
      const parts = chunks.map((chunk) => kept(chunk, index));
      const entries = names.flatMap((variant): [string, Entry][] => {
        const own = parts.map((part) => part.get(variant));
        if (own.some((entry) => entry === undefined)) return [];
        return [[variant, joined(own.filter((entry) => entry !== undefined))]];
      });
      return [[name, new Map(entries)] as const];
    }),
  );
};

/** Rows one behind the other, squares summed. */
const joined = (entries: readonly Entry[]): Entry => {
  const rows = new Float32Array(entries.reduce((sum, entry) => sum + entry.rows.length, 0));
  let at = 0;
  const sums = { output: { noise: 0, signal: 0 }, input: { noise: 0, signal: 0 } };
  for (const { rows: own, errors } of entries) {
    rows.set(own, at);
    at += own.length;
    for (const side of ['output', 'input'] as const) {
      sums[side].noise += errors[side].noise;
      sums[side].signal += errors[side].signal;
    }
  }
  return { rows, errors: sums };
};

export interface MeasuredSignificance {
  readonly map: SignificanceMap;
  /** Critical pairs with how often they were confused, where the confusion matrix showed them. */
  readonly confusion: FoundObjects['confusion'];
  /** Mean loss of D_crit in FP32; NaN without labels. */
  readonly loss: number;
  readonly isWindowed: boolean;
  /** Everything by object, for comparisons. */
  readonly rows: ComponentRows;
  readonly critical: CriticalSet;
}

/**
 * Measures the significance map of a model. What was measured before is taken from the cache; a run that was killed goes on where it
 * was. Blocks the thread while objects are found and layers rounded; components are evaluated in processes of their own, none of
 * which is left.
 *
 * @throws BitlaneError `BAD_DATASET` where no critical class, or no object of one, is found; `UNSUPPORTED` for a head without class
 *   distribution; `BAD_MODEL` when the model cannot be run; the reason of `signal`
 */
export const measureSignificance = async (options: SignificanceOptions): Promise<MeasuredSignificance> => {
  const { model: source, space, pictures, signal } = options;
  const { bits = [2, 4], rounding = 'gptq' } = options;
  const model = prepareModel(readModel(source.path));
  const components = componentsOf(model);
  if (components.length === 0) {
    throw new BitlaneError(
      'BAD_MODEL',
      'the model has no layer with constant FP32 weights: there is nothing to measure',
    );
  }
  const found = await findObjects(model, source.detector, space, pictures, {
    ...(signal && { signal }),
    onProgress: (done) => options.onProgress?.('finding objects', done, pictures.length),
  });
  const mapped = space.classes.map((_, id) => space.fromModel.includes(id));
  const shown = pairsOf(found.confusion, mapped);
  const pairs = typeof options.pairs === 'function' ? options.pairs(shown) : (options.pairs ?? shown);
  if (pairs.length === 0) {
    throw new BitlaneError(
      'BAD_DATASET',
      'the model confuses no two classes often enough on these pictures: name the critical ones with --pairs a:b, or take more pictures',
    );
  }
  const objects = found.pictures.flatMap(({ truths }, picture): Found[] =>
    truths.map((truth) => ({ picture, truth, hasLabel: pictures[0]?.objects !== undefined })),
  );
  const groups = groupsOf(pairs);
  const critical = new CriticalSet(objects, found.rows, found.pictures.length, {
    groups,
    costs: options.costs ?? [],
  });
  const nameOf = (id: number): string => space.classes[id] ?? '';
  if (critical.size === 0) {
    throw new BitlaneError(
      'BAD_DATASET',
      `the model finds no object of ${groups.flat().map(nameOf).join(', ')} in these ${pictures.length} pictures: there is nothing to measure on`,
    );
  }
  const plan = await planOf(model, options, found);
  const folder = join(
    options.cache,
    sha256([
      'bitlane-significance 1',
      source.id,
      source.detector,
      space.classes,
      space.fromModel,
      rounding,
      options.reduceRange ?? false,
      options.calibration.key,
      plan.windows,
    ]),
  );
  const perturbations = await perturbationsFor(folder, model, bits, options);
  const chunks = chunksOf(found.pictures, plan.chunk);
  const rows = await measureComponents(folder, components, plan.reached, chunks, plan, bits, options);
  const map = summarize({
    model: source.id,
    data: {
      ...options.data,
      pictures: pictures.length,
      fingerprint: sha256(found.pictures.map(({ hash, rows: own, truths }) => [hash, own, truths])),
    },
    critical,
    criticality: {
      classes: groups.flat().map(nameOf),
      pairs: pairs.map(([a, b]) => [nameOf(a), nameOf(b)]),
      groups: groups.map((group) => group.map(nameOf)),
      objects: critical.size,
      allObjects: objects.length,
      labelled: critical.isLabelled,
      costs: (options.costs ?? []).map(({ truth, predicted, cost }) => ({
        truth: nameOf(truth),
        predicted: nameOf(predicted),
        cost,
      })),
    },
    rounding,
    bits,
    components,
    perturbations,
    rows,
    pictures: found.pictures.length,
  });
  return { map, confusion: found.confusion, loss: critical.loss(), isWindowed: plan.windows, rows, critical };
};
