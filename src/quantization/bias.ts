// Bias correction (Nagel 2019): rounding moves the mean of each output channel; the bias takes that back.
import { BitlaneError } from '../errors.js';
import { rowLength } from './grid.js';

/** Mean of each channel of an activation, as it streams by. */
export class ChannelMeans {
  readonly #sums: Float64Array;
  #count = 0;

  constructor(channels: number) {
    this.#sums = new Float64Array(channels);
  }

  /**
   * @param values [pictures, channels, ...], row-major
   * @param area values of a channel in one picture
   * @throws BitlaneError `INTERNAL` for values that are no whole pictures
   */
  observe(values: Float32Array, area: number): void {
    const channels = this.#sums.length;
    const planes = values.length / area;
    if (!Number.isInteger(planes / channels)) {
      throw new BitlaneError('INTERNAL', `${values.length} values are no pictures of ${channels} channels`);
    }
    for (let plane = 0; plane < planes; plane++) {
      let a = 0;
      let b = 0;
      const end = (plane + 1) * area;
      let i = plane * area;
      for (; i + 1 < end; i += 2) {
        a += values[i] ?? 0;
        b += values[i + 1] ?? 0;
      }
      if (i < end) a += values[i] ?? 0;
      const channel = plane % channels;
      this.#sums[channel] = (this.#sums[channel] ?? 0) + a + b;
    }
    this.#count += (planes / channels) * area;
  }

  /** One for each channel; 0 where nothing was seen. */
  means(): Float64Array {
    return this.#sums.map((sum) => sum / Math.max(1, this.#count));
  }
}

/**
 * How far the mean of each output channel moves when `weights` become `rounded`.
 *
 * @param weights [output channels, inputs of a group, ...], row-major
 * @param means of the input: one for each input channel (padding then counts as if it were the mean), or one for each value of a
 *   patch ({@link PatchMoments.first}: exact), [groups, inputs of a group (x kernel)]
 * @param channels output channels
 */
export const outputShift = (
  weights: Float32Array,
  rounded: Float32Array,
  means: Float64Array,
  channels: number,
  groups: number,
): Float64Array => {
  const length = rowLength(weights.length, channels);
  const perGroup = means.length / groups;
  const area = length / perGroup;
  if (rounded.length !== weights.length || !Number.isInteger(area) || !Number.isInteger(channels / groups)) {
    throw new BitlaneError(
      'INTERNAL',
      `${means.length} means in ${groups} groups do not fit ${channels} channels of ${length} weights`,
    );
  }
  const shift = new Float64Array(channels);
  for (let channel = 0; channel < channels; channel++) {
    const from = Math.floor((channel * groups) / channels) * perGroup;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const i = channel * length + k;
      sum += ((rounded[i] ?? 0) - (weights[i] ?? 0)) * (means[from + Math.floor(k / area)] ?? 0);
    }
    shift[channel] = sum;
  }
  return shift;
};

/** A bias that takes the shift back; of zeros where there was none. */
export const correctedBias = (bias: Float32Array | undefined, shift: Float64Array): Float32Array =>
  Float32Array.from(shift, (value, channel) => (bias?.[channel] ?? 0) - value);
