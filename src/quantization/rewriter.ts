// The rewriting itself: codes and floats of every value, made where they are first needed.
import { BitlaneError } from '../errors.js';
import { float, type Graph, int, type Model, type Node, type Value } from '../onnx/index.js';
import { activationGrids } from './activations.js';
import { type Allocation, allocationOf, channelBits } from './allocation.js';
import { balanceOf } from './balance.js';
import type { Range } from './calibration.js';
import type { ChannelRanges } from './channels.js';
import { boundsOf, type Component } from './components.js';
import type { ChannelGrid } from './grid.js';
import { setIntegerLayer, UNIT } from './integer-layer.js';
import { SHORT } from './joined.js';
import { addFloatWeights, type PackingPlace, type WeightCodes } from './packing.js';
import { GridParameters } from './parameters.js';
import { type HeldCodes, packCodes } from './parts.js';
import { byPlanes, channelGridsOf, keptResults } from './planes.js';
import { clamped, dataInputs, findRegions, isMover, outputOf, type Regions, resultOf } from './regions.js';

export interface RewriteOptions {
  readonly allocation: Allocation;
  /** By the name of the value; of those that `valuesToMeasure` names. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Grids of activations that training has found, by the name of the value; others follow from `ranges`. */
  readonly grids?: ReadonlyMap<string, ChannelGrid>;
  /** By the name of the component; of all that have fewer than 32 bits somewhere. */
  readonly weights: ReadonlyMap<string, WeightCodes>;
  /** Hold all codes in INT8 initializers: the same function in a larger file (default false). */
  readonly unpacked?: boolean;
  /** Components whose SiLU or LeakyRelu is computed in FP32, be they int8 themselves (default none). */
  readonly floatFunctions?: ReadonlySet<string>;
  /** Ranges by channel, by the name of the value: int8 results that only FP32 nodes take get a scale for each channel then. */
  readonly channelRanges?: ChannelRanges;
  /** Where the grids of activations come from (default `static`: from `ranges`). */
  readonly activations?: ActivationGrids;
}

/** `static`: known when the model is made. `dynamic`: from each input's own extremes, when it runs. */
export type ActivationGrids = 'static' | 'dynamic';

/** Grids with those that are given in their place; values that shared one share one still. */
const withGrids = (
  found: ReadonlyMap<Value, ChannelGrid>,
  given: ReadonlyMap<string, ChannelGrid> | undefined,
): ReadonlyMap<Value, ChannelGrid> => {
  if (given === undefined) return found;
  const instead = new Map<ChannelGrid, ChannelGrid>();
  for (const [value, grid] of found) {
    const other = given.get(value.name);
    if (other !== undefined && !instead.has(grid)) instead.set(grid, other);
  }
  return new Map([...found].map(([value, grid]) => [value, instead.get(grid) ?? grid]));
};

/** Rewrites the model that it is given, in place. */
export class Rewriter {
  readonly graph: Graph;
  readonly regions: Regions;
  readonly #grids: ReadonlyMap<Value, ChannelGrid>;
  readonly #options: RewriteOptions;
  readonly #held: HeldCodes[] = [];
  readonly #clamps: ReadonlyMap<Node, Node>;
  /** Of results whose channels have scales of their own; in between they are codes on {@link UNIT}. */
  readonly #channelGrids: ReadonlyMap<Value, readonly ChannelGrid[]>;
  /** Results that a function takes which is computed in floats. */
  readonly #kept: ReadonlySet<Value>;
  readonly #codes = new Map<Value, Value>();
  readonly #dequantized = new Map<Value, Value>();
  readonly #parameters: GridParameters;
  /** Values that are quantized from another value, which stands for the same codes. */
  readonly #sources = new Map<Value, Value>();
  /** Values whose float form is gone: everybody takes the codes. */
  readonly #gone = new Set<Value>();

