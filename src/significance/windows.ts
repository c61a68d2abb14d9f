// Which part of a head is near each row of the output: a row's class and box depend on a few cells of the maps before the head.
import { BitlaneError } from '../errors.js';
import { extract, inferShapes, type Model, type Node, type Value } from '../onnx/index.js';
import { type Four, leavesOf, mapOf, type Place, traced } from './places.js';

/** Where the elements of a row of outputs come from. */
export interface Source {
  readonly map: string;
  readonly channel: number;
}

/** The head of one map size: maps before it in, maps behind it out, a window around a cell at a time. */
export interface Level {
  /** Behind the head, from windows of the frontier: [n, channels, window.height, window.width]. */
  readonly part: Model;
  /** Values before it, with their channels. */
  readonly frontier: readonly { readonly name: string; readonly channels: number }[];
  readonly width: number;
  readonly height: number;
  readonly window: { readonly width: number; readonly height: number };
  /** For each element of a row, where it stands. */
  readonly sources: readonly Source[];
}

/** A model in two: the trunk, and the heads on windows. */
export interface Windows {
  readonly trunk: Model;
  readonly levels: readonly Level[];
  /** For each row of the output: its level and cell. */
  readonly level: Uint8Array;
  readonly cell: Int32Array;
}

/** Functions of one place alone. */
const POINTWISE = [
  'Sigmoid',
  'Mul',
  'Add',
  'Sub',
  'Div',
  'Relu',
  'Clip',
  'LeakyRelu',
  'HardSigmoid',
  'HardSwish',
  'Tanh',
  'Exp',
  'Identity',
  'Softplus',
  'Elu',
  'PRelu',
  'BatchNormalization',
];

/** A window is worth it where it holds no more of a map than this. */
const LARGEST_SHARE = 0.3;

/** How far around a place a node looks; undefined where it is not a function of neighbours alone. */
const reachOf = (node: Node, [, , height, width]: Four): number | undefined => {
  const isSame = (value: Value): boolean => {
    const map = mapOf(value);
    return map !== undefined && map[2] === height && map[3] === width;
  };
  const isFlat = (value: Value): boolean => {
    const dims = value.constant?.dims;
    if (dims === undefined) return false;
    return dims.slice(-2).every((dim) => dim === 1) || node.is('BatchNormalization', 'Clip');
  };
  if (node.is(...POINTWISE)) return node.needs.every((v) => isSame(v) || isFlat(v)) ? 0 : undefined;
  if (node.is('Concat')) return node.int('axis', 1) === 1 && node.needs.every(isSame) ? 0 : undefined;
  if (!node.is('Conv')) return undefined;
  const [x, w, bias] = node.inputs;
  if (x === undefined || w?.constant === undefined || (bias !== undefined && bias.constant === undefined)) {
    return undefined;
  }
  if (!isSame(x) || (node.ints('strides') ?? []).some((stride) => stride !== 1)) return undefined;
  if (node.text('auto_pad', 'NOTSET') !== 'NOTSET') return undefined;
  const pads = node.ints('pads') ?? [];
  const kernel = w.constant.dims.slice(2);
  const dilation = node.ints('dilations') ?? [1, 1];
  const span = kernel.map((k, i) => ((k - 1) * (dilation[i] ?? 1)) / 2);
  // As much on both sides as the kernel looks: the place of an output is that of its input.
  const isCentred = span.every((s, i) => (pads[i] ?? 0) === s && (pads[i + 2] ?? 0) === s);
  return isCentred ? Math.max(0, ...span) : undefined;
};

interface Region {
  readonly frontier: readonly Value[];
  readonly radius: number;
}

/** The nodes before `leaves` that a window can take in. */
const regionOf = (model: Model, leaves: readonly Value[], tail: ReadonlySet<Node>): Region | undefined => {
  const [first] = leaves;
  const size = mapOf(first);
  if (size === undefined) return undefined;
  const radius = new Map<Value, number>(leaves.map((leaf) => [leaf, 0]));
  const inside = new Set<Node>();
  const most = Math.floor((Math.sqrt(LARGEST_SHARE * size[2] * size[3]) - 1) / 2);
  for (const node of [...model.graph.nodes()].reverse()) {
    const outputs = node.outputs.filter((value) => value !== undefined);
    const [output] = outputs;
    if (output === undefined || outputs.length !== 1 || !radius.has(output)) continue;
    const own = radius.get(output) ?? 0;
    const isLeaf = leaves.includes(output);
    const isOurs = output.users.every((user) => inside.has(user) || (isLeaf && tail.has(user)));
    const reach = reachOf(node, size);
    if (!isOurs || (output.isOutput && !isLeaf) || reach === undefined || own + reach > most) continue;
    inside.add(node);
    for (const value of node.needs) {
      if (value.constant === undefined) radius.set(value, Math.max(radius.get(value) ?? 0, own + reach));
    }
  }
  const frontier = [...radius.keys()].filter(
    (value) => value.producer === undefined || !inside.has(value.producer),
  );
  const isWhole = leaves.some((leaf) => frontier.includes(leaf));
  return isWhole
    ? undefined
    : { frontier, radius: Math.max(...frontier.map((value) => radius.get(value) ?? 0)) };
};

