// Parts of a tensor, each with the channels of one width, made one tensor that has the channels in their own order.
import { BitlaneError } from '../errors.js';
import {
  codeOf,
  type DataType,
  type Graph,
  int,
  intsTensor,
  type Node,
  type NodeParts,
  packTensor,
  tensorOf,
  type Value,
} from '../onnx/index.js';
import type { BitWidth } from './allocation.js';

/** A name that the graph makes unique: longer ones would outweigh what they name. */
export const SHORT = '';

/** Adds a node with one output that is used, number `output`. */
const add = (graph: Graph, before: Node, parts: NodeParts, type: DataType, output = 0): Value => {
  const outputs = Array.from({ length: output + 1 }, () => graph.uniqueName(SHORT));
  const value = graph.addNode({ name: SHORT, outputs, ...parts }, { before }).output(output);
  if (value === undefined) throw new BitlaneError('INTERNAL', `${parts.opType} has no output`);
  value.type = type;
  return value;
};

export const cast = (graph: Graph, before: Node, value: Value, type: DataType): Value =>
  add(graph, before, { opType: 'Cast', inputs: [value], attributes: { to: int(codeOf(type)) } }, type);

/** 0 is what an axis is where nothing is said. */
const axisOf = (axis: number): NonNullable<NodeParts['attributes']> =>
  axis === 0 ? {} : { axis: int(axis) };

/** Bytes of a Concat of two parts, of a further part, of a Gather with the header of what it needs. */
const [CONCAT_BYTES, PART_BYTES, GATHER_BYTES] = [38, 5, 45];
/** Bytes of the nodes that find places from labels, and of the Cast of places that are held. */
const [SORT_BYTES, READ_BYTES] = [141, 31];

/** Bits of a label, in types that every model has that holds such parts. */
const labelBits = (parts: readonly BitWidth[]): 2 | 4 | 8 =>
  parts.includes(2) ? 2 : parts.includes(4) ? 4 : 8;

/** Bytes of places that are found from a label a channel, and of those that are held. */
const foundBytes = (parts: readonly BitWidth[], channels: number): number =>
  SORT_BYTES + Math.ceil((channels * labelBits(parts)) / 8);
const heldBytes = (channels: number): number => READ_BYTES + channels * (channels <= 256 ? 1 : 2);

/** Where each channel lies among all, when those of the first part come first, in their own order. */
const placesOf = (labels: Uint8Array): number[] => {
  const places = new Array<number>(labels.length);
  [...labels.keys()]
    .sort((a, b) => (labels[a] ?? 0) - (labels[b] ?? 0) || a - b)
    .forEach((channel, place) => (places[channel] = place));
  return places;
};

const addPlaces = (graph: Graph, before: Node, parts: readonly BitWidth[], labels: Uint8Array): Value => {
  const dims = [labels.length];
  if (heldBytes(labels.length) <= foundBytes(parts, labels.length)) {
    const places = placesOf(labels);
    const few =
      labels.length <= 256
        ? tensorOf('uint8', dims, Uint8Array.from(places))
        : tensorOf('uint16', dims, Uint16Array.from(places));
    return cast(graph, before, graph.addInitializer(SHORT, few), 'int32');
  }
  const bits = labelBits(parts);
  const tensor =
    bits === 8 ? tensorOf('uint8', dims, labels) : packTensor(bits === 4 ? 'uint4' : 'uint2', dims, labels);
  // Sorting channels by their parts, equal ones staying in order, gives where each place's channel is; sorting that, the places.
  const count = graph.addInitializer(SHORT, intsTensor(dims));
  const sort = (value: Value): Value =>
    add(
      graph,
      before,
      { opType: 'TopK', inputs: [value, count], attributes: { largest: int(0) } },
      'int64',
      1,
    );
  return sort(sort(cast(graph, before, graph.addInitializer(SHORT, tensor), 'int32')));
};

const isOrdered = (bits: readonly BitWidth[]): boolean =>
  bits.every((width, channel) => channel === 0 || width >= (bits[channel - 1] ?? 0));

/**
 * Joins parts that hold the channels of one width each, and puts the channels in their own order.
 *
 * @param parts by their widths, fewest bits first, all of one type
 * @param bits of each channel
 */
export const addJoined = (
  graph: Graph,
  before: Node,
  parts: ReadonlyMap<BitWidth, Value>,
  bits: readonly BitWidth[],
  axis: number,
): Value => {
  const [widths, values] = [[...parts.keys()], [...parts.values()]];
  const [first] = values;
  const type = first?.type;
  if (first === undefined || type === undefined)
    throw new BitlaneError('INTERNAL', 'there are no parts to join');
  if (values.length === 1) return first;
  const concat = { opType: 'Concat', inputs: values, attributes: { axis: int(axis) } };
  const joined = add(graph, before, concat, type);
  if (isOrdered(bits)) return joined;
  const labels = Uint8Array.from(bits, (width) => widths.indexOf(width));
  const places = addPlaces(graph, before, widths, labels);
  return add(graph, before, { opType: 'Gather', inputs: [joined, places], attributes: axisOf(axis) }, type);
};

/** Bytes of graph that {@link addJoined} adds: an estimate. */
export const joinedBytes = (parts: readonly BitWidth[], bits: readonly BitWidth[]): number => {
  if (parts.length < 2) return 0;
  const concat = CONCAT_BYTES + (parts.length - 2) * PART_BYTES;
  if (isOrdered(bits)) return concat;
  return concat + GATHER_BYTES + Math.min(heldBytes(bits.length), foundBytes(parts, bits.length));
};
