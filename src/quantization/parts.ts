// Codes in as many bits as they have: layers whose rows are alike share a part for each width, which is made wide again at load.
import { BitlaneError } from '../errors.js';
import {
  type Graph,
  int,
  intsTensor,
  type Node,
  packTensor,
  type Tensor,
  tensorOf,
  type Value,
} from '../onnx/index.js';
import type { BitWidth } from './allocation.js';
import { addJoined, cast, joinedBytes, SHORT } from './joined.js';

/** Codes of a layer, and the INT8 initializer that holds them until they are packed. */
export interface HeldCodes {
  readonly value: Value;
  /** [channels, all else], row-major. */
  readonly rows: Int8Array;
  /** Of each channel; none has 32. */
  readonly bits: readonly BitWidth[];
  readonly dims: readonly number[];
  /** Axis of `dims` that holds the channels. */
  readonly axis: number;
}

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

/** Channels by their bits, fewest first. */
const channelsByBits = (bits: readonly BitWidth[]): [BitWidth, number[]][] => {
  const parts = new Map<BitWidth, number[]>();
  bits.forEach((width, channel) => {
    const part = parts.get(width);
    if (part === undefined) parts.set(width, [channel]);
    else part.push(channel);
  });
  return [...parts].sort(([a], [b]) => a - b);
};

const tensorOfRows = (width: BitWidth, dims: readonly number[], values: Int8Array): Tensor =>
  width === 2 || width === 4
    ? packTensor(width === 2 ? 'int2' : 'int4', dims, values)
    : tensorOf('int8', dims, values);

/** Packs layers whose rows are alike; what comes out for each has its channels in order. */
const packGroup = (graph: Graph, before: Node, group: readonly HeldCodes[]): void => {
  const [first] = group;
  if (first === undefined) return;
  const { axis } = first;
  const bits = group.flatMap((each) => each.bits);
  const length = first.rows.length / first.bits.length;
  const rows = group.flatMap((each) =>
    each.bits.map((_, channel) => each.rows.subarray(channel * length, (channel + 1) * length)),
  );
  const parts = new Map<BitWidth, Value>();
  for (const [width, channels] of channelsByBits(bits)) {
    const codes = new Int8Array(channels.length * length);
    channels.forEach((channel, i) => codes.set(rows[channel] ?? [], i * length));
    const dims = first.dims.map((dim, i) => (i === axis ? channels.length : dim));
    const tensor = tensorOfRows(width, dims, arranged(codes, channels.length, axis));
    const value = graph.addInitializer(SHORT, tensor);
    parts.set(width, tensor.type === 'int8' ? value : cast(graph, before, value, 'int8'));
  }
  const all = addJoined(graph, before, parts, bits, axis);
  if (group.length === 1) {
    graph.replaceUses(first.value, all);
    return;
  }
  const sizes = graph.addInitializer(SHORT, intsTensor(group.map((each) => each.bits.length)));
  const split = graph.addNode(
    {
      opType: 'Split',
      name: SHORT,
      inputs: [all, sizes],
      outputs: group.map(() => graph.uniqueName(SHORT)),
      attributes: { axis: int(axis) },
    },
    { before },
  );
  group.forEach(({ value, dims }, index) => {
    const output = split.output(index);
    if (output === undefined) throw new BitlaneError('INTERNAL', 'Split has fewer outputs than layers');
    output.type = 'int8';
    output.shape = dims;
    graph.replaceUses(value, output);
  });
};

/** What the parts of a layer can be shared by: rows of one form. */
export const rowsOf = (dims: readonly number[], axis: number): string =>
  `${axis}: ${dims.filter((_, i) => i !== axis).join(' x ')}`;

/**
 * Packs codes that are held in INT8, all in one go, each in the bits of its channel: one initializer for each width and form of
 * rows, cast to INT8, joined, put in order and split by layers. All of it folds when a session loads the model. The INT8
 * initializers have no users any more.
 */
export const packCodes = (graph: Graph, held: readonly HeldCodes[]): void => {
  const groups = new Map<string, HeldCodes[]>();
  for (const codes of held) {
    if (codes.bits.every((width) => width === 8)) continue;
    const key = rowsOf(codes.dims, codes.axis);
    groups.set(key, [...(groups.get(key) ?? []), codes]);
  }
  const [before] = graph.nodes();
  if (before === undefined) return;
  for (const group of groups.values()) packGroup(graph, before, group);
};

/** Bytes of a header of an initializer, of a Cast, of a Split with its sizes, and of what it has for each output. */
const [HEADER_BYTES, CAST_BYTES, SPLIT_BYTES, OUTPUT_BYTES] = [20, 29, 51, 13];

/**
 * Bytes of graph that layers whose rows are alike take more (or less) when they are packed than as an INT8 initializer each: an
 * estimate.
 *
 * @param layers bits of each channel of each; not all are 8
 */
export const groupBytes = (layers: readonly (readonly BitWidth[])[]): number => {
  const bits = layers.flat();
  const widths = channelsByBits(bits).map(([width]) => width);
  const casts = widths.filter((width) => width < 8).length * CAST_BYTES;
  const headers = (widths.length - layers.length) * HEADER_BYTES;
  const split = layers.length > 1 ? SPLIT_BYTES + layers.length * OUTPUT_BYTES : 0;
  return casts + headers + split + joinedBytes(widths, bits);
};
