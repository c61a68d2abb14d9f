// A yolox head's rows as values of a graph: which cell each is, and the box that it says.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import type { Graph, Value } from '../../onnx/index.js';
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import { type Grid, makeGrid } from '../../vision/index.js';
import { beforeSigmoids } from './raw.js';

export type YoloxSpec = Omit<DetectorSpec, 'head'> & {
  readonly head: Extract<HeadSpec, { type: 'yolox' }>;
};

/** Columns of a row in front of the class scores: x, y, w, h, objectness. */
export const OBJECTNESS = 4;
export const FIRST_CLASS = 5;

/** Sides of more than this many strides are no box of a picture; their exponential would only overflow. */
const MOST_STRIDES = Math.log(256);

/**
 * @throws BitlaneError `UNSUPPORTED` for a head of another type
 */
export const yoloxSpec = (detector: DetectorSpec): YoloxSpec => {
  const { head } = detector;
  if (head.type === 'yolox') return { ...detector, head };
  throw new BitlaneError(
    'UNSUPPORTED',
    `only models with a yolox head can be trained, and this one has a ${head.type} head`,
  );
};

/** A level of the grid. */
export interface Level {
  readonly stride: number;
  readonly columns: number;
  readonly rows: number;
  /** Its first cell, counted over all levels. */
  readonly first: number;
}

export const levelsOf = ({ input, head }: YoloxSpec): Level[] => {
  let first = 0;
  return head.strides.map((stride) => {
    const level = {
      stride,
      columns: Math.ceil(input.width / stride),
      rows: Math.ceil(input.height / stride),
      first,
    };
    first += level.columns * level.rows;
    return level;
  });
};

/** What a head says of a batch, for losses to work with. */
export interface Rows {
  readonly spec: YoloxSpec;
  readonly grid: Grid;
  readonly batch: number;
  /** [batch * cells, 5 + classes]: boxes as the model says them, objectness and classes as logits. */
  readonly values: Value;
  readonly cells: number;
  readonly width: number;
}

/**
 * @param outputs the model's, of a fixed batch
 * @throws BitlaneError `BAD_MODEL` where the output is not there, or not the head's
 */
export const rowsOf = (
  graph: Graph,
  ops: Ops,
  outputs: readonly Value[],
  spec: YoloxSpec,
  batch: number,
): Rows => {
  const output = outputs.find(({ name }) => name === spec.head.output);
  if (output === undefined) {
    throw new BitlaneError('BAD_MODEL', `the model has no output ${spec.head.output}`);
  }
  const grid = makeGrid(spec.input.width, spec.input.height, spec.head.strides);
  const width = FIRST_CLASS + spec.classes.length;
  const dims = dimsOf(output);
  if (dims.join() !== [batch, grid.cells, width].join()) {
    throw new BitlaneError(
      'BAD_MODEL',
      `the output ${output.name} is [${dims.join(', ')}] where a yolox head of ${spec.classes.length} classes at ` +
        `${spec.input.width}x${spec.input.height} is [${batch}, ${grid.cells}, ${width}]`,
    );
  }
  const values = ops.reshape(beforeSigmoids(graph, output), [batch * grid.cells, width]);
  return { spec, grid, batch, values, cells: grid.cells, width };
};

/** Corners of boxes: four values of one shape. */
export interface Corners {
  readonly x1: Value;
  readonly y1: Value;
  readonly x2: Value;
  readonly y2: Value;
}

/** Column `from` to `to` of the last axis. */
export const columns = (ops: Ops, x: Value, from: number, to: number): Value =>
  ops.slice(x, [{ axis: dimsOf(x).length - 1, start: from, end: to }]);

/**
 * Boxes of some rows, in pixels of the input.
 *
 * @param rows [..., 5 + classes]
 * @param cells [..., 1], int64: the cell of each row
 */
export const boxesOf = (ops: Ops, { spec, grid }: Rows, rows: Value, cells: Value): Corners => {
  const [x, y, w, h] = [0, 1, 2, 3].map((at) => columns(ops, rows, at, at + 1)) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const corners = (cx: Value, cy: Value, sx: Value, sy: Value): Corners => {
    const [halfX, halfY] = [ops.mul(sx, 0.5), ops.mul(sy, 0.5)];
    return {
      x1: ops.sub(cx, halfX),
      y1: ops.sub(cy, halfY),
      x2: ops.add(cx, halfX),
      y2: ops.add(cy, halfY),
    };
  };
  if (spec.head.boxes === 'decoded') return corners(x, y, w, h);
  const of = (table: Float32Array): Value =>
    ops.op('Gather', [ops.floats([table.length], table), cells], dimsOf(cells), { axis: 0 }, 'float32');
  const stride = of(grid.stride);
  const side = (log: Value): Value =>
    ops.mul(ops.map('Exp', ops.op('Min', [log, ops.scalar(MOST_STRIDES)], dimsOf(log))), stride);
  return corners(
    ops.mul(ops.add(x, of(grid.column)), stride),
    ops.mul(ops.add(y, of(grid.row)), stride),
    side(w),
    side(h),
  );
};

/** Four columns as corners. */
export const cornersOf = (ops: Ops, x: Value): Corners => ({
  x1: columns(ops, x, 0, 1),
  y1: columns(ops, x, 1, 2),
  x2: columns(ops, x, 2, 3),
  y2: columns(ops, x, 3, 4),
});
