// Rows of a head: what a model says of one place, as logits and a box, whatever the head.
import { BitlaneError } from '../errors.js';
import type { DetectorSpec, HeadSpec } from '../registry/index.js';
import type { Tensors } from '../runtime/index.js';
import { type Box, type Grid, makeGrid } from '../vision/index.js';

/** What one row says. */
export interface Place {
  /** In pixels of the model's input. */
  readonly box: Box;
  /** Logit of the objectness; of the best class where the head has none. */
  readonly objectness: number;
  /** A logit for each class of the model. */
  readonly logits: Float64Array;
}

/** How rows lie in the outputs of a head, and what they mean. Rows are those of one picture. */
export interface Rows {
  readonly outputs: readonly string[];
  readonly count: number;
  /** Elements of a row. */
  readonly columns: readonly ((row: number) => { readonly output: string; readonly element: number })[];
  /** Whether rows have an objectness of their own: a class score counts as the product with it. */
  readonly hasObjectness: boolean;
  /** Column of the first class, and whether the columns of classes hold probabilities or logits. */
  readonly scores: { readonly first: number; readonly areLogits: boolean };
  /** @param values the elements of a row, from `start` on */
  read(values: ArrayLike<number>, start: number, row: number): Place;
}

/** Floats do not hold probabilities nearer to 0 or 1. */
const TINY = 1e-12;
const NEAR_ONE = 1 - 2 ** -24;

/** The logit of a probability. */
export const logitOf = (probability: number): number => {
  const p = Math.min(NEAR_ONE, Math.max(TINY, probability));
  return Math.log(p / (1 - p));
};

const number = (value: number | undefined): number => value ?? 0;

const unfit = (output: string): BitlaneError =>
  new BitlaneError('BAD_MODEL', `the model's output ${output} does not have the shape that its head says`);

const centred = (x: number, y: number, w: number, h: number): Box => ({
  x1: x - w / 2,
  y1: y - h / 2,
  x2: x + w / 2,
  y2: y + h / 2,
});

/** Columns in front of the classes: a box and an objectness. */
const HEAD_COLUMNS = 5;

const yoloxRows = (head: Extract<HeadSpec, { type: 'yolox' }>, { input, classes }: DetectorSpec): Rows => {
  const grid = makeGrid(input.width, input.height, head.strides);
  const width = HEAD_COLUMNS + classes.length;
  return {
    outputs: [head.output],
    count: grid.cells,
    columns: Array.from({ length: width }, (_, column) => (row: number) => ({
      output: head.output,
      element: row * width + column,
    })),
    hasObjectness: true,
    scores: { first: HEAD_COLUMNS, areLogits: false },
    read: (values, start, row) => {
      const at = (i: number): number => number(values[start + i]);
      const stride = number(grid.stride[row]);
      const box =
        head.boxes === 'decoded'
          ? centred(at(0), at(1), at(2), at(3))
          : centred(
              (at(0) + number(grid.column[row])) * stride,
              (at(1) + number(grid.row[row])) * stride,
              Math.exp(at(2)) * stride,
              Math.exp(at(3)) * stride,
            );
      const logits = Float64Array.from(classes, (_, i) => logitOf(at(HEAD_COLUMNS + i)));
      return { box, objectness: logitOf(at(4)), logits };
    },
  };
};

const yolov8Rows = (
  head: Extract<HeadSpec, { type: 'yolov8' }>,
  { classes }: DetectorSpec,
  outputs: Tensors,
): Rows => {
  const width = 4 + classes.length;
  const count = number(outputs[head.output]?.data.length) / width;
  if (!Number.isInteger(count) || count === 0) throw unfit(head.output);
  const isFirst = head.layout === 'channels-first';
  return {
    outputs: [head.output],
    count,
    columns: Array.from({ length: width }, (_, column) => (row: number) => ({
      output: head.output,
      element: isFirst ? column * count + row : row * width + column,
    })),
    hasObjectness: false,
    scores: { first: 4, areLogits: false },
    read: (values, start) => {
      const at = (i: number): number => number(values[start + i]);
      const logits = Float64Array.from(classes, (_, i) => logitOf(at(4 + i)));
      return { box: centred(at(0), at(1), at(2), at(3)), objectness: Math.max(...logits), logits };
    },
  };
};