  constructor(model: Model, options: RewriteOptions) {
    this.graph = model.graph;
    this.#options = options;
    this.#parameters = new GridParameters(model.graph);
    this.regions = findRegions(model, options.allocation, options.floatFunctions);
    this.#grids = withGrids(activationGrids(this.regions, options.ranges), options.grids);
    this.#clamps = new Map([...this.regions.absorbed].map(([clamp, node]) => [node, clamp]));
    this.#channelGrids = channelGridsOf(this.regions, options.channelRanges);
    this.#kept = keptResults(this.regions, options.floatFunctions);
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
    if (this.#options.unpacked !== true) packCodes(this.graph, this.#held);
  }

  /** What a component gives, and the grid where that is codes. */
  resultIn(node: Node): { readonly rewritten: string; readonly grid: ChannelGrid | undefined } {
    const result = resultOf(node, this.#clamps.get(node)) ?? outputOf(node);
    const codes = this.#gone.has(result) ? this.#codes.get(result) : undefined;
    if (codes === undefined) return { rewritten: result.name, grid: undefined };
    return this.#channelGrids.has(result)
      ? { rewritten: this.dequantized(result).name, grid: undefined }
      : { rewritten: codes.name, grid: this.#gridOf(result) };
  }

  #gridOf(value: Value): ChannelGrid {
    const grid = this.#channelGrids.has(value) ? UNIT : this.#grids.get(value);
    if (grid === undefined) throw new BitlaneError('INTERNAL', `${value.name} has no grid`);
    return grid;
  }

  /** The codes of a value; made from its floats where no node gives them. */
  #codesOf(value: Value): Value {
    const known = this.#codes.get(value);
    if (known !== undefined) return known;
    const balance = balanceOf(value);
    const from = balance?.source ?? value;
    const codes = this.#quantized(this.#sources.get(from) ?? from, value, balance?.factors);
    this.#codes.set(value, codes);
    return codes;
  }

  /** @param factors of the balance between `from` and `value`, which becomes part of the scales */
  #quantized(from: Value, value: Value, factors?: Float32Array): Value {
    const maker = from.producer;
    const first = [...this.graph.nodes()][0];
    const place =
      maker !== undefined ? { after: maker } : first === undefined ? undefined : { before: first };
    const grid = this.#gridOf(value);
    const parameters =
      factors === undefined
        ? this.#parameters.of(grid)
        : this.#parameters.ofChannels(
            Array.from(factors, (factor) => ({ ...grid, scale: Math.fround(grid.scale / factor) })),
          );
    if (factors !== undefined) return byPlanes(this.graph, from, 'QuantizeLinear', parameters, place);
    const node = this.graph.addNode(
      {
        opType: 'QuantizeLinear',
        inputs: [from, ...parameters],
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
    const grids = this.#channelGrids.get(value);
    const parameters =
      grids === undefined ? this.#parameters.of(this.#gridOf(value)) : this.#parameters.ofChannels(grids);
    if (grids !== undefined && this.#kept.has(value)) {
      const place = codes.producer === undefined ? undefined : { after: codes.producer };
      const planes = byPlanes(this.graph, codes, 'DequantizeLinear', parameters, place);
      this.#dequantized.set(value, planes);
      return planes;
    }
    const node = this.graph.addNode(
      {
        opType: 'DequantizeLinear',
        inputs: [codes, ...parameters],
        outputs: [this.graph.uniqueName(SHORT)],
        ...(grids !== undefined && { attributes: { axis: int(1) } }),
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
    if (result === undefined || !this.#isQuantized(result)) return;
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

  /**
   * Whether a QuantizeLinear takes the floats of `value`, through a balance or not: one that is put in here, or one that was there
   * before. The engine drops bounds before it that say no more than the codes do.
   */
  #isQuantized(value: Value): boolean {
    if (this.#grids.has(value)) return true;
    return value.users.some((user) => {
      if (user.is('QuantizeLinear')) return true;
      const output = user.output();
      if (output === undefined) return false;
      if (boundsOf(user) !== undefined) return this.#isQuantized(output);
      return this.#grids.has(output) && balanceOf(output)?.source === value;
    });
  }

  #place(node: Node, component: Component): PackingPlace {
    return {
      graph: this.graph,
      node,
      component,
      bits: channelBits(component, allocationOf(this.#options.allocation, component)),
      weights: this.#options.weights.get(component.name),
      held: this.#held,
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
    const inputs = dataInputs(node);
    const data = new Set(inputs);
    const component = this.regions.components.get(node);
    node.inputs.forEach((value, index) => {
      if (value === undefined || !data.has(value)) return;
      node.setInput(index, this.dequantized(value));
    });
    const result = resultOf(node, this.#clamps.get(node));
    const [input] = inputs;
    if (component !== undefined && input !== undefined) {
      setIntegerLayer(this.#place(node, component), {
        input: this.#gridOf(input),
        inputScale: this.#parameters.of(this.#gridOf(input))[0],
        channels: result === undefined ? undefined : this.#channelGrids.get(result),
      });
    }
    if (result === undefined) return;
    this.#codes.set(result, this.#quantized(outputOf(node), result));
    this.#gone.add(result);
  }
}
