// Weights onto their grids: to nearest, or with error feedback on what the layers see of the calibration data.
import { cloneModel, isStatic, type Model, type Node, sizeOf, tensorOf } from '../onnx/index.js';
import { type Allocation, allocationOf, type BitWidth, channelBits } from './allocation.js';
import { correctedBias, outputShift } from './bias.js';
import { type Component, componentNodes, constantFloats } from './components.js';
import { gptqRound } from './gptq.js';
import { type ChannelGrid, dequantizeChannels, quantizeChannels } from './grid.js';
import { PatchMoments, type PatchShape } from './moments.js';
import { arranged, type WeightCodes, weightRows } from './packing.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';
import { weightGrids, type WeightGridOptions } from './weights.js';

export type Rounding = 'nearest' | 'gptq';

export interface RoundingOptions extends TapOptions {
  /** Default `nearest`. */
  readonly rounding?: Rounding;
  /** 7-bit codes for 8-bit weights: exact where the CPU has no 8-bit dot product (default false). */
  readonly reduceRange?: boolean;
  /** How the grids of weights are found (default `mse`). */
  readonly grids?: WeightGridOptions['method'];
  /** Of `gptq`: parts of the network that are rounded one after another, each seeing what those before left (default 8). */
  readonly stages?: number;
  /** Of `gptq`: rounds of moving single weights afterwards (default 1). */
  readonly sweeps?: number;
  /** Of `gptq`: positions of a picture that each layer looks at (default 128). */
  readonly positions?: number;
  /** Of `gptq`: let the bias take back how far rounding moves the mean of a channel (default true). */
  readonly biasCorrection?: boolean;
  readonly onProgress?: (done: number, all: number) => void;
}

export interface RoundedWeights {
  /** By the name of the component. */
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** The model with FP32 weights and the biases that go with the rounded ones. */
  readonly model: Model;
}

/** Bits of the codes of a channel: those of 32 bits get any, nobody looks at them. */
const codeBits = (bits: readonly BitWidth[]): number[] => bits.map((width) => (width === 32 ? 8 : width));

const isRounded = (bits: readonly BitWidth[]): boolean => bits.some((width) => width !== 32);

const gridsOf = (
  component: Component,
  rows: Float32Array,
  bits: readonly BitWidth[],
  options: RoundingOptions,
): ChannelGrid[] =>
  weightGrids(rows, component.outputChannels, codeBits(bits), {
    method: options.grids ?? 'mse',
    reduceRange: options.reduceRange ?? false,
  });

const signed = (codes: Int8Array | Uint8Array): Int8Array =>
  codes instanceof Int8Array ? codes : Int8Array.from(codes);

/** A layer's view of its input; `undefined` where it is no two-dimensional convolution or matrix product. */
const patchOf = (node: Node, component: Component): PatchShape | undefined => {
  const { weightDims: dims, groups, kernel } = component;
  if (component.kind !== 'Conv') {
    return { channels: dims[1 - component.axis] ?? 0, kernel: [1, 1] };
  }
  const [height, width] = kernel;
  if (kernel.length !== 2 || height === undefined || width === undefined) return undefined;
  const pair = (name: string): [number, number] => {
    const [a = 1, b = 1] = node.ints(name) ?? [];
    return [a, b];
  };
  const [stride, dilation] = [pair('strides'), pair('dilations')];
  const pads = padsOf(node, kernel, stride, dilation);
  if (pads === undefined) return undefined;
  return { channels: (dims[1] ?? 0) * groups, kernel: [height, width], stride, dilation, pads, groups };
};

const padsOf = (
  node: Node,
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): [number, number, number, number] | undefined => {
  const mode = node.text('auto_pad', 'NOTSET');
  if (mode === 'NOTSET') {
    const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? [];
    return [top, left, bottom, right];
  }
  if (mode === 'VALID') return [0, 0, 0, 0];
  const shape = node.input(0)?.shape;
  if (shape === undefined || !isStatic(shape)) return undefined;
  const [y, x] = [2, 3].map((axis, i) => {
    const [size, step] = [shape[axis] ?? 0, stride[i] ?? 1];
    const all = (Math.ceil(size / step) - 1) * step + ((kernel[i] ?? 1) - 1) * (dilation[i] ?? 1) + 1 - size;
    const [less, more] = [Math.floor(Math.max(0, all) / 2), Math.ceil(Math.max(0, all) / 2)];
    return mode === 'SAME_UPPER' ? [less, more] : [more, less];
  });
  return [y?.[0] ?? 0, x?.[0] ?? 0, y?.[1] ?? 0, x?.[1] ?? 0];
};

/** Rounds layers of a model of its own, whose weights become what the codes say. */
class Feedback {
  readonly weights = new Map<string, WeightCodes>();
  /** Weights rounded: what later layers see. */
  readonly #rounded: Model;
  /** Weights in FP32, biases corrected. */
  readonly model: Model;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #kept: ReadonlyMap<string, Node>;
  readonly #allocation: Allocation;
  readonly #options: RoundingOptions;

  constructor(model: Model, allocation: Allocation, options: RoundingOptions) {
    this.model = cloneModel(model);
    this.#rounded = cloneModel(model);
    const byName = (of: Model): Map<string, Node> =>
      new Map([...componentNodes(of)].map(([node, { name }]) => [name, node]));
    this.#nodes = byName(this.#rounded);
    this.#kept = byName(this.model);
    this.#allocation = allocation;
    this.#options = options;
  }

