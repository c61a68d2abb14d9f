// Chooses how a model runs in int8 without labels: which parts stay FP32, which functions do, how ranges are found.
import { type Model, writeModel } from '../onnx/index.js';
import { withoutFlats } from './activations.js';
import { allocate, type Allocation, uniformAllocation } from './allocation.js';
import type { Range, RangeMethod } from './calibration.js';
import type { ChannelRanges } from './channels.js';
import { type Component, componentsOf } from './components.js';
import type { Divergence } from './divergence.js';
import { prepareModel } from './prepare.js';
import { type Quantized, quantizeModel, type QuantizeOptions } from './quantize.js';
import { measureRangesBy, rangesNeeded } from './ranges.js';
import type { FeedSource, TapOptions } from './taps.js';

/** One way to run a model in int8, and how far from FP32 it is. */
export interface Int8Candidate {
  readonly allocation: Allocation;
  /** Components in FP32, in the model's order: neighbours all. */
  readonly floatLayers: readonly string[];
  /** Components whose function is computed in FP32 while they are int8. */
  readonly floatFunctions: readonly string[];
  readonly method: RangeMethod;
  readonly divergence: number;
  readonly bytes: Uint8Array;
  readonly quantized: Quantized;
  /** Time of a run in parts of FP32's, where it was measured. */
  readonly latencyRatio?: number;
}

export interface ChooseInt8Options
  extends TapOptions, Pick<QuantizeOptions, 'reduceRange' | 'rounding' | 'grids' | 'knownRanges'> {
  /** Calibration data. */
  readonly feeds: FeedSource;
  /** What is to be small; see `openDivergence`. */
  readonly divergence: Divergence;
  /** Components that may stay FP32 (default 10); they are neighbours, since every change of precision costs time. */
  readonly maxFloatLayers?: number;
  /** Measures models beside FP32 on this device: time in parts of FP32's, for each. Where it is left out time does not count. */
  readonly time?: (models: readonly Uint8Array[]) => Promise<readonly number[]>;
  /** Of `time`: what a candidate may take (default 1). */
  readonly latencyLimit?: number;
  /** Called after each candidate. */
  readonly onProgress?: (done: number, all: number) => void;
}

export interface Int8Choice {
  /** Every component in int8. */
  readonly all: Int8Candidate;
  /** At most `maxFloatLayers` in FP32. */
  readonly best: Int8Candidate;
  /** {@link best} with its FP32 layers in int8 too, and nothing else changed. */
  readonly without: Int8Candidate;
  /** Everything tried, in order. */
  readonly tried: readonly Int8Candidate[];
}

const METHODS = ['percentile', 'mse', 'aciq'] as const;
/** Neighbours that are tried in FP32 together when it is sought where int8 hurts. */
const WINDOW = 8;
/** Lengths of the parts that are tried where it hurts. */
const LENGTHS = [1, 2, 4, 6, 8, 10];
/** A candidate that does less counts as good as the best where its divergence is no larger than this in parts of it. */
const TIE = 1.05;
/** Candidates that are timed, at once. */
const TIMED = 4;

interface Plan {
  readonly layers: readonly string[];
  readonly functions: readonly string[];
  readonly method: RangeMethod;
}

const NOTHING: Plan = { layers: [], functions: [], method: METHODS[0] };

class Search {
  readonly tried: Int8Candidate[] = [];
  readonly names: readonly string[];
  readonly #model: Model;
  readonly #components: readonly Component[];
  readonly #options: ChooseInt8Options;
  readonly #known = new Map<string, Int8Candidate>();
  #ranges: ReadonlyMap<RangeMethod, ReadonlyMap<string, Range>> = new Map();
  #channels: ChannelRanges = new Map();

  constructor(model: Model, components: readonly Component[], options: ChooseInt8Options) {
    this.#model = model;
    this.#components = components;
    this.#options = options;
    this.names = components.map(({ name }) => name);
  }

  /** Most candidates that there can be. */
  get bound(): number {
    return 1 + Math.ceil(this.names.length / WINDOW) + 2 * LENGTHS.length + 2 * (METHODS.length - 1) + 1;
  }

