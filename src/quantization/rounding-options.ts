// How weights are rounded: the options, and what every way of rounding starts from.
import type { BitWidth } from './allocation.js';
import type { TapOptions } from './taps.js';
import type { WeightGridOptions } from './weights.js';

export type Rounding = 'nearest' | 'gptq';

export interface RoundingOptions extends TapOptions {
  /** Default `nearest`. */
  readonly rounding?: Rounding;
  /** 7-bit codes for 8-bit weights: exact where the CPU has no 8-bit dot product (default false). */
  readonly reduceRange?: boolean;
  /** How the grids of weights are found (default `mse`). */
  readonly grids?: WeightGridOptions['method'];
  /** Of `gptq`: rounds of moving single weights and scales afterwards (default 4). */
  readonly sweeps?: number;
  /** Of `gptq`: see `GptqOptions.damping`. */
  readonly damping?: number;
  /** Of `gptq`: how near weights stay to what they were while they make up for earlier layers (default 0.5; Infinity: they do not). */
  readonly adjustment?: number;
  /** Of `gptq`: positions of a picture that each layer looks at (default 64). */
  readonly positions?: number;
  /** Let the bias take back how far the mean of a channel has moved (default: with `gptq`). Takes the feeds. */
  readonly biasCorrection?: boolean;
  /** Of `gptq`: round each layer as if no other were (default false): what rounding it alone does, not what a whole model needs. */
  readonly alone?: boolean;
  /** Of `gptq`: layers that are done. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** Bits of the codes of a channel: those of 32 bits get any, nobody looks at them. */
export const codeBits = (bits: readonly BitWidth[]): number[] =>
  bits.map((width) => (width === 32 ? 8 : width));

export const isRounded = (bits: readonly BitWidth[]): boolean => bits.some((width) => width !== 32);

export const signed = (codes: Int8Array | Uint8Array): Int8Array =>
  codes instanceof Int8Array ? codes : Int8Array.from(codes);