  /** Rounds the layers of one stage, each by what it sees of the model as it is before the stage. */
  async stage(components: readonly Component[], feeds: FeedSource): Promise<void> {
    const watched = components.flatMap((component) => {
      const node = this.#nodes.get(component.name);
      const shape = node === undefined ? undefined : patchOf(node, component);
      const dims = node?.input(0)?.shape;
      if (shape === undefined || dims === undefined || !isStatic(dims)) return [];
      const { positions } = this.#options;
      const moments = new PatchMoments(shape, positions === undefined ? {} : { positions });
      const [height, width] = component.kind === 'Conv' ? [dims[2] ?? 1, dims[3] ?? 1] : [1, 1];
      return [{ component, moments, height, width }];
    });
    await tapValues(
      this.#rounded,
      [...new Set(watched.map(({ component }) => component.input))],
      feeds,
      (name, values) => {
        for (const { component, moments, height, width } of watched) {
          if (component.input === name) moments.observe(values, height, width);
        }
      },
      this.#options,
    );
    const moments = new Map(watched.map((each) => [each.component.name, each.moments]));
    for (const component of components) this.#round(component, moments.get(component.name));
  }

  #round(component: Component, moments: PatchMoments | undefined): void {
    const bits = channelBits(component, allocationOf(this.#allocation, component));
    const [node, kept] = [this.#nodes.get(component.name), this.#kept.get(component.name)];
    if (node === undefined || kept === undefined || !isRounded(bits)) return;
    const rows = weightRows(component, node.input(1));
    const grids = gridsOf(component, rows, bits, this.#options);
    const codes =
      moments === undefined
        ? quantizeChannels(rows, grids)
        : gptqRound(rows, moments.second(), grids, { sweeps: this.#options.sweeps ?? 1 }).codes;
    this.weights.set(component.name, { codes: signed(codes), grids });
    const values = dequantizeChannels(codes, grids);
    const length = rows.length / component.outputChannels;
    bits.forEach((width, channel) => {
      if (width !== 32) return;
      values.set(rows.subarray(channel * length, (channel + 1) * length), channel * length);
    });
    const { graph } = this.#rounded;
    const tensor = tensorOf(
      'float32',
      component.weightDims,
      arranged(values, component.outputChannels, component.axis),
    );
    node.setInput(1, graph.addInitializer(`${component.weight}.rounded`, tensor));
    if (moments !== undefined && this.#options.biasCorrection !== false) {
      const shift = outputShift(rows, values, moments.first(), component.outputChannels, component.groups);
      for (const [each, of] of [
        [node, this.#rounded],
        [kept, this.model],
      ] as const) {
        const bias = constantFloats(each.input(2))?.data;
        if (bias === undefined) continue;
        const corrected = correctedBias(bias, shift);
        each.setInput(
          2,
          of.graph.addInitializer(
            `${component.weight}.bias`,
            tensorOf('float32', [corrected.length], corrected),
          ),
        );
      }
    }
  }
}

/** Consecutive layers with about as many multiply-accumulates a part. */
const stagesOf = (components: readonly Component[], count: number): Component[][] => {
  const cost = ({ macs, weightDims }: Component): number => macs ?? sizeOf(weightDims);
  const all = components.reduce((sum, component) => sum + cost(component), 0);
  const stages: Component[][] = Array.from({ length: Math.max(1, count) }, () => []);
  let before = 0;
  for (const component of components) {
    stages[Math.min(stages.length - 1, Math.floor((before / all) * stages.length))]?.push(component);
    before += cost(component);
  }
  return stages.filter((stage) => stage.length > 0);
};

const DEFAULT_STAGES = 8;

/** How often {@link roundWeights} takes the feeds. */
export const passesOf = ({ rounding = 'nearest', stages = DEFAULT_STAGES }: RoundingOptions): number => {
  switch (rounding) {
    case 'nearest':
      return 0;
    case 'gptq':
      return stages;
  }
};

/**
 * Codes for the weights of every component that has fewer than 32 bits somewhere.
 *
 * @param model from `prepareModel`; it is not changed
 * @param feeds of `gptq`: what the layers see; run once a stage, up to that stage
 * @throws BitlaneError `BAD_CONFIG` when the allocation does not fit
 */
export const roundWeights = async (
  model: Model,
  allocation: Allocation,
  feeds: FeedSource,
  options: RoundingOptions = {},
): Promise<RoundedWeights> => {
  const components = [...componentNodes(model).values()];
  if ((options.rounding ?? 'nearest') === 'nearest') {
    const weights = new Map<string, WeightCodes>();
    for (const component of components) {
      const bits = channelBits(component, allocationOf(allocation, component));
      if (!isRounded(bits)) continue;
      const rows = weightRows(component, model.graph.value(component.weight));
      const grids = gridsOf(component, rows, bits, options);
      weights.set(component.name, { codes: signed(quantizeChannels(rows, grids)), grids });
    }
    return { weights, model };
  }
  const feedback = new Feedback(model, allocation, options);
  let done = 0;
  for (const stage of stagesOf(components, options.stages ?? DEFAULT_STAGES)) {
    await feedback.stage(stage, feeds);
    done += stage.length;
    options.onProgress?.(done, components.length);
  }
  return { weights: feedback.weights, model: feedback.model };
};