/** Mean of the bin numbers under the softmax of their logits. */
const meanBin = (at: (i: number) => number, from: number, bins: number): number => {
  let top = -Infinity;
  for (let i = 0; i < bins; i++) top = Math.max(top, at(from + i));
  let [sum, weighted] = [0, 0];
  for (let i = 0; i < bins; i++) {
    const share = Math.exp(at(from + i) - top);
    sum += share;
    weighted += share * i;
  }
  return weighted / sum;
};

const gflBox = (
  head: Extract<HeadSpec, { type: 'gfl' }>,
  grid: Grid,
  row: number,
  at: (i: number) => number,
): Box => {
  const stride = number(grid.stride[row]);
  const bins = head.regMax + 1;
  const [x, y] = [grid.column[row], grid.row[row]].map((v) => (number(v) + head.cellOffset) * stride);
  const side = (i: number): number => meanBin(at, i * bins, bins) * stride;
  return {
    x1: number(x) - side(0),
    y1: number(y) - side(1),
    x2: number(x) + side(2),
    y2: number(y) + side(3),
  };
};

const gflRows = (head: Extract<HeadSpec, { type: 'gfl' }>, { input, classes }: DetectorSpec): Rows => {
  const grid = makeGrid(input.width, input.height, head.strides);
  const count = classes.length;
  const distances = 4 * (head.regMax + 1);
  const isSplit = head.layout === 'split';
  const starts: number[] = [];
  let cells = 0;
  for (const [index] of head.outputs.entries()) {
    starts.push(cells);
    cells += head.outputs.length === 1 ? grid.cells : number(grid.perStride[index]);
  }
  const place = (row: number): { readonly index: number; readonly own: number } => {
    let index = starts.length - 1;
    while (index > 0 && row < number(starts[index])) index--;
    return { index, own: row - number(starts[index]) };
  };
  return {
    outputs: [...head.outputs, ...head.boxOutputs],
    count: grid.cells,
    columns: Array.from({ length: count + distances }, (_, column) => (row: number) => {
      const { index, own } = place(row);
      const isScore = column < count;
      const output = (isScore || !isSplit ? head.outputs : head.boxOutputs)[index] ?? '';
      if (!isSplit) return { output, element: own * (count + distances) + column };
      return { output, element: isScore ? own * count + column : own * distances + column - count };
    }),
    hasObjectness: false,
    scores: { first: 0, areLogits: head.scores === 'logits' },
    read: (values, start, row) => {
      const at = (i: number): number => number(values[start + i]);
      const logits = Float64Array.from(classes, (_, i) =>
        head.scores === 'logits' ? at(i) : logitOf(at(i)),
      );
      const box = gflBox(head, grid, row, (i) => at(count + i));
      return { box, objectness: Math.max(...logits), logits };
    },
  };
};

/**
 * How the rows of a model lie in its outputs.
 *
 * @param outputs of one run: heads without strides have as many rows as they give
 * @throws BitlaneError `UNSUPPORTED` for an end-to-end head, which says one class of a box and not how likely each is
 */
export const rowsOf = (spec: DetectorSpec, outputs: Tensors): Rows => {
  const { head } = spec;
  switch (head.type) {
    case 'yolox':
      return yoloxRows(head, spec);
    case 'yolov8':
      return yolov8Rows(head, spec, outputs);
    case 'gfl':
      return gflRows(head, spec);
    case 'end-to-end':
      throw new BitlaneError(
        'UNSUPPORTED',
        'an end-to-end head gives one class a box and not how likely each is: significance cannot be measured on it',
      );
  }
};

/** The elements of some rows out of the outputs of a run, one row behind the other. */
export const takeRows = (rows: Rows, outputs: Tensors, wanted: readonly number[]): Float32Array => {
  const taken = new Float32Array(wanted.length * rows.columns.length);
  let at = 0;
  for (const row of wanted) {
    for (const column of rows.columns) {
      const { output, element } = column(row);
      const value = outputs[output]?.data[element];
      if (typeof value !== 'number') throw unfit(output);
      taken[at++] = value;
    }
  }
  return taken;
};
