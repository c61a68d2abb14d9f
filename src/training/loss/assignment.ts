// Which cells answer for which object: SimOTA (Ge et al. 2021), as nodes of the graph.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import type { Value } from '../../onnx/index.js';
import {
  boxesOf,
  columns,
  cornersOf,
  FIRST_CLASS,
  type Level,
  levelsOf,
  OBJECTNESS,
  type Rows,
} from './cells.js';
import { iouOf } from './overlap.js';

/** Cells around an object's centre that may answer for it, a side: those whose middle is within 1.5 strides. */
const AROUND = 3;
/** Cells at most that answer for an object, and whose overlaps say how many do. */
export const MOST_CELLS = 10;
const OVERLAP_COST = 3;
/** More than any cost. */
const FORBIDDEN = 1e9;
const LEAST_PROBABILITY = 1e-7;

/** Each object has `slots` places, the least costly cells first; those that are taken are marked. */
export interface Assignment {
  readonly slots: number;
  /** [N, M, slots], int64: the cell of each place, counted over the levels of one picture. */
  readonly cells: Value;
  /** The same, counted over the whole batch. */
  readonly rows: Value;
  /** [N, M, slots], 1 where the cell answers for the object. */
  readonly taken: Value;
  /** [N, M, slots], overlap of the cell's box with the object's. */
  readonly overlap: Value;
}

interface Candidates {
  /** [N, M, 9 * levels], float: numbers of cells within the picture. */
  readonly cells: Value;
  /** 1 where there is such a cell. */
  readonly inside: Value;
}

const offsets = (pick: (column: number, row: number) => number): Float32Array =>
  Float32Array.from({ length: AROUND * AROUND }, (_, i) =>
    pick((i % AROUND) - 1, Math.floor(i / AROUND) - 1),
  );

/** The 3x3 cells around the one that holds the centre, on every level. */
const candidatesOf = (ops: Ops, levels: readonly Level[], cx: Value, cy: Value): Candidates => {
  const perLevel = levels.map(({ stride, columns: wide, rows: high, first }) => {
    const [dx, dy] = [offsets((column) => column), offsets((_, row) => row)];
    const column = ops.add(ops.map('Floor', ops.div(cx, stride)), ops.floats([1, 1, dx.length], dx));
    const row = ops.add(ops.map('Floor', ops.div(cy, stride)), ops.floats([1, 1, dy.length], dy));
    const within = (value: Value, count: number): Value =>
      ops.and(ops.compare('GreaterOrEqual', value, 0), ops.compare('Less', value, count));
    const inside = ops.mask(ops.and(within(column, wide), within(row, high)));
    const cells = ops.add(ops.add(ops.mul(row, wide), column), first);
    return { cells: ops.mul(cells, inside), inside };
  });
  const joined = (pick: (level: Candidates) => Value): Value => ops.concat(perLevel.map(pick), 2);
  return { cells: joined(({ cells }) => cells), inside: joined(({ inside }) => inside) };
};

/** The `count` least (or greatest) along the last axis, in order, with their places. */
const ranked = (ops: Ops, x: Value, count: number, largest: boolean): readonly [Value, Value] => {
  const dims = [...dimsOf(x).slice(0, -1), count];
  const results = ops.node('TopK', [x, ops.ints([count])], [dims, dims], {
    axis: -1,
    largest: largest ? 1 : 0,
    sorted: 1,
  });
  const [values, places] = results as [Value, Value];
  places.type = 'int64';
  return [values, places];
};

/** Cost of every class for a candidate: binary cross-entropy against the root of class and objectness score. */
const classCost = (ops: Ops, rows: Value, oneHot: Value, width: number): Value => {
  const objectness = ops.map('Sigmoid', columns(ops, rows, OBJECTNESS, FIRST_CLASS));
  const classes = ops.map('Sigmoid', columns(ops, rows, FIRST_CLASS, width));
  const root = ops.map('Sqrt', ops.mul(classes, objectness));
  const p = ops.op(
    'Clip',
    [root, ops.scalar(LEAST_PROBABILITY), ops.scalar(1 - LEAST_PROBABILITY)],
    dimsOf(root),
  );
  const miss = ops.neg(ops.map('Log', ops.sub(1, p)));
  const gain = ops.mul(oneHot, ops.add(ops.map('Log', p), miss));
  return ops.sum(ops.sub(miss, gain), [3], false);
};

/**
 * SimOTA. Candidates of an object are the cells whose middle is within 1.5 strides of its centre; their cost is that of their
 * class scores plus three times that of their box. An object gets as many cells as the overlaps of its ten best sum up to, and
 * at least one: the least costly. A cell that several objects want answers for the one that it costs least.
 *
 * @param targets [N, M, 6] (see `targets.ts`)
 * @param oneHot [N, M, classes]
 * @param detached rows that no gradient goes through
 */
