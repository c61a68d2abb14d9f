// Writes an allocation into a model: packed weights, integer regions with their borders, everything else as it was.
import { BitlaneError } from '../errors.js';
import {
  cloneModel,
  float,
  type Graph,
  inferShapes,
  int,
  type Model,
  type Node,
  removeDeadNodes,
  removeUnusedInitializers,
  runPasses,
  tensorOf,
  type Value,
} from '../onnx/index.js';
import { activationGrids } from './activations.js';
import { type Allocation, allocationOf, channelBits, checkAllocation } from './allocation.js';
import type { Range } from './calibration.js';
import { type Component, constantFloats } from './components.js';
import type { ChannelGrid } from './grid.js';
import { addFloatWeights, addIntegerWeights, type PackingPlace, SHORT, type WeightCodes } from './packing.js';
import { clamped, dataInputs, findRegions, isMover, type Regions, resultOf } from './regions.js';

export interface RewriteOptions {
  readonly allocation: Allocation;
  /** By the name of the value; of those that `valuesToMeasure` names. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** By the name of the component; of all that have fewer than 32 bits somewhere. */
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** Hold all codes in INT8 initializers: the same function in a larger file (default false). */
  readonly unpacked?: boolean;
}

/** Where the result of a component is to be found in both models. */
export interface RewrittenComponent {
  readonly component: Component;
  /** The value in the prepared model. */
  readonly reference: string;
  /** The value in the rewritten one: codes on `grid` where the component runs in int8, floats where there is none. */
  readonly rewritten: string;
  readonly grid: ChannelGrid | undefined;
}

export interface Rewritten {
  readonly model: Model;
  readonly components: readonly RewrittenComponent[];
}

const outputOf = (node: Node): Value => {
  const output = node.output();
  if (output === undefined) throw new BitlaneError('INTERNAL', `${node.label} has no output`);
  return output;
};

/** How far an INT32 bias may go: half of it, since the kernel adds products to it. */
const BIAS_LIMIT = 2 ** 30;

class Rewriter {
  readonly graph: Graph;
  readonly regions: Regions;
  readonly #grids: ReadonlyMap<Value, ChannelGrid>;
  readonly #options: RewriteOptions;
  readonly #clamps: ReadonlyMap<Node, Node>;
  readonly #codes = new Map<Value, Value>();
  readonly #dequantized = new Map<Value, Value>();
  /** Scale and zero point of each grid, and zero points by their value. */
  readonly #scales = new Map<ChannelGrid, Value>();
  readonly #zeros = new Map<number, Value>();
  /** Values that are quantized from another value, which stands for the same codes. */
  readonly #sources = new Map<Value, Value>();
  /** Values whose float form is gone: everybody takes the codes. */
  readonly #gone = new Set<Value>();

  constructor(model: Model, options: RewriteOptions) {
    this.graph = model.graph;
    this.#options = options;
    this.regions = findRegions(model, options.allocation);
    this.#grids = activationGrids(this.regions, options.ranges);
    this.#clamps = new Map([...this.regions.absorbed].map(([clamp, node]) => [node, clamp]));
  }

  rewrite(): void {
    for (const node of [...this.graph.nodes()]) {
      if (this.regions.absorbed.has(node)) continue;
      if (!this.regions.int8.has(node)) this.#float(node);
      else if (isMover(node)) this.#move(node);
      else if (node.is('Concat') && this.#isPlainConcat(node)) this.#move(node);
      else this.#kernel(node);
    }
    for (const value of this.#gone) {
      if (value.isOutput || value.captors.length > 0) {
        const codes = this.#codes.get(value);
        const quantizer = value.users.filter((user) => user.output() === codes);
        this.graph.replaceUses(value, this.dequantized(value), quantizer);
      }
    }
  }

  /** What a component gives, and the grid where that is codes. */
  resultIn(node: Node): { readonly rewritten: string; readonly grid: ChannelGrid | undefined } {
    const result = resultOf(node, this.#clamps.get(node)) ?? outputOf(node);
    const codes = this.#gone.has(result) ? this.#codes.get(result) : undefined;
    return codes === undefined
      ? { rewritten: result.name, grid: undefined }
      : { rewritten: codes.name, grid: this.#gridOf(result) };
  }

  #gridOf(value: Value): ChannelGrid {
    const grid = this.#grids.get(value);
    if (grid === undefined) throw new BitlaneError('INTERNAL', `${value.name} has no grid`);
    return grid;
  }

  #parameters(grid: ChannelGrid): [Value, Value] {
    const scale =
      this.#scales.get(grid) ??
      this.graph.addInitializer(SHORT, tensorOf('float32', [], Float32Array.of(grid.scale)));
    this.#scales.set(grid, scale);
    const zero =
      this.#zeros.get(grid.zeroPoint) ??
      this.graph.addInitializer(SHORT, tensorOf('uint8', [], Uint8Array.of(grid.zeroPoint)));
    this.#zeros.set(grid.zeroPoint, zero);
    return [scale, zero];
  }

  /** The codes of a value; made from its floats where no node gives them. */
  #codesOf(value: Value): Value {
    const known = this.#codes.get(value);
    if (known !== undefined) return known;
    const codes = this.#quantized(this.#sources.get(value) ?? value, value);
    this.#codes.set(value, codes);
    return codes;
  }

