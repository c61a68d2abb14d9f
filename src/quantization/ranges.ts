// Measures the ranges of activations on calibration data.
import type { Model } from '../onnx/index.js';
import { valuesToMeasure } from './activations.js';
import type { Allocation } from './allocation.js';
import { ActivationObserver, type Range, type RangeMethod, type RangeOptions } from './calibration.js';
import { findRegions } from './regions.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';

export interface MeasureOptions extends RangeOptions, TapOptions {
  /** Default `percentile`. */
  readonly method?: RangeMethod;
}

/** Elements of a value and picture that go into a range where the method is not to see all of them. */
const SAMPLES = 8_192;

/** Names of the values whose range an allocation needs, in topological order. */
export const rangesNeeded = (model: Model, allocation: Allocation): string[] =>
  valuesToMeasure(findRegions(model, allocation)).map(({ name }) => name);

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
  const observers = new Map(names.map((name) => [name, new ActivationObserver()]));
  const isWhole = options.method === 'min-max';
  await tapValues(model, names, feeds, (name, values) => observers.get(name)?.observe(values), {
    ...options,
    ...(isWhole ? {} : { samples: options.samples ?? SAMPLES }),
  });
  return new Map(
    [...observers].map(([name, observer]) => [name, observer.range(options.method, 8, options)]),
  );
};