export const assign = (ops: Ops, rows: Rows, detached: Value, targets: Value, oneHot: Value): Assignment => {
  const { batch, cells: count, width } = rows;
  const objects = dimsOf(targets)[1] ?? 0;
  const box = cornersOf(ops, targets);
  const present = ops.mask(ops.compare('Greater', columns(ops, targets, 5, 6), 0));
  const centre = (a: Value, b: Value): Value => ops.mul(ops.add(a, b), 0.5);
  const candidates = candidatesOf(ops, levelsOf(rows.spec), centre(box.x1, box.x2), centre(box.y1, box.y2));
  const allowed = ops.mul(candidates.inside, present);
  const wide = dimsOf(allowed)[2] ?? 0;

  const cell = ops.cast(candidates.cells, 'int64');
  const pictures = ops.floats(
    [batch, 1, 1],
    Array.from({ length: batch }, (_, n) => n * count),
  );
  const inBatch = (cells: Value): Value => ops.op('Add', [cells, ops.cast(pictures, 'int64')], dimsOf(cells));
  const found = ops.op(
    'GatherND',
    [detached, ops.reshape(inBatch(cell), [batch, objects, wide, 1])],
    [batch, objects, wide, width],
  );
  const apart = (x: Value): Value => ops.reshape(x, [...dimsOf(x), 1]);
  const flat = (x: Value): Value => ops.reshape(x, dimsOf(x).slice(0, -1));
  const said = boxesOf(ops, rows, found, apart(cell));
  const overlap = ops.mul(
    iouOf(ops, { x1: flat(said.x1), y1: flat(said.y1), x2: flat(said.x2), y2: flat(said.y2) }, box),
    allowed,
  );
  const boxCost = ops.neg(ops.map('Log', ops.add(overlap, 1e-8)));
  const fitCost = classCost(ops, found, ops.reshape(oneHot, [batch, objects, 1, width - FIRST_CLASS]), width);
  const cost = ops.where(
    ops.compare('Greater', allowed, 0),
    ops.add(fitCost, ops.mul(boxCost, OVERLAP_COST)),
    FORBIDDEN,
  );

  const slots = Math.min(MOST_CELLS, wide);
  const [best] = ranked(ops, overlap, slots, true);
  const sum = ops.sum(best, [2]);
  // A sum that is a whole number but for rounding counts as that number.
  const wanted = ops.op('Max', [ops.map('Floor', ops.add(sum, 1e-4)), ops.scalar(1)], dimsOf(sum));
  const [costs, places] = ranked(ops, cost, slots, false);
  const rank = ops.floats(
    [1, 1, slots],
    Array.from({ length: slots }, (_, i) => i),
  );
  const within = ops.compare('Less', rank, wanted);
  const selected = ops.and(within, ops.compare('Less', costs, FORBIDDEN / 2));
  const pick = (x: Value): Value =>
    ops.op('GatherElements', [x, places], dimsOf(places), { axis: 2 }, x.type ?? 'float32');
  const chosen = pick(cell);
  const row = inBatch(chosen);
  const taken = leastCostly(ops, row, selected, costs, batch * count);
  return { slots, cells: chosen, rows: row, taken, overlap: pick(overlap) };
};

/** Of the objects that want a cell, the one that it costs least keeps it; of equal ones, the first. */
const leastCostly = (ops: Ops, rows: Value, selected: Value, costs: Value, cells: number): Value => {
  const dims = dimsOf(rows);
  const [, objects = 0] = dims;
  const flat = (x: Value): Value => ops.reshape(x, [dims.reduce((a, b) => a * b, 1)]);
  const places = flat(rows);
  const least = (values: Value, among: Value): Value => {
    const updates = flat(ops.where(among, values, FORBIDDEN));
    const fill = ops.expand(ops.scalar(FORBIDDEN), [cells]);
    const table = ops.op('ScatterElements', [fill, places, updates], [cells], { axis: 0, reduction: 'min' });
    return ops.reshape(ops.op('Gather', [table, places], dimsOf(places), { axis: 0 }), dims);
  };
  const cheapest = ops.and(selected, ops.compare('LessOrEqual', costs, least(costs, selected)));
  const number = ops.expand(
    ops.floats(
      [1, objects, 1],
      Array.from({ length: objects }, (_, m) => m),
    ),
    dims,
  );
  return ops.mask(ops.and(cheapest, ops.compare('LessOrEqual', number, least(number, cheapest))));
};