  #quantized(from: Value, value: Value): Value {
    const maker = from.producer;
    const first = [...this.graph.nodes()][0];
    const place =
      maker !== undefined ? { after: maker } : first === undefined ? undefined : { before: first };
    const node = this.graph.addNode(
      {
        opType: 'QuantizeLinear',
        inputs: [from, ...this.#parameters(this.#gridOf(value))],
        outputs: [this.graph.uniqueName(SHORT)],
      },
      place,
    );
    const codes = outputOf(node);
    codes.type = 'uint8';
    codes.shape = value.shape;
    return codes;
  }

  /** A value as floats again; one node for all its users. */
  dequantized(value: Value): Value {
    const known = this.#dequantized.get(value);
    if (known !== undefined) return known;
    const codes = this.#codesOf(value);
    const node = this.graph.addNode(
      {
        opType: 'DequantizeLinear',
        inputs: [codes, ...this.#parameters(this.#gridOf(value))],
        outputs: [this.graph.uniqueName(SHORT)],
      },
      codes.producer === undefined ? undefined : { after: codes.producer },
    );
    const floats = outputOf(node);
    floats.type = 'float32';
    floats.shape = value.shape;
    this.#dequantized.set(value, floats);
    return floats;
  }

  /** A node that computes in floats: what is there as codes only is dequantized for it. */
  #float(node: Node): void {
    node.inputs.forEach((value, index) => {
      if (value !== undefined && this.#gone.has(value)) node.setInput(index, this.dequantized(value));
    });
    const component = this.regions.components.get(node);
    if (component !== undefined) this.#floatWeights(node, component);
    if (node.is('Conv', 'ConvTranspose', 'Gemm')) this.#shield(node);
  }

  /**
   * onnxruntime quantizes the weights of a layer that has codes before and behind it, a Relu or Clip between or not, without
   * being asked. A LeakyRelu that changes nothing stands between: it fuses into the layer and costs nothing.
   */
  #shield(node: Node): void {
    const output = node.output();
    if (output === undefined || node.input(0)?.producer?.is('DequantizeLinear') !== true) return;
    const clamp = clamped(node);
    const result = (clamp ?? node).output();
    if (result === undefined || !this.#grids.has(result)) return;
    if (clamp?.is('Relu') === true) {
      clamp.opType = 'LeakyRelu';
      clamp.setAttribute('alpha', float(0));
      return;
    }
    // With other users it is no such pattern, and nothing would fuse with it.
    if (output.isOutput || output.users.length > 1) return;
    const shield = this.graph.addNode(
      { opType: 'LeakyRelu', name: SHORT, inputs: [output], attributes: { alpha: float(1) } },
      { after: node },
    );
    const shielded = outputOf(shield);
    shielded.type = 'float32';
    shielded.shape = output.shape;
    if (clamp === undefined) this.#sources.set(result, shielded);
    else clamp.setInput(0, shielded);
  }

  #place(node: Node, component: Component): PackingPlace {
    return {
      graph: this.graph,
      node,
      component,
      bits: channelBits(component, allocationOf(this.#options.allocation, component)),
      weights: this.#options.weights.get(component.name),
      unpacked: this.#options.unpacked === true,
    };
  }

  #floatWeights(node: Node, component: Component): void {
    const place = this.#place(node, component);
    if (place.bits.every((width) => width === 32)) return;
    node.setInput(1, addFloatWeights(place));
  }

  /** A node that does the same to codes as to what they stand for. */
  #move(node: Node): void {
    const data = new Set(dataInputs(node));
    const moved = this.graph.addNode(
      {
        opType: node.opType,
        name: node.name,
        inputs: node.inputs.map((value) =>
          value !== undefined && data.has(value) ? this.#codesOf(value) : value,
        ),
        outputs: node.outputs.map((value) => (value === undefined ? '' : this.graph.uniqueName(SHORT))),
        attributes: node.attributes,
      },
      { before: node },
    );
    node.outputs.forEach((value, index) => {
      const codes = moved.output(index);
      if (value === undefined || codes === undefined) return;
      codes.type = 'uint8';
      codes.shape = value.shape;
      this.#codes.set(value, codes);
      this.#gone.add(value);
    });
  }

