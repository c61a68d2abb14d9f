// Measures the ranges of activations on calibration data.
import type { Model } from '../onnx/index.js';
import { valuesToMeasure, withoutFlats } from './activations.js';
import type { Allocation } from './allocation.js';
import { ActivationObserver, type Range, type RangeMethod, type RangeOptions } from './calibration.js';
import { componentsOf } from './components.js';
import { findRegions } from './regions.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';

export interface MeasureOptions extends RangeOptions, TapOptions {
  /** Default `percentile`. */
  readonly method?: RangeMethod;
  /** Ranges that hold whatever the feeds are, by the name of the value: those are not measured. */
  readonly knownRanges?: ReadonlyMap<string, Range>;
}

/** Elements of a value and picture that go into a range where the method is not to see all of them. */
const SAMPLES = 4_096;

/** Names of the values whose range an allocation needs, in topological order. */
export const rangesNeeded = (
  model: Model,
  allocation: Allocation,
  floatFunctions?: ReadonlySet<string>,
): string[] => valuesToMeasure(findRegions(model, allocation, floatFunctions)).map(({ name }) => name);

/** Of `names`, in their order: what is known, and what `measured` says of the others. */
const joined = (
  names: readonly string[],
  known: ReadonlyMap<string, Range> | undefined,
  measured: (name: string) => Range | undefined,
): Map<string, Range> =>
  new Map(
    names.flatMap((name): [string, Range][] => {
      const range = known?.get(name) ?? measured(name);
      return range === undefined ? [] : [[name, range]];
    }),
  );

/** Watches named values over all feeds. */
const observe = async (
  model: Model,
  names: readonly string[],
  feeds: FeedSource,
  whole: boolean,
  options: TapOptions,
): Promise<Map<string, ActivationObserver>> => {
  const observers = new Map(names.map((name) => [name, new ActivationObserver()]));
  await tapValues(model, names, feeds, (name, values) => observers.get(name)?.observe(values), {
    ...options,
    ...(whole ? {} : { samples: options.samples ?? SAMPLES }),
  });
  return observers;
};

/**
 * Ranges of named values over all feeds.
 *
 * @param model from `prepareModel`
 * @throws BitlaneError `INTERNAL` where there are no feeds, `BAD_MODEL` when the model cannot be run
 */
export const measureRanges = async (
  model: Model,
  names: readonly string[],
  feeds: FeedSource,
  options: MeasureOptions = {},
): Promise<Map<string, Range>> => {
  const { knownRanges, method } = options;
  const unknown = names.filter((name) => knownRanges?.has(name) !== true);
  const observers = await observe(model, unknown, feeds, method === 'min-max', options);
  return joined(names, knownRanges, (name) => observers.get(name)?.range(method, 8, options));
};

/**
 * The ranges that static grids of an allocation follow from: of all that {@link rangesNeeded} names, what functions make flat cut off.
 *
 * @param model from `prepareModel`
 * @throws BitlaneError as {@link measureRanges}
 */
export const activationRanges = async (
  model: Model,
  allocation: Allocation,
  feeds: FeedSource,
  options: MeasureOptions & { readonly floatFunctions?: ReadonlySet<string> } = {},
): Promise<Map<string, Range>> =>
  withoutFlats(
    componentsOf(model),
    await measureRanges(model, rangesNeeded(model, allocation, options.floatFunctions), feeds, options),
  );

/** {@link measureRanges} by several methods, from one pass over the feeds; extremes are those of the samples. */
export const measureRangesBy = async <M extends RangeMethod>(
  methods: readonly M[],
  model: Model,
  names: readonly string[],
  feeds: FeedSource,
  options: Omit<MeasureOptions, 'method'> = {},
): Promise<Map<M, Map<string, Range>>> => {
  const { knownRanges } = options;
  const unknown = names.filter((name) => knownRanges?.has(name) !== true);
  const observers = await observe(model, unknown, feeds, false, options);
  return new Map(
    methods.map((method) => [
      method,
      joined(names, knownRanges, (name) => observers.get(name)?.range(method, 8, options)),
    ]),
  );
};
