// Rounds a model layer by layer, each by what it sees once those before it are rounded, towards what the original gives there.
import { cloneModel, isStatic, type Model, type Node, tensorOf } from '../onnx/index.js';
import type { Tensor } from '../runtime/index.js';
import { adjustedRows } from './adjust.js';
import { type Allocation, allocationOf, channelBits } from './allocation.js';
import { type Component, componentNodes, constantFloats } from './components.js';
import { gptqFit } from './fit.js';
import { type ChannelGrid, dequantizeChannels, quantizeChannels } from './grid.js';
import { type WeightCodes, weightRows } from './packing.js';
import { arranged } from './parts.js';
import { PatchMatrix, patchOf, type PatchShape } from './patches.js';
import { Products } from './products.js';
import { codeBits, isRounded, type RoundingOptions, signed } from './rounding-options.js';
import type { FeedSource } from './taps.js';
import { walk, type WalkOptions } from './walk.js';
import { weightGrids } from './weights.js';

/** Layers of so many bits hardly change: their weights go to nearest, and only their bias is corrected. */
const FINE_BITS = 8;
const DEFAULT_POSITIONS = 64;
const DEFAULT_ADJUSTMENT = 0.5;
/** Columns that a moment matrix is made from, for each of its rows, and the fewest of a picture. */
const SAMPLES_PER_ROW = 16;
const LEAST_POSITIONS = 16;

/** First and second moments of what a layer sees, in the original and now. */
interface Seen {
  /** Means that were taken off: none where the layer has no bias to give them back with. */
  readonly wanted: Float64Array;
  readonly now: Float64Array;
  readonly h: Float64Array;
  readonly difference: Float64Array;
}

export class Feedback {
  readonly weights = new Map<string, WeightCodes>();
  /** Weights in FP32, biases corrected. */
  readonly model: Model;
  readonly #original: Model;
  /** Weights rounded: what later layers see. */
  readonly #rounded: Model;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #kept: ReadonlyMap<string, Node>;
  readonly #allocation: Allocation;
  readonly #options: RoundingOptions;
  /** Memory of the last two matrices. */
  #scratch: readonly (Float32Array | undefined)[] = [];

  constructor(model: Model, allocation: Allocation, options: RoundingOptions) {
    this.#original = model;
    this.model = cloneModel(model);
    this.#rounded = cloneModel(model);
    const byName = (of: Model): Map<string, Node> =>
      new Map([...componentNodes(of)].map(([node, { name }]) => [name, node]));
    this.#nodes = byName(this.#rounded);
    this.#kept = byName(this.model);
    this.#allocation = allocation;
    this.#options = options;
  }