  /** True where all inputs have the output's grid: then it joins codes, and needs no kernel of its own. */
  #isPlainConcat(node: Node): boolean {
    if (this.#clamps.has(node)) return false;
    const grid = this.#gridOf(outputOf(node));
    return dataInputs(node).every((value) => this.#gridOf(value) === grid);
  }

  /** A node with an integer kernel: floats from codes before it, codes after it, which the engine fuses with it. */
  #kernel(node: Node): void {
    const data = new Set(dataInputs(node));
    const component = this.regions.components.get(node);
    node.inputs.forEach((value, index) => {
      if (value === undefined || !data.has(value)) return;
      node.setInput(index, this.dequantized(value));
      if (component !== undefined && index === 0) this.#integerWeights(node, component, this.#gridOf(value));
    });
    const result = resultOf(node, this.#clamps.get(node));
    if (result === undefined) return;
    this.#codes.set(result, this.#quantized(outputOf(node), result));
    this.#gone.add(result);
  }

  #integerWeights(node: Node, component: Component, input: ChannelGrid): void {
    const bias = constantFloats(node.input(2))?.data;
    const weights = this.#options.weights.get(component.name);
    const place = this.#place(node, component);
    const { value, scale } = addIntegerWeights({
      ...place,
      weights: weights === undefined ? undefined : withBias(weights, bias, input.scale),
    });
    if (bias !== undefined) node.setInput(2, this.#integerBias(node, bias, input, scale));
    node.setInput(1, value);
  }

  /** The bias in INT32, as the accumulators have it: its scale is the input's times the weights', multiplied at load. */
  #integerBias(node: Node, bias: Float32Array, input: ChannelGrid, scale: Value): Value {
    const before = { before: node };
    const scales = constantFloats(scale)?.data ?? new Float32Array();
    const codes = Int32Array.from(bias, (b, c) => Math.round(b / (input.scale * (scales[c] ?? 1))));
    const tensor = this.graph.addInitializer(SHORT, tensorOf('int32', [codes.length], codes));
    const product = this.graph.addNode(
      { opType: 'Mul', name: SHORT, inputs: [scale, this.#parameters(input)[0]] },
      before,
    );
    const node2 = this.graph.addNode(
      {
        opType: 'DequantizeLinear',
        name: SHORT,
        inputs: [tensor, outputOf(product)],
        attributes: { axis: int(0) },
      },
      before,
    );
    return outputOf(node2);
  }
}

/** Weights so small beside their bias that it does not fit into 32 bits lose what nobody could see of them. */
const withBias = (weights: WeightCodes, bias: Float32Array | undefined, input: number): WeightCodes => {
  if (bias === undefined) return weights;
  const least = weights.grids.map((_, channel) => Math.abs(bias[channel] ?? 0) / (input * BIAS_LIMIT));
  if (weights.grids.every((grid, channel) => grid.scale >= (least[channel] ?? 0))) return weights;
  const length = weights.codes.length / weights.grids.length;
  const codes = weights.codes.slice();
  const grids = weights.grids.map((grid, channel) => {
    const scale = Math.fround(least[channel] ?? 0);
    if (grid.scale >= scale) return grid;
    for (let i = channel * length; i < (channel + 1) * length; i++) {
      codes[i] = Math.round(((codes[i] ?? 0) * grid.scale) / scale);
    }
    return { ...grid, scale };
  });
  return { codes, grids };
};

/**
 * A new model that holds the weights as the allocation says and computes as it says. What the components give each other inside
 * an int8 region never is FP32; a value is quantized once, however many take it.
 *
 * @param model from `prepareModel`, with an opset that holds the weights' types
 * @throws BitlaneError `BAD_CONFIG` when the allocation is not one for this model
 */
export const rewriteModel = (model: Model, options: RewriteOptions): Rewritten => {
  const copy = cloneModel(model);
  inferShapes(copy);
  const rewriter = new Rewriter(copy, options);
  const { components } = rewriter.regions;
  checkAllocation(options.allocation, [...components.values()]);
  const results = [...components].map(([node, component]) => ({
    node,
    component,
    reference: referenceOf(node, rewriter.regions),
  }));
  rewriter.rewrite();
  const found = results.map(({ node, component, reference }) => ({
    component,
    reference,
    ...rewriter.resultIn(node),
  }));
  runPasses(copy, [removeDeadNodes, removeUnusedInitializers]);
  return { model: copy, components: found };
};

const referenceOf = (node: Node, { absorbed }: Regions): string => {
  const clamp = [...absorbed].find(([, maker]) => maker === node)?.[0];
  return resultOf(node, clamp)?.name ?? '';
};
