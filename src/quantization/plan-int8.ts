// How an artifact runs in int8 on this device: sought with its own pictures and clock, then laid over any allocation.
import { readFileSync } from 'node:fs';
import { readModel } from '../onnx/index.js';
import type { Artifact } from '../registry/index.js';
import type { Allocation, ComponentAllocation } from './allocation.js';
import { pixelRanges } from './byte-input.js';
import { chooseInt8, type Int8Candidate, type Int8Choice } from './choose-int8.js';
import { openDivergence } from './divergence.js';
import type { QuantizeOptions } from './quantize.js';
import type { FeedSource } from './taps.js';
import { latencyRatio, timeBytes } from './timing.js';

export interface PlanInt8Options {
  /** Pictures for ranges; run many times, so hold them (`heldFeeds`). */
  readonly feeds: FeedSource;
  /** Pictures on which candidates are compared with the original. */
  readonly compared: FeedSource;
  /** Layers that may stay in FP32 (default 10). */
  readonly maxFloatLayers?: number;
  readonly reduceRange?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** Timing is noise: what is chosen has this to spare against FP32. */
const LATENCY_LIMIT = 0.99;
/** Runs of each candidate that is timed. */
const ROUNDS = 60;

/**
 * Seeks how a model runs in int8 (`chooseInt8`), candidates timed beside the original on this device. Blocks the thread while
 * models run: minutes.
 *
 * @throws BitlaneError as `chooseInt8` and `timeModels` do
 */
export const planInt8 = async (parent: Artifact, options: PlanInt8Options): Promise<Int8Choice> => {
  const { feeds, compared, maxFloatLayers, reduceRange, signal, onProgress } = options;
  const original = new Uint8Array(readFileSync(parent.modelPath));
  const { detector } = parent.manifest;
  const { name, width, height } = detector.input;
  return chooseInt8(readModel(parent.modelPath), {
    feeds,
    divergence: await openDivergence(original, detector, compared, signal),
    time: async (models) => {
      const [first = [], ...others] = await timeBytes([original, ...models], {
        input: { name, dims: [1, 3, height, width] },
        rounds: ROUNDS,
        ...(signal !== undefined && { signal }),
      });
      return others.map((times) => latencyRatio(first, times).value);
    },
    latencyLimit: LATENCY_LIMIT,
    knownRanges: pixelRanges(detector.input),
    ...(maxFloatLayers !== undefined && { maxFloatLayers }),
    ...(reduceRange !== undefined && { reduceRange }),
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && { onProgress }),
  });
};

const inFloats = ({ bits }: ComponentAllocation): ComponentAllocation =>
  // Whole weights where the layer is to be precise; stored bits stay where they are what the file is small by.
  typeof bits === 'number' && bits >= 8 ? { bits: 32, execution: 'fp32' } : { bits, execution: 'fp32' };

/** Options of `quantizeModel` that run `allocation` the way that was found, with the ranges that were measured meanwhile. */
export const alongPlan = (
  allocation: Allocation,
  { floatLayers, floatFunctions, method, quantized }: Int8Candidate,
): Pick<
  QuantizeOptions,
  'allocation' | 'channels' | 'floatFunctions' | 'ranges' | 'channelRanges' | 'method'
> => {
  const floats = new Set(floatLayers);
  return {
    allocation: {
      ...allocation,
      components: Object.fromEntries(
        Object.entries(allocation.components).map(([name, component]) => [
          name,
          floats.has(name) ? inFloats(component) : component,
        ]),
      ),
    },
    channels: true,
    floatFunctions: new Set(floatFunctions),
    ranges: quantized.ranges,
    channelRanges: quantized.channelRanges,
    method,
  };
};
