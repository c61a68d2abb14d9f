// What every measurement stands on: objects of D_crit, their temperature, rounded layers, and the folder where all of it is kept.
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
import { keepPerturbations, keptPerturbations } from './cache.js';
import type { ClassSpace } from './compact.js';
import { groupsOf, type Pair, pairsOf } from './critical.js';
import type { SignificanceMap } from './map.js';
import { type Cost, CriticalSet, type Found, objectsOf } from './measures.js';
import { findObjects, type FoundObjects, type LabelledPicture } from './objects.js';
import { type Kind, makePerturbations, type MeasuredBits, type Perturbations } from './perturb.js';
import { type EvaluationPlan, planOf, sha256 } from './plan.js';

/** What is being done, for a progress bar. */
export type SignificanceStep = 'finding objects' | 'rounding' | 'measuring' | 'estimating' | 'information';

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
  /** What is rounded (default both). */
  readonly kinds?: readonly Kind[];
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
  /** Fisher information and Hessian traces of the weights too (default false). */
  readonly baselines?: boolean;
  /** Pictures that a process takes at once (default: what fits into 256 MiB, 32 at most). */
  readonly chunk?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: SignificanceStep, done: number, all: number) => void;
}

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

/** What a measurement starts from. */
export interface Ground {
  readonly model: Model;
  readonly components: readonly Component[];
  readonly found: FoundObjects;
  readonly critical: CriticalSet;
  /** All objects that were found. */
  readonly objects: readonly Found[];
  readonly plan: EvaluationPlan;
  /** Where what is measured of this model, with this rounding, is kept. */
  readonly folder: string;
  readonly perturbations: Perturbations;
  /** As the map says them. */
  readonly data: SignificanceMap['data'];
  readonly criticality: SignificanceMap['critical'];
}

/**
 * Finds the objects and rounds the layers, or takes what is kept of them. Blocks the thread.
 *
 * @throws BitlaneError `BAD_DATASET` where no critical class, or no object of one, is found; `UNSUPPORTED` for a head without class
 *   distribution; `BAD_MODEL` when the model cannot be run; the reason of `signal`
 */
export const groundOf = async (options: SignificanceOptions): Promise<Ground> => {
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
  const objects = objectsOf(found.pictures, pictures[0]?.objects !== undefined);
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
  const processes = options.processes ?? 1;
  const plan = await planOf(
    model,
    {
      detector: source.detector,
      space,
      processes,
      wholeHeads: options.wholeHeads ?? false,
      chunk: options.chunk,
    },
    found,
  );
  const folder = join(
    options.cache,
    sha256([
      'bitlane-significance 2',
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
  return {
    model,
    components,
    found,
    critical,
    objects,
    plan,
    folder,
    perturbations,
    data: {
      ...options.data,
      pictures: pictures.length,
      fingerprint: sha256(found.pictures.map(({ hash, rows: own, truths }) => [hash, own, truths])),
    },
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
  };
};
