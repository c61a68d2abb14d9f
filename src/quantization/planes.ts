// Conversions with a scale a channel: which results have one, and how they are written so that they cost no more than others.
import {
  type Graph,
  int,
  intsTensor,
  type Node,
  type NodeParts,
  type Place,
  type Value,
} from '../onnx/index.js';
import type { Range } from './calibration.js';
import { type ChannelRanges, channelSites } from './channels.js';
import { functionNodes } from './components.js';
import { channelGrid, type ChannelGrid } from './grid.js';
import { SHORT } from './joined.js';
import { outputOf, type Regions } from './regions.js';

/**
 * Quantizes or dequantizes with a scale a channel, between two Reshapes. The engine lays activations out with the channels last for
 * its integer kernels, and moves that layout through whatever stands there; with channels last a scale a channel takes it many
 * times as long. No layout goes through these Reshapes, which cost nothing.
 */
export const byPlanes = (
  graph: Graph,
  from: Value,
  opType: 'QuantizeLinear' | 'DequantizeLinear',
  parameters: readonly [Value, Value],
  place?: Place,
): Value => {
  const [one = 1, channels = 1, ...plane] = from.shape ?? [];
  const shapes = [
    [one, channels, -1],
    [one, channels, ...plane],
  ].map((dims) => graph.addInitializer(SHORT, intsTensor(dims.map(Number))));
  const add = (parts: NodeParts, at: Place | undefined): Node =>
    graph.addNode({ name: SHORT, outputs: [graph.uniqueName(SHORT)], ...parts }, at);
  const flat = add({ opType: 'Reshape', inputs: [from, shapes[0]] }, place);
  const node = add(
    { opType, inputs: [outputOf(flat), ...parameters], attributes: { axis: int(1) } },
    { after: flat },
  );
  const result = outputOf(add({ opType: 'Reshape', inputs: [outputOf(node), shapes[1]] }, { after: node }));
  result.type = opType === 'QuantizeLinear' ? 'uint8' : 'float32';
  result.shape = from.shape;
  return result;
};

/** Results of components whose function is computed in floats. */
export const keptResults = (
  { components }: Regions,
  floatFunctions: ReadonlySet<string> | undefined,
): Set<Value> =>
  new Set(
    [...components].flatMap(([node, { name }]) => {
      const output = node.output();
      if (output === undefined || floatFunctions?.has(name) !== true) return [];
      return functionNodes(output).length > 0 ? [output] : [];
    }),
  );

const widthOf = ({ min, max }: Range): number => Math.max(0, max) - Math.min(0, min);

/** A channel that the calibration data leave silent may speak later: it gets what one range for all would give it. */
const withoutSilent = (ranges: readonly Range[]): readonly Range[] => {
  const widest = ranges.reduce((most, range) => (widthOf(range) > widthOf(most) ? range : most));
  return ranges.map((range) => (widthOf(range) > 0 ? range : widest));
};

/** Grids by channel of the results that can have them. */
export const channelGridsOf = (
  regions: Regions,
  ranges: ChannelRanges | undefined,
): Map<Value, readonly ChannelGrid[]> => {
  const grids = new Map<Value, readonly ChannelGrid[]>();
  if (ranges === undefined) return grids;
  for (const value of channelSites(regions).results.values()) {
    const own = ranges.get(value.name);
    if (own === undefined || own.length === 0) continue;
    grids.set(
      value,
      withoutSilent(own).map(({ min, max }) => channelGrid(min, max, { bits: 8, signed: false })),
    );
  }
  return grids;
};
