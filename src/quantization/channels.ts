// Scales by channel where the engine's integer kernels have one for a whole activation: at the borders to FP32, where it is free.
import { BitlaneError } from '../errors.js';
import { isStatic, type Model, type Node, type Value } from '../onnx/index.js';
import { ActivationObserver, type Range, type RangeMethod, type RangeOptions } from './calibration.js';
import { dataInputs, type Regions, resultOf } from './regions.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';

/** By the name of a value [1, channels, height, width]: one for each channel. */
export type ChannelRanges = ReadonlyMap<string, readonly Range[]>;

/** Values whose channels can have scales of their own. */
export interface ChannelSites {
  /** Results of int8 convolutions that only FP32 nodes take, by their component's node. */
  readonly results: ReadonlyMap<Node, Value>;
  /** Floats that int8 convolutions take, with those. */
  readonly inputs: ReadonlyMap<Value, readonly Node[]>;
}

/** Channels of a value [1, channels, height, width]; `undefined` for any other. */
export const channelsOf = ({ shape }: Value): number | undefined =>
  shape?.length === 4 && isStatic(shape) && shape[0] === 1 ? shape[1] : undefined;

/** The users of `value` that take its codes. */
const takersOf = (value: Value, { int8 }: Regions): Node[] =>
  value.users.filter((user) => int8.has(user) && dataInputs(user).includes(value));

/** Finds the places where a scale a channel costs the engine nothing. */
export const channelSites = (regions: Regions): ChannelSites => {
  const { components, int8, absorbed, coded } = regions;
  const clamps = new Map([...absorbed].map(([clamp, node]) => [node, clamp]));
  const results = new Map<Node, Value>();
  for (const node of components.keys()) {
    const result = resultOf(node, clamps.get(node));
    if (!int8.has(node) || !node.is('Conv') || result === undefined) continue;
    if (channelsOf(result) !== undefined && takersOf(result, regions).length === 0) results.set(node, result);
  }
  const inputs = new Map<Value, readonly Node[]>();
  for (const value of coded) {
    const maker = value.producer;
    const takers = takersOf(value, regions);
    if (maker === undefined || int8.has(maker) || absorbed.has(maker) || takers.length === 0) continue;
    if (channelsOf(value) === undefined) continue;
    if (takers.every((taker) => taker.is('Conv') && components.has(taker))) inputs.set(value, takers);
  }
  return { results, inputs };
};

export interface ChannelRangeOptions extends RangeOptions, TapOptions {
  /** Default `percentile`. */
  readonly method?: RangeMethod;
}

/** Elements of a channel and picture that go into its range. */
const SAMPLES = 512;
/** Channels that are watched at once: each has a histogram of 64 KiB. */
const CHANNELS = 2048;

class ChannelObserver {
  readonly #observers: readonly ActivationObserver[];

  /** @param whole whether single outliers count */
  constructor(channels: number, whole: boolean) {
    const options = { samples: SAMPLES, sampledExtremes: !whole };
    this.#observers = Array.from({ length: channels }, () => new ActivationObserver(options));
  }

  observe(values: Float32Array): void {
    const area = values.length / this.#observers.length;
    this.#observers.forEach((observer, channel) =>
      observer.observe(values.subarray(channel * area, (channel + 1) * area)),
    );
  }

  ranges(method: RangeMethod | undefined, options: RangeOptions): Range[] {
    return this.#observers.map((observer) => observer.range(method, 8, options));
  }
}

/** Values in batches of a bounded number of channels. */
const batchesOf = (values: readonly Value[]): Value[][] => {
  const batches: Value[][] = [];
  let room = 0;
  for (const value of values) {
    const channels = channelsOf(value) ?? 0;
    const last = batches.at(-1);
    if (last === undefined || channels > room) {
      batches.push([value]);
      room = CHANNELS - channels;
    } else {
      last.push(value);
      room -= channels;
    }
  }
  return batches;
};

/**
 * Ranges of the channels of named values over all feeds. Memory is bounded: many channels take several passes.
 *
 * @param model from `prepareModel`
 * @throws BitlaneError `INTERNAL` for a value that is no [1, channels, height, width], `BAD_MODEL` when the model cannot be run
 */
export const measureChannelRanges = async (
  model: Model,
  names: readonly string[],
  feeds: FeedSource,
  options: ChannelRangeOptions = {},
): Promise<Map<string, Range[]>> => {
  const values = names.map((name) => {
    const value = model.graph.value(name);
    if (value !== undefined && channelsOf(value) !== undefined) return value;
    throw new BitlaneError('INTERNAL', `${name} is no value of [1, channels, height, width]`);
  });
  const ranges = new Map<string, Range[]>();
  for (const batch of batchesOf(values)) {
    const whole = options.method === 'min-max';
    const observers = new Map(
      batch.map((value) => [value.name, new ChannelObserver(channelsOf(value) ?? 0, whole)]),
    );
    await tapValues(model, [...observers.keys()], feeds, (name, data) => observers.get(name)?.observe(data), {
      ...options,
    });
    for (const [name, observer] of observers) ranges.set(name, observer.ranges(options.method, options));
  }
  return ranges;
};
