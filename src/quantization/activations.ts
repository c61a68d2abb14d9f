// The grids of activations: which values share one, and what it is. All are unsigned 8 bits, asymmetric.
import { BitlaneError } from '../errors.js';
import type { Node, Value } from '../onnx/index.js';
import type { Range } from './calibration.js';
import { boundsOf, type Component } from './components.js';
import { channelGrid, type ChannelGrid } from './grid.js';
import { dataInputs, isMover, type Regions } from './regions.js';

/** What a Sigmoid can give. */
const UNIT: Range = { min: 0, max: 1 };

/** A narrower input of a Concat takes its grid all the same where it loses less than half a bit by that. */
const CLOSE = 0.71;

/** Where x * sigmoid(x) is least, and what it is there. */
const SILU_AT = -1.2784645427610738;
const SILU_LEAST = -0.27846454276107374;

const silu = (x: number): number => x / (1 + Math.exp(-x));

/** Below this SiLU is -0.003 and rising: what lies there needs no codes of its own. */
const SILU_FLAT = -8;

/** Ranges without what the function behind a component makes the same anyway. */
export const withoutFlats = (
  components: Iterable<Component>,
  ranges: ReadonlyMap<string, Range>,
): Map<string, Range> => {
  const cut = new Map(ranges);
  for (const { output, activation } of components) {
    const range = cut.get(output);
    if (activation === 'silu' && range !== undefined) cut.set(output, cutFlat(range));
  }
  return cut;
};

/** A range before a SiLU. */
export const cutFlat = ({ min, max }: Range): Range => ({ min: Math.max(min, SILU_FLAT), max });

/** The value that `value` is the SiLU of, in codes: those leave it no other range. `undefined` where it is none. */
const siluInput = (value: Value, { int8 }: Regions): Value | undefined => {
  const product = value.producer;
  if (product === undefined || !product.is('Mul') || !int8.has(product)) return undefined;
  const [a, b] = dataInputs(product);
  const input = b?.producer?.is('Sigmoid') === true ? a : b;
  const gate = (input === a ? b : a)?.producer;
  const isSilu = gate?.is('Sigmoid') === true && int8.has(gate) && gate.input(0) === input;
  const maker = input?.producer;
  // What a mover made has the range of another value.
  return isSilu && !(maker !== undefined && int8.has(maker) && isMover(maker)) ? input : undefined;
};

/** What the SiLU of a range is. */
const siluRange = ({ min, max }: Range): Range => ({
  min: min > SILU_AT ? Math.min(0, silu(min)) : SILU_LEAST,
  max: Math.max(0, silu(max)),
});

const isGiven = (value: Value): boolean => value.producer?.is('Sigmoid') === true;

/** Values whose range must be measured: the others share a grid with them, or it is known. */
export const valuesToMeasure = (regions: Regions): Value[] =>
  regions.coded.filter((value) => {
    const { int8 } = regions;
    const maker = value.producer;
    if (isGiven(value) || siluInput(value, regions) !== undefined) return false;
    return !(maker !== undefined && int8.has(maker) && isMover(maker));
  });

interface Group {
  readonly members: Value[];
  range: Range | undefined;
  /** No code of the group may stand for more or less: a Relu or Clip has disappeared in it. */
  bounds: Range;
}

const join = (a: Range | undefined, b: Range | undefined): Range | undefined =>
  a === undefined || b === undefined
    ? (a ?? b)
    : { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };

const within = (range: Range | undefined, bounds: Range): boolean =>
  range === undefined || (range.min >= bounds.min && range.max <= bounds.max);

const widthOf = (range: Range | undefined): number => (range === undefined ? 0 : range.max - range.min);

const FREE: Range = { min: -Infinity, max: Infinity };

/** Groups of values, joined step by step. */
class Groups {
  readonly of = new Map<Value, Group>();

  start(value: Value, range: Range | undefined, bounds: Range): void {
    this.of.set(value, { members: [value], range, bounds });
  }

  /** Joins the groups of two values unless a disappeared Relu or Clip forbids it. */
  join(a: Value, b: Value): void {
    const [x, y] = [this.of.get(a), this.of.get(b)];
    if (x === undefined || y === undefined || x === y) return;
    const range = join(x.range, y.range);
    const bounds = { min: Math.max(x.bounds.min, y.bounds.min), max: Math.min(x.bounds.max, y.bounds.max) };
    if (!within(range, bounds)) return;
    x.range = range;
    x.bounds = bounds;
    x.members.push(...y.members);
    for (const member of y.members) this.of.set(member, x);
  }
}

const rangeOf = (value: Value, ranges: ReadonlyMap<string, Range>, bounds: Range): Range => {
  if (isGiven(value)) return UNIT;
  const range = ranges.get(value.name);
  if (range === undefined) {
    throw new BitlaneError(
      'INTERNAL',
      `the range of ${value.name} was not measured, and it is to be quantized`,
    );
  }
  // Zero is always on the grid.
  const [min, max] = [Math.min(0, range.min), Math.max(0, range.max)];
  return { min: Math.max(min, bounds.min), max: Math.min(max, bounds.max) };
};

const joinConcat = (groups: Groups, node: Node): void => {
  const output = node.output();
  if (output === undefined) return;
  for (const input of new Set(dataInputs(node))) {
    const [own, whole] = [groups.of.get(input), groups.of.get(output)];
    if (own === undefined || whole === undefined) continue;
    // Codes that only this Concat takes end up on its grid anyway: better to round to it once.
    const alone = own.members.every((member) =>
      member.users.every((user) => user === node || own.members.some((other) => other.producer === user)),
    );
    if (alone || widthOf(own.range) >= CLOSE * widthOf(join(own.range, whole.range))) {
      groups.join(output, input);
    }
  }
};

/**
 * The grid of every value that carries codes; values that share codes have the same object.
 *
 * @param ranges of {@link valuesToMeasure}, by name
 * @throws BitlaneError `INTERNAL` for a range that is missing
 */
export const activationGrids = (
  regions: Regions,
  ranges: ReadonlyMap<string, Range>,
): Map<Value, ChannelGrid> => {
  const { coded, int8, absorbed } = regions;
  const groups = new Groups();
  const measured = new Set(valuesToMeasure(regions));
  for (const value of coded) {
    const clamp = value.producer;
    const bounds = clamp !== undefined && absorbed.has(clamp) ? boundsOf(clamp) : undefined;
    const limits = bounds === undefined ? FREE : { min: bounds.low, max: bounds.high };
    const known = measured.has(value) || isGiven(value);
    groups.start(value, known ? rangeOf(value, ranges, limits) : undefined, limits);
    const input = siluInput(value, regions);
    // Values are in topological order: the input has its range by now.
    const before = input === undefined ? undefined : groups.of.get(input)?.range;
    if (before !== undefined) groups.start(value, siluRange(before), limits);
  }
  for (const value of coded) {
    const maker = value.producer;
    const [input] = maker !== undefined && int8.has(maker) && isMover(maker) ? dataInputs(maker) : [];
    if (input !== undefined) groups.join(input, value);
  }
  for (const node of int8) if (node.is('Concat')) joinConcat(groups, node);
  const grids = new Map<Group, ChannelGrid>();
  return new Map(
    [...groups.of].map(([value, group]) => {
      const { min, max } = group.range ?? UNIT;
      const grid = grids.get(group) ?? channelGrid(min, max, { bits: 8, signed: false });
      grids.set(group, grid);
      return [value, grid];
    }),
  );
};