/** `part` for any number of windows. */
const onWindows = (
  model: Model,
  { frontier }: Region,
  leaves: readonly Value[],
  window: Level['window'],
): Model => {
  const part = extract(model, frontier, leaves);
  for (const value of part.graph.values) {
    if (value.isInput) value.shape = ['n', value.shape?.[1] ?? '', window.height, window.width];
    else if (value.constant === undefined) value.shape = undefined;
  }
  inferShapes(part);
  return part;
};

/**
 * Splits a model before its head, where every row of its outputs comes from one cell of maps by convolutions that keep their size.
 *
 * @param model from `prepareModel`
 * @param elements for each row, the output and the element of each of its values
 * @returns undefined where the head is no such head: then the whole model must be run
 */
export const windowsOf = async (
  model: Model,
  outputs: readonly string[],
  rows: number,
  columns: readonly ((row: number) => { readonly output: string; readonly element: number })[],
): Promise<Windows | undefined> => {
  const { graph } = model;
  const values = outputs.flatMap((name) => graph.value(name) ?? []);
  if (graph.outputs.some((value) => !values.includes(value))) return undefined;
  const leaves = leavesOf(values);
  if (leaves === undefined || leaves.length === 0 || leaves.some((leaf) => leaf.producer === undefined)) {
    return undefined;
  }
  const placeOf = await traced(model, leaves, outputs);
  if (placeOf === undefined) return undefined;
  const tail = new Set(leaves.flatMap((leaf) => leaf.users));
  const [level, cell] = [new Uint8Array(rows), new Int32Array(rows)];
  const found = new Map<string, { readonly index: number; readonly places: readonly Place[] }>();
  for (let row = 0; row < rows; row++) {
    const places = columns.map((column) => {
      const { output, element } = column(row);
      return placeOf(output, element);
    });
    const at = places[0]?.cell ?? 0;
    if (places.some((place) => place.cell !== at)) return undefined;
    const key = places.map(({ leaf, channel }) => `${leaf}.${channel}`).join();
    const known = found.get(key) ?? { index: found.size, places };
    found.set(key, known);
    if (found.size > 16) return undefined;
    level[row] = known.index;
    cell[row] = at;
  }
  const levels: Level[] = [];
  const frontiers = new Set<Value>();
  for (const { places } of found.values()) {
    const own = [...new Set(places.map(({ leaf }) => leaf))].flatMap((leaf) => leaves[leaf] ?? []);
    const [map] = own.map(mapOf);
    const region = regionOf(model, own, tail);
    if (map === undefined || region === undefined) return undefined;
    if (own.some((leaf) => mapOf(leaf)?.[2] !== map[2] || mapOf(leaf)?.[3] !== map[3])) return undefined;
    const [, , height, width] = map;
    const side = 2 * region.radius + 1;
    const window = { width: Math.min(width, side), height: Math.min(height, side) };
    for (const value of region.frontier) frontiers.add(value);
    levels.push({
      part: onWindows(model, region, own, window),
      frontier: region.frontier.map((value) => ({ name: value.name, channels: mapOf(value)?.[1] ?? 0 })),
      width,
      height,
      window,
      sources: places.map(({ leaf, channel }) => ({ map: leaves[leaf]?.name ?? '', channel })),
    });
  }
  if ([...frontiers].some((value) => value.producer === undefined)) return undefined;
  const trunk = extract(model, graph.inputs, [...frontiers]);
  inferShapes(trunk);
  return { trunk, levels, level, cell };
};

/** Left and top cell of the window around `cell`: as central as the map allows. */
export const windowAt = (
  { width, height, window }: Level,
  cell: number,
): { readonly left: number; readonly top: number } => {
  const [x, y] = [cell % width, Math.floor(cell / width)];
  const place = (at: number, size: number, all: number): number =>
    Math.min(Math.max(0, at - (size - 1) / 2), all - size);
  return { left: place(x, window.width, width), top: place(y, window.height, height) };
};

/** Copies the window around a cell out of a map [1, channels, height, width] into `out`, from `start` on. */
export const cutWindow = (
  map: Float32Array,
  channels: number,
  level: Level,
  cell: number,
  out: Float32Array,
  start: number,
): void => {
  const { width, height, window } = level;
  const { left, top } = windowAt(level, cell);
  if (map.length !== channels * width * height) {
    throw new BitlaneError(
      'INTERNAL',
      `a map of ${map.length} values is not ${channels} x ${height} x ${width}`,
    );
  }
  let at = start;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = top; y < top + window.height; y++) {
      const from = (channel * height + y) * width + left;
      for (let x = 0; x < window.width; x++) out[at++] = map[from + x] ?? 0;
    }
  }
};