  async measure(prepared: Model): Promise<void> {
    const needed = rangesNeeded(prepared, uniformAllocation(this.#components, 8, 'int8'));
    const sets = await measureRangesBy(METHODS, prepared, needed, this.#options.feeds, this.#options);
    this.#ranges = new Map(
      [...sets].map(([method, ranges]) => [method, withoutFlats(this.#components, ranges)]),
    );
  }

  async try(plan: Plan): Promise<Int8Candidate> {
    const key = JSON.stringify(plan);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#options.signal?.throwIfAborted();
    const { feeds, divergence, reduceRange, rounding, grids, session, signal } = this.#options;
    const layers = new Set(plan.layers);
    const allocation = allocate(this.#components, ({ name }) =>
      layers.has(name) ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
    );
    const ranges = this.#ranges.get(plan.method);
    const quantized = await quantizeModel(this.#model, {
      allocation,
      feeds,
      channels: true,
      floatFunctions: new Set(plan.functions),
      channelRanges: this.#channels,
      method: plan.method,
      ...(ranges !== undefined && { ranges }),
      ...(reduceRange !== undefined && { reduceRange }),
      ...(rounding !== undefined && { rounding }),
      ...(grids !== undefined && { grids }),
      ...(session !== undefined && { session }),
      ...(signal !== undefined && { signal }),
    });
    this.#channels = quantized.channelRanges;
    const bytes = writeModel(quantized.model);
    const candidate: Int8Candidate = {
      allocation,
      floatLayers: plan.layers,
      floatFunctions: plan.functions,
      method: plan.method,
      divergence: await divergence(bytes),
      bytes,
      quantized,
    };
    this.#known.set(key, candidate);
    this.tried.push(candidate);
    this.#options.onProgress?.(this.tried.length, this.bound);
    return candidate;
  }

  async tryAll(plans: readonly Plan[]): Promise<Int8Candidate[]> {
    const candidates: Int8Candidate[] = [];
    for (const plan of plans) candidates.push(await this.try(plan));
    return candidates;
  }

  /** Where FP32 helps most: the first of neighbours that are better in FP32 than any others. */
  async worstPlace(): Promise<number> {
    const plain = await this.try(NOTHING);
    let best = 0;
    let least = plain.divergence;
    for (let start = 0; start < this.names.length; start += WINDOW) {
      const layers = this.names.slice(start, start + WINDOW);
      const { divergence } = await this.try({ ...NOTHING, layers });
      if (divergence < least) [best, least] = [start, divergence];
    }
    return best;
  }

  /** A candidate with every method; the best. */
  async withMethods({ floatLayers, floatFunctions }: Int8Candidate): Promise<Int8Candidate> {
    const plan = { layers: floatLayers, functions: floatFunctions };
    return least(await this.tryAll(METHODS.map((method) => ({ ...plan, method }))));
  }
}

const byDivergence = (candidates: readonly Int8Candidate[]): Int8Candidate[] =>
  candidates.toSorted((a, b) => a.divergence - b.divergence);

const least = (candidates: readonly Int8Candidate[]): Int8Candidate => {
  const [first] = candidates;
  if (first === undefined) throw new RangeError('there are no candidates');
  return candidates.reduce((best, other) => (other.divergence < best.divergence ? other : best), first);
};

/** The first (they come with the least FP32 first) that is as good as the best. */
const simplest = (candidates: readonly Int8Candidate[]): Int8Candidate => {
  const { divergence } = least(candidates);
  return candidates.find((candidate) => candidate.divergence <= divergence * TIE) ?? least(candidates);
};

/** The best candidate that is fast enough; the fastest where none is. */
const fastEnough = async (
  candidates: readonly Int8Candidate[],
  { time, latencyLimit = 1 }: ChooseInt8Options,
): Promise<Int8Candidate> => {
  const ordered = byDivergence(candidates);
  if (time === undefined) return least(ordered);
  const few = ordered.slice(0, TIMED);
  const ratios = await time(few.map(({ bytes }) => bytes));
  const timed = few.map((candidate, i) => ({ ...candidate, latencyRatio: ratios[i] ?? Infinity }));
  const fast = timed.find(({ latencyRatio }) => latencyRatio <= latencyLimit);
  return fast ?? timed.reduce((a, b) => (b.latencyRatio < a.latencyRatio ? b : a));
};

/**
 * Looks for the int8 model that sees most nearly what FP32 sees. Where int8 hurts most is found by trying neighbouring layers in
 * FP32, a window at a time; there functions, or whole layers, are left in FP32, fewer to more, and ranges are found by every
 * method. Deterministic, but for `time`. The number of candidates is bounded; each costs a run over the pictures of the
 * divergence, and those with new places for scales by channel a part of a run over the feeds.
 *
 * @throws BitlaneError as `quantizeModel` and `options.divergence` do
 */
export const chooseInt8 = async (model: Model, options: ChooseInt8Options): Promise<Int8Choice> => {
  const prepared = prepareModel(model);
  const search = new Search(model, componentsOf(prepared), options);
  await search.measure(prepared);
  const start = await search.worstPlace();
  const place = (length: number): readonly string[] => search.names.slice(start, start + length);
  const plain = await search.try(NOTHING);
  const functions = await search.tryAll(LENGTHS.map((length) => ({ ...NOTHING, functions: place(length) })));
  const all = await search.withMethods(simplest([plain, ...functions]));
  const most = options.maxFloatLayers ?? 10;
  const floats = await search.tryAll(
    LENGTHS.filter((length) => length <= most).map((length) => {
      const layers = place(length);
      return {
        method: all.method,
        layers,
        functions: all.floatFunctions.filter((name) => !layers.includes(name)),
      };
    }),
  );
  const near = await fastEnough([all, ...floats], options);
  const best = await search.withMethods(near);
  const ratio = near.latencyRatio === undefined ? {} : { latencyRatio: near.latencyRatio };
  const without = await search.try({
    layers: [],
    functions: best.floatFunctions,
    method: best.method,
  });
  return { all, best: { ...best, ...ratio }, without, tried: search.tried };
};