  async run(feeds: FeedSource): Promise<void> {
    const { session, signal, onProgress } = this.#options;
    const components = [...componentNodes(this.#original).values()];
    const blind = components.filter((component, index) => this.#isBlind(component, index === 0));
    for (const component of blind) this.#round(component, undefined);
    const all = components.length;
    let done = blind.length;
    const unseen = new Set(blind);
    const seen = new Set(components.filter((each) => !unseen.has(each)).map(({ name }) => name));
    const products = await Products.open(session);
    const walkOptions: WalkOptions = { ...(session && { session }), ...(signal && { signal }) };
    try {
      await walk(
        this.#original,
        this.#rounded,
        feeds,
        seen,
        async (level, { original, rounded }) => {
          // Layers that see the same share what was seen.
          const views = new Map<string, Promise<Seen | undefined>>();
          for (const component of level) {
            signal?.throwIfAborted();
            const node = this.#nodes.get(component.name);
            const shape = node === undefined ? undefined : patchOf(node, component);
            const key = `${component.input} ${JSON.stringify(shape)} ${component.bias === undefined}`;
            const [wanted = [], now = []] = [original, rounded].map((side) => side.get(component.input));
            const view = views.get(key) ?? this.#look(component, shape, wanted, now, products);
            views.set(key, view);
            this.#round(component, await view);
            onProgress?.(++done, all);
          }
        },
        walkOptions,
      );
    } finally {
      await products.release();
    }
  }

  /**
   * Layers that are not rounded, or without a look at what they see: depthwise ones of 8 bits, whose errors are small and made up for by the
   * next layer, and the first one, before which nothing went wrong. Its input is the largest of all, too.
   */
  #isBlind(component: Component, isFirst: boolean): boolean {
    const isFine = this.#bitsOf(component).every((width) => width >= FINE_BITS);
    return !isRounded(this.#bitsOf(component)) || (isFine && (isFirst || component.groups > 1));
  }

  #bitsOf(component: Component): readonly (2 | 4 | 8 | 32)[] {
    return channelBits(component, allocationOf(this.#allocation, component));
  }

  async #look(
    component: Component,
    shape: PatchShape | undefined,
    original: readonly Tensor[],
    rounded: readonly Tensor[],
    products: Products,
  ): Promise<Seen | undefined> {
    const dims = this.#nodes.get(component.name)?.input(0)?.shape;
    if (shape === undefined || dims === undefined || !isStatic(dims)) return undefined;
    const [height, width] = component.kind === 'Conv' ? [dims[2] ?? 1, dims[3] ?? 1] : [1, 1];
    const size = (shape.channels / (shape.groups ?? 1)) * shape.kernel[0] * shape.kernel[1];
    const enough = Math.ceil((SAMPLES_PER_ROW * size) / Math.max(1, original.length));
    const positions = Math.min(
      this.#options.positions ?? DEFAULT_POSITIONS,
      Math.max(LEAST_POSITIONS, enough),
    );
    const [wanted, now] = [original, rounded].map((tensors, side) => {
      const matrix = new PatchMatrix(shape, positions * tensors.length, positions, this.#scratch[side]);
      for (const { type, data } of tensors) if (type === 'float32') matrix.observe(data, height, width);
      return matrix;
    });
    if (wanted === undefined || now === undefined || wanted.filled === 0) return undefined;
    this.#scratch = [wanted, now].map(({ values }, side) => {
      const held = this.#scratch[side];
      return held !== undefined && held.length > values.length ? held : values;
    });
    const means =
      component.bias === undefined
        ? { wanted: new Float64Array(), now: new Float64Array() }
        : { wanted: wanted.centre(), now: now.centre() };
    const { groups } = wanted.shape;
    const [own, cross] = [
      await products.of(now.values, now.values, groups, size, now.samples),
      await products.of(wanted.values, now.values, groups, size, now.samples),
    ];
    const count = now.filled;
    const h = Float64Array.from(own, (value) => value / count);
    const difference = Float64Array.from(cross, (value, i) => value / count - (h[i] ?? 0));
    return { ...means, h, difference };
  }

  #round(component: Component, seen: Seen | undefined): void {
    const bits = this.#bitsOf(component);
    const [node, kept] = [this.#nodes.get(component.name), this.#kept.get(component.name)];
    if (node === undefined || kept === undefined || !isRounded(bits)) return;
    const { outputChannels: channels, groups } = component;
    const rows = weightRows(component, node.input(1));
    const length = rows.length / channels;
    const wanted = this.#wanted(rows, channels, groups, seen);
    const grids = weightGrids(wanted, channels, codeBits(bits), {
      method: this.#options.grids ?? 'mse',
      reduceRange: this.#options.reduceRange ?? false,
    });
    const made = this.#codes(wanted, grids, bits, seen);
    this.weights.set(component.name, made);
    const values = dequantizeChannels(made.codes, made.grids);
    bits.forEach((width, channel) => {
      if (width !== 32) return;
      values.set(rows.subarray(channel * length, (channel + 1) * length), channel * length);
    });
    const isAlone = this.#options.alone === true;
    if (!isAlone) {
      const tensor = tensorOf('float32', component.weightDims, arranged(values, channels, component.axis));
      node.setInput(1, this.#rounded.graph.addInitializer(`${component.weight}.rounded`, tensor));
    }
    if (seen === undefined || this.#options.biasCorrection === false) return;
    for (const [each, of] of [
      [node, this.#rounded],
      [kept, this.model],
    ] as const) {
      if (isAlone && each === node) continue;
      const bias = constantFloats(each.input(2))?.data;
      if (bias === undefined) continue;
      const corrected = bias.map((value, channel) => {
        const from = Math.floor((channel * groups) / channels) * length;
        let sum = value;
        for (let i = 0; i < length; i++) {
          sum += (rows[channel * length + i] ?? 0) * (seen.wanted[from + i] ?? 0);
          sum -= (values[channel * length + i] ?? 0) * (seen.now[from + i] ?? 0);
        }
        return sum;
      });
      each.setInput(
        2,
        of.graph.addInitializer(`${component.weight}.bias`, tensorOf('float32', [channels], corrected)),
      );
    }
  }

  /** The weights that would be best if they were not rounded. */
  #wanted(rows: Float32Array, channels: number, groups: number, seen: Seen | undefined): Float32Array {
    const { h, difference } = seen ?? {};
    const damping = this.#options.adjustment ?? DEFAULT_ADJUSTMENT;
    if (h === undefined || difference === undefined || !Number.isFinite(damping)) return rows;
    const size = rows.length / channels;
    const perGroup = channels / groups;
    const result = new Float32Array(rows.length);
    for (let group = 0; group < groups; group++) {
      const [from, to] = [group * perGroup * size, (group + 1) * perGroup * size];
      const [start, end] = [group * size * size, (group + 1) * size * size];
      const own = rows.subarray(from, to);
      result.set(
        adjustedRows(own, difference.subarray(start, end), h.subarray(start, end), size, damping),
        from,
      );
    }
    return result;
  }

  #codes(
    rows: Float32Array,
    grids: readonly ChannelGrid[],
    bits: readonly number[],
    seen: Seen | undefined,
  ): WeightCodes {
    if (seen?.h === undefined || bits.every((width) => width >= FINE_BITS)) {
      return { codes: signed(quantizeChannels(rows, grids)), grids };
    }
    return gptqFit(rows, seen.h, grids, {
      ...(this.#options.sweeps !== undefined && { sweeps: this.#options.sweeps }),
      ...(this.#options.damping !== undefined && { damping: this.#options.damping }),
    });
  }
}
