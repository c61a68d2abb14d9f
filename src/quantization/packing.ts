// Weights in a graph: codes with what makes weights of them, for an integer kernel or for an FP32 one.
import { BitlaneError } from '../errors.js';
import { type DataType, type Graph, int, type Node, tensorOf, type Value } from '../onnx/index.js';
import type { BitWidth } from './allocation.js';
import { type Component, constantFloats } from './components.js';
import type { ChannelGrid } from './grid.js';
import { addJoined, cast, SHORT } from './joined.js';
import { arranged, type HeldCodes } from './parts.js';

/** The weights of a component on their grids. */
export interface WeightCodes {
  /** [output channels, all else], row-major. Those of 32-bit channels are not looked at. */
  readonly codes: Int8Array;
  /** Symmetric and signed, one for each output channel. */
  readonly grids: readonly ChannelGrid[];
}

/** Where in a graph, and for what. */
export interface PackingPlace {
  readonly graph: Graph;
  readonly node: Node;
  readonly component: Component;
  readonly bits: readonly BitWidth[];
  readonly weights: WeightCodes | undefined;
  /** Takes the codes of all layers: in INT8 as they are added, to be packed together. */
  readonly held: HeldCodes[];
}

const wrong = (message: string): BitlaneError => new BitlaneError('INTERNAL', message);

/** The float weights of a component as rows, one an output channel. */
export const weightRows = (component: Component, weight: Value | undefined): Float32Array => {
  const tensor = constantFloats(weight);
  if (tensor === undefined) throw wrong(`component ${component.name} has no constant weights`);
  const { data } = tensor;
  const { outputChannels: channels, axis } = component;
  if (axis === 0) return data;
  const length = data.length / channels;
  const rows = new Float32Array(data.length);
  for (let i = 0; i < length; i++) {
    for (let channel = 0; channel < channels; channel++) {
      rows[channel * length + i] = data[i * channels + channel] ?? 0;
    }
  }
  return rows;
};

const checkCodes = ({ component, weights, bits }: PackingPlace): void => {
  const { name, outputChannels, weightBytes } = component;
  if (bits.every((width) => width === 32)) return;
  if (weights === undefined) throw wrong(`component ${name} has no weight codes`);
  if (weights.codes.length !== weightBytes / 4 || weights.grids.length !== outputChannels) {
    throw wrong(`the weight codes of component ${name} do not have its shape`);
  }
  weights.grids.forEach((grid, channel) => {
    const width = bits[channel] ?? 32;
    if (width === 32) return;
    if (!grid.signed || grid.zeroPoint !== 0 || grid.bits > width) {
      throw wrong(
        `channel ${channel} of component ${name} must have a symmetric signed grid of at most ${width} bits`,
      );
    }
  });
};

const dimsOf = ({ weightDims, axis }: Component, channels: number): number[] =>
  weightDims.map((dim, i) => (i === axis ? channels : dim));

/** The rows of `channels`, in that order, from those of all. */
const pick = <T extends Int8Array | Float32Array>(all: T, channels: readonly number[], length: number): T => {
  const picked = all.slice(0, channels.length * length) as T;
  channels.forEach((channel, i) =>
    picked.set(all.subarray(channel * length, (channel + 1) * length), i * length),
  );
  return picked;
};

/** Adds the codes of all channels that have some, in INT8. */
const addCodes = (place: PackingPlace): Value => {
  const { graph, component, bits, weights, held } = place;
  const { axis, weightBytes, outputChannels } = component;
  const channels = bits.flatMap((width, channel) => (width === 32 ? [] : [channel]));
  const rows = pick(weights?.codes ?? new Int8Array(), channels, weightBytes / 4 / outputChannels);
  const dims = dimsOf(component, channels.length);
  const value = graph.addInitializer(SHORT, tensorOf('int8', dims, arranged(rows, channels.length, axis)));
  held.push({ value, rows, bits: channels.map((channel) => bits[channel] ?? 8), dims, axis });
  return value;
};

/** Codes as floats, and what has none as it is; all folds when a session loads the model. */
const addFloats = (place: PackingPlace): Value => {
  const { graph, node, component, bits } = place;
  const codes = cast(graph, node, addCodes(place), 'float32');
  const channels = bits.flatMap((width, channel) => (width === 32 ? [channel] : []));
  if (channels.length === 0) return codes;
  const { axis, weightBytes, outputChannels } = component;
  const rows = pick(weightRows(component, node.input(1)), channels, weightBytes / 4 / outputChannels);
  const dims = dimsOf(component, channels.length);
  const floats = tensorOf('float32', dims, arranged(rows, channels.length, axis));
  const parts = new Map<BitWidth, Value>([
    [8, codes],
    [32, graph.addInitializer(SHORT, floats)],
  ]);
  const widths = bits.map((width) => (width === 32 ? 32 : 8));
  return addJoined(graph, node, parts, widths, axis);
};

const outputOf = (node: Node, type: DataType): Value => {
  const output = node.output();
  if (output === undefined) throw wrong(`${node.label} has no output`);
  output.type = type;
  return output;
};

export interface IntegerWeights {
  /** FP32 by its type, INT8 by what it stands for: a DequantizeLinear's output. */
  readonly value: Value;
  /** The initializer of the scales, one for each output channel. */
  readonly scale: Value;
}

const scalesOf = ({ weights, bits }: PackingPlace): Float32Array =>
  Float32Array.from(bits, (width, channel) => (width === 32 ? 1 : (weights?.grids[channel]?.scale ?? 1)));

export interface BareCodes {
  readonly codes: Value;
  /** One for each output channel. */
  readonly scales: Float32Array;
}

/** Weights for a node that takes codes as they are. */
export const addBareCodes = (place: PackingPlace): BareCodes => {
  checkCodes(place);
  return { codes: addCodes(place), scales: scalesOf(place) };
};

/** Weights for an integer kernel. */
export const addIntegerWeights = (place: PackingPlace): IntegerWeights => {
  checkCodes(place);
  const { graph, node, component } = place;
  const codes = addCodes(place);
  const scale = graph.addInitializer(SHORT, tensorOf('float32', [component.outputChannels], scalesOf(place)));
  const zeros = tensorOf('int8', [component.outputChannels], new Int8Array(component.outputChannels));
  // A Gemm fuses only where its zero points are written down; for the others that would be a byte a channel for nothing.
  const inputs =
    component.kind === 'Gemm' ? [codes, scale, graph.addInitializer(SHORT, zeros)] : [codes, scale];
  const attributes = { axis: int(component.axis) };
  const dequantized = graph.addNode(
    { opType: 'DequantizeLinear', name: SHORT, inputs, attributes },
    { before: node },
  );
  return { value: outputOf(dequantized, 'float32'), scale };
};

/**
 * Weights for an fp32 kernel. They are cast and multiplied, not dequantized: onnxruntime folds that into plain FP32 weights at
 * load, while it would run a DequantizeLinear again for every picture.
 */
export const addFloatWeights = (place: PackingPlace): Value => {
  checkCodes(place);
  const { graph, node, component } = place;
  const floats = addFloats(place);
  const dims = component.weightDims.map((dim, i) => (i === component.axis ? dim : 1));
  const scale = graph.addInitializer(SHORT, tensorOf('float32', dims, scalesOf(place)));
  return outputOf(
    graph.addNode({ opType: 'Mul', name: SHORT, inputs: [floats, scale] }, { before: node }),
    'float32',
  );
};
