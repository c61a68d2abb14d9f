// Weights in a graph: packed in as many bits as they have, by parts where channels differ, and made wide again at load.
import { BitlaneError } from '../errors.js';
import {
  codeOf,
  type DataType,
  type Graph,
  int,
  type Node,
  packTensor,
  type Tensor,
  tensorOf,
  type Value,
} from '../onnx/index.js';
import type { BitWidth } from './allocation.js';
import { type Component, constantFloats } from './components.js';
import type { ChannelGrid } from './grid.js';

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
  /** Codes of all widths in plain INT8: what the packed file must compute the same as. */
  readonly unpacked: boolean;
}

/** A name that the graph makes unique: a mixture adds a dozen values a layer, and their names would outweigh its weights. */
export const SHORT = '';

const wrong = (message: string): BitlaneError => new BitlaneError('INTERNAL', message);

const typeOf = (bits: BitWidth): DataType =>
  bits === 2 ? 'int2' : bits === 4 ? 'int4' : bits === 8 ? 'int8' : 'float32';

/** Rows (one an output channel) of a row-major array, as the tensor has them along `axis`. */
export const arranged = <T extends Int8Array | Float32Array>(rows: T, channels: number, axis: number): T => {
  if (axis === 0) return rows;
  // Gemm and MatMul with the output channels last: a transpose.
  const length = rows.length / channels;
  const result = rows.slice() as T;
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0; i < length; i++) result[i * channels + channel] = rows[channel * length + i] ?? 0;
  }
  return result;
};

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

/** Channels by their bits, fewest first. */
const partsOf = (bits: readonly BitWidth[]): [BitWidth, number[]][] => {
  const parts = new Map<BitWidth, number[]>();
  bits.forEach((width, channel) => parts.set(width, [...(parts.get(width) ?? []), channel]));
  return [...parts].sort(([a], [b]) => a - b);
};

const tensorOfPart = (place: PackingPlace, width: BitWidth, channels: readonly number[]): Tensor => {
  const { component, weights, node } = place;
  const length = component.weightBytes / 4 / component.outputChannels;
  const dims = component.weightDims.map((dim, i) => (i === component.axis ? channels.length : dim));
  if (width === 32) {
    const all = weightRows(component, node.input(1));
    const rows = new Float32Array(channels.length * length);
    channels.forEach((channel, i) =>
      rows.set(all.subarray(channel * length, (channel + 1) * length), i * length),
    );
    return tensorOf('float32', dims, arranged(rows, channels.length, component.axis));
  }
  const rows = new Int8Array(channels.length * length);
  channels.forEach((channel, i) =>
    rows.set(weights?.codes.subarray(channel * length, (channel + 1) * length) ?? [], i * length),
  );
  const values = arranged(rows, channels.length, component.axis);
  const type = place.unpacked ? 'int8' : typeOf(width);
  return type === 'int4' || type === 'int2' ? packTensor(type, dims, values) : tensorOf('int8', dims, values);
};

/**
 * Adds the weights as parts of one width, each cast to `to`, concatenated, in the channels' own order. All of it folds when a
 * session loads the model.
 */
const addParts = (place: PackingPlace, to: 'int8' | 'float32'): Value => {
  const { graph, node, component, bits } = place;
  const before = { before: node };
  // The twin has all codes in one initializer; an fp32 part stays apart.
  const parts = partsOf(place.unpacked ? bits.map((width) => (width === 32 ? 32 : 8)) : bits);
  const wide = parts.map(([width, channels]) => {
    const tensor = tensorOfPart(place, width, channels);
    const part = graph.addInitializer(SHORT, tensor);
    if (tensor.type === to) return part;
    // The way from 4 and 2 bits to floats leads through INT8: every engine that knows those types knows that cast.
    const steps: DataType[] = to === 'float32' && tensor.kind === 'packed' ? ['int8', 'float32'] : [to];
    return steps.reduce<Value>((value, type) => {
      const cast = graph.addNode(
        { opType: 'Cast', name: SHORT, inputs: [value], attributes: { to: int(codeOf(type)) } },
        before,
      );
      return outputOf(cast, type);
    }, part);
  });
  const [first] = wide;
  if (first === undefined) throw wrong(`component ${component.name} has no weights`);
  if (wide.length === 1) return first;
  const joined = outputOf(
    graph.addNode(
      { opType: 'Concat', name: SHORT, inputs: wide, attributes: { axis: int(component.axis) } },
      before,
    ),
    to,
  );
  const order = parts.flatMap(([, channels]) => channels);
  if (order.every((channel, i) => channel === i)) return joined;
  const inverse = new Array<number>(order.length);
  order.forEach((channel, i) => (inverse[channel] = i));
  const places = addPlaces(place, inverse);
  // 0 is Gather's default.
  const attributes = component.axis === 0 ? {} : { axis: int(component.axis) };
  return outputOf(
    graph.addNode({ opType: 'Gather', name: SHORT, inputs: [joined, places], attributes }, before),
    to,
  );
};

/** Bytes of a Cast and what belongs to it. */
const CAST_BYTES = 40;

/** Indices for Gather, which takes no fewer than 32 bits: cast from fewer where that makes the file smaller. */
const addPlaces = ({ graph, node }: PackingPlace, places: readonly number[]): Value => {
  const { length } = places;
  const dims = [length];
  const byte = length <= 256;
  if (length * (byte ? 3 : 2) < CAST_BYTES) {
    return graph.addInitializer(SHORT, tensorOf('int32', dims, Int32Array.from(places)));
  }
  const few = byte
    ? tensorOf('uint8', dims, Uint8Array.from(places))
    : length <= 65_536
      ? tensorOf('uint16', dims, Uint16Array.from(places))
      : tensorOf('int32', dims, Int32Array.from(places));
  const value = graph.addInitializer(SHORT, few);
  if (few.type === 'int32') return value;
  const attributes = { to: int(codeOf('int32')) };
  const cast = graph.addNode({ opType: 'Cast', name: SHORT, inputs: [value], attributes }, { before: node });
  return outputOf(cast, 'int32');
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

/** Weights for an integer kernel. */
export const addIntegerWeights = (place: PackingPlace): IntegerWeights => {
  checkCodes(place);
  const { graph, node, component } = place;
  const codes = addParts(place, 'int8');
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
  const { graph, node, component, bits } = place;
  const floats = addParts(place, 'float32');
  if (bits.every((width) => width === 32)) return floats;
  const dims = component.weightDims.map((dim, i) => (i === component.axis ? dim : 1));
  const scale = graph.addInitializer(SHORT, tensorOf('float32', dims, scalesOf(place)));
  return outputOf(
    graph.addNode({ opType: 'Mul', name: SHORT, inputs: [floats, scale] }, { before: node }),
    'float32',
  );
};
