// What rounding makes of each component alone: its weights at every bit-width, and the grid of its input.
import type { Model } from '../onnx/index.js';
import {
  arranged,
  type BitWidth,
  channelGrid,
  type ChannelGrid,
  type Component,
  componentsOf,
  dequantizeChannels,
  type FeedSource,
  heldFeeds,
  measureRanges,
  relativeError,
  type Rounding,
  roundWeights,
  uniformAllocation,
  weightRows,
} from '../quantization/index.js';
import type { Perturbation } from './alone.js';

/** Bit-widths that are measured. */
export type MeasuredBits = 2 | 4 | 8;

/** What of a component is rounded. */
export type Kind = 'weights' | 'activations';

export const KINDS: readonly Kind[] = ['weights', 'activations'];

/** One thing that is done to a component. */
export interface Variant {
  readonly kind: Kind;
  readonly bits: MeasuredBits;
}

/** How a variant is written: `w4`, `a2`. */
export const variantName = ({ kind, bits }: Variant): string => `${kind === 'weights' ? 'w' : 'a'}${bits}`;

/** All variants of some bit-widths. */
export const variantsOf = (bits: readonly MeasuredBits[], kinds: readonly Kind[] = KINDS): Variant[] =>
  kinds.flatMap((kind) => bits.map((width) => ({ kind, bits: width })));

/** Weights and bias of one component at one bit-width. */
export interface RoundedLayer {
  readonly weights: Float32Array;
  /** Absent where the bias stays. */
  readonly bias: Float32Array | undefined;
  /** ||w' - w|| / ||w||. */
  readonly relativeError: number;
}

export interface Perturbations {
  /** By component, by bits. */
  readonly weights: ReadonlyMap<string, ReadonlyMap<MeasuredBits, RoundedLayer>>;
  readonly inputs: ReadonlyMap<string, ReadonlyMap<MeasuredBits, ChannelGrid>>;
}

export interface PerturbOptions {
  readonly rounding: Rounding;
  readonly bits: readonly MeasuredBits[];
  /** Calibration data. */
  readonly feeds: FeedSource;
  /** See `RoundingOptions.reduceRange`. */
  readonly reduceRange?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** The FP32 values of a constant. */
export const floatsOf = (model: Model, name: string | undefined): Float32Array | undefined => {
  const tensor = name === undefined ? undefined : model.graph.value(name)?.constant;
  return tensor?.kind === 'dense' && tensor.type === 'float32' ? tensor.data : undefined;
};

const roundedLayers = async (
  model: Model,
  bits: BitWidth,
  components: readonly Component[],
  feeds: FeedSource,
  { rounding, reduceRange, signal }: PerturbOptions,
  onLayer: () => void,
): Promise<Map<string, RoundedLayer>> => {
  const made = await roundWeights(model, uniformAllocation(components, bits, 'fp32'), feeds, {
    rounding,
    alone: true,
    reduceRange: reduceRange ?? false,
    onProgress: onLayer,
    ...(signal && { signal }),
  });
  const after = new Map(componentsOf(made.model).map((component) => [component.name, component]));
  const layers = new Map<string, RoundedLayer>();
  for (const component of components) {
    const codes = made.weights.get(component.name);
    if (codes === undefined) continue;
    const rows = weightRows(component, model.graph.value(component.weight));
    const values = dequantizeChannels(codes.codes, codes.grids);
    layers.set(component.name, {
      weights: arranged(values, component.outputChannels, component.axis),
      bias: floatsOf(made.model, after.get(component.name)?.bias),
      relativeError: relativeError(rows, values),
    });
  }
  return layers;
};

/**
 * Rounds every component as if it alone were rounded, with the rounding that artifacts use; second moments and means come from FP32.
 * Blocks the thread while the model runs.
 *
 * @param model from `prepareModel`
 */
export const makePerturbations = async (model: Model, options: PerturbOptions): Promise<Perturbations> => {
  const components = componentsOf(model);
  const held = await heldFeeds(options.feeds, options.signal);
  const all = options.bits.length * components.length + components.length;
  const weights = new Map<string, Map<MeasuredBits, RoundedLayer>>();
  const inputs = new Map<string, Map<MeasuredBits, ChannelGrid>>();
  for (const { name } of components) {
    weights.set(name, new Map());
    inputs.set(name, new Map());
  }
  let done = 0;
  for (const [index, bits] of options.bits.entries()) {
    done = index * components.length;
    const layers = await roundedLayers(
      model,
      bits,
      components,
      () => held,
      options,
      () => options.onProgress?.(++done, all),
    );
    for (const [name, layer] of layers) weights.get(name)?.set(bits, layer);
  }
  options.onProgress?.(options.bits.length * components.length, all);
  const names = [...new Set(components.map(({ input }) => input))];
  const ranges = await measureRanges(model, names, () => held, {
    ...(options.signal && { signal: options.signal }),
  });
  for (const { name, input } of components) {
    const range = ranges.get(input);
    if (range === undefined) continue;
    for (const bits of options.bits) {
      inputs.get(name)?.set(bits, channelGrid(range.min, range.max, { bits, signed: false }));
    }
  }
  options.onProgress?.(all, all);
  return { weights, inputs };
};

/** What a variant does to a component; undefined where it cannot be rounded. */
export const perturbationOf = (
  { weights, inputs }: Perturbations,
  component: Component,
  { kind, bits }: Variant,
): Perturbation | undefined => {
  switch (kind) {
    case 'weights': {
      const layer = weights.get(component.name)?.get(bits);
      return layer && { kind, weights: layer.weights, bias: layer.bias };
    }
    case 'activations': {
      const grid = inputs.get(component.name)?.get(bits);
      return grid && { kind, grid };
    }
  }
};
