// Which outputs a head reads and how they are laid out, found from their shapes and values.
import { BitlaneError } from '../errors.js';
import type { HeadSpec, InputSpec } from '../registry/index.js';
import type { FloatTensor, Tensors } from '../runtime/index.js';
import type { ModelHints } from './probe-messages.js';

interface Output {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

type HeadOf<T extends HeadSpec['type']> = Extract<HeadSpec, { type: T }>;

/** Sets of strides that detectors come with. */
const USUAL_STRIDES: readonly (readonly number[])[] = [
  [8, 16, 32],
  [8, 16, 32, 64],
  [16, 32],
  [8, 16],
  [4, 8, 16, 32],
  [32],
  [16],
  [8],
];

const show = (outputs: readonly Output[]): string =>
  outputs.map(({ name, dims }) => `${name} [${dims.join(', ')}]`).join(', ') || 'none';

const refuse = (head: string, wanted: string, outputs: readonly Output[]): BitlaneError =>
  new BitlaneError(
    'BAD_MODEL',
    `the ${head} head needs ${wanted}, and the model's outputs are ${show(outputs)}`,
  );

const count = (classes: number): string => `${classes} ${classes === 1 ? 'class' : 'classes'}`;

/** Float outputs, in the graph's order or in the order they are named. */
const candidates = (outputs: Tensors, names: readonly string[] | undefined): readonly Output[] => {
  const floats = Object.entries(outputs)
    .filter((entry): entry is [string, FloatTensor] => entry[1].type === 'float32')
    .map(([name, { dims, data }]) => ({ name, dims, data }));
  if (names === undefined || names.length === 0) return floats;
  return names.map((name) => {
    const found = floats.find((output) => output.name === name);
    if (found !== undefined) return found;
    throw new BitlaneError('BAD_MODEL', `the model has no float32 output ${name}: it has ${show(floats)}`);
  });
};

/** Rows x columns of an output [1, rows, columns]. */
const matrix = ({ dims }: Output): { rows: number; columns: number } | undefined => {
  const [batch, rows, columns] = dims;
  return dims.length === 3 && batch === 1 && rows !== undefined && columns !== undefined
    ? { rows, columns }
    : undefined;
};

const cellsOf = ({ width, height }: InputSpec, strides: readonly number[]): number[] =>
  strides.map((stride) => Math.ceil(width / stride) * Math.ceil(height / stride));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The strides whose maps have that many cells: the user's, or the first of the usual that fit. */
const stridesFor = (
  fits: (cells: readonly number[]) => boolean,
  input: InputSpec,
  hints: ModelHints,
): number[] => {
  const sets = hints.strides === undefined ? USUAL_STRIDES : [hints.strides];
  const found = sets.find((strides) => fits(cellsOf(input, strides)));
  if (found !== undefined) return [...found];
  throw new BitlaneError(
    'BAD_MODEL',
    hints.strides === undefined
      ? `no usual set of strides gives as many boxes as the model does at ${input.width}x${input.height}: say which with --strides`
      : `strides ${hints.strides.join(', ')} do not give as many boxes as the model does at ${input.width}x${input.height}`,
  );
};

const yolox = (input: InputSpec, outputs: readonly Output[], hints: ModelHints): HeadOf<'yolox'> => {
  const classes = hints.names.length;
  const output = outputs.find((candidate) => matrix(candidate)?.columns === 5 + classes);
  const shape = output && matrix(output);
  if (output === undefined || shape === undefined) {
    const other = outputs.map(matrix).find((found) => found !== undefined && found.columns > 5);
    const hint = other === undefined ? '' : `; one of ${count(other.columns - 5)} would fit`;
    throw refuse('yolox', `an output [1, boxes, ${5 + classes}] for ${count(classes)}${hint}`, outputs);
  }
  const boxes = hints.boxes ?? boxesOf(output, shape, input);
  return {
    type: 'yolox',
    output: output.name,
    boxes,
    strides:
      boxes === 'decoded' && hints.strides === undefined
        ? [8, 16, 32]
        : stridesFor((cells) => sum(cells) === shape.rows, input, hints),
  };
};

/** Raw sides are logarithms and raw centres lie within a few cells; finished ones are positive, and spread over the input. */
const boxesOf = (
  { data }: Output,
  { rows, columns }: { rows: number; columns: number },
  { width, height }: InputSpec,
): 'raw' | 'decoded' => {
  let spreads = false;
  for (let at = 0; at < rows * columns; at += columns) {
    if ((data[at + 2] ?? 0) < 0 || (data[at + 3] ?? 0) < 0) return 'raw';
    spreads ||= (data[at] ?? 0) > width / 2 || (data[at + 1] ?? 0) > height / 2;
  }
  return spreads ? 'decoded' : 'raw';
};

const yolov8 = (outputs: readonly Output[], hints: ModelHints): HeadOf<'yolov8'> => {
  const classes = hints.names.length;
  for (const output of outputs) {
    const shape = matrix(output);
    if (shape?.rows === 4 + classes) return { type: 'yolov8', output: output.name, layout: 'channels-first' };
    if (shape?.columns === 4 + classes) {
      return { type: 'yolov8', output: output.name, layout: 'channels-last' };
    }
  }
  const other = outputs
    .map(matrix)
    .find((shape) => shape !== undefined && Math.min(shape.rows, shape.columns) > 4);
  const hint =
    other === undefined ? '' : `; one of ${count(Math.min(other.rows, other.columns) - 4)} would fit`;
  throw refuse('yolov8', `an output [1, ${4 + classes}, boxes] for ${count(classes)}${hint}`, outputs);
};

const endToEnd = (outputs: readonly Output[]): HeadOf<'end-to-end'> => {
  const output = outputs.find((candidate) => matrix(candidate)?.columns === 6);
  if (output === undefined) throw refuse('end-to-end', 'an output [1, boxes, 6]', outputs);
  return { type: 'end-to-end', output: output.name };
};

/** The largest distance bin that a number of distance values stands for. */
const regMaxOf = (width: number): number | undefined => {
  const regMax = width / 4 - 1;
  return Number.isInteger(regMax) && regMax >= 1 && regMax <= 64 ? regMax : undefined;
};

const gfl = (input: InputSpec, outputs: readonly Output[], hints: ModelHints): HeadOf<'gfl'> => {
  const classes = hints.names.length;
  const shaped = outputs.flatMap((output) => {
    const shape = matrix(output);
    return shape === undefined ? [] : [{ ...output, ...shape }];
  });
  // The finest map first, in the order of strides.
  const ordered = (hints.outputs?.length ?? 0) > 0 ? shaped : [...shaped].sort((a, b) => b.rows - a.rows);
  const scores = ordered.filter(({ columns }) => columns === classes);
  const distances = ordered.filter(({ columns }) => columns !== classes && regMaxOf(columns) !== undefined);
  if (scores.length > 0 && scores.length === distances.length) {
    const strides = stridesFor(
      (cells) => cells.join() === scores.map(({ rows }) => rows).join(),
      input,
      hints,
    );
    return {
      type: 'gfl',
      layout: 'split',
      outputs: scores.map(({ name }) => name),
      boxOutputs: distances.map(({ name }) => name),
      strides,
      regMax: regMaxOf(distances[0]?.columns ?? 0) ?? 7,
      scores: scoresOf(scores, classes),
      cellOffset: hints.cellOffset ?? 0.5,
    };
  }
  const joined = ordered.filter(({ columns }) => regMaxOf(columns - classes) !== undefined);
  const [first] = joined;
  if (first === undefined) {
    throw refuse(
      'gfl',
      `outputs [1, cells, ${classes}] and [1, cells, 4 * bins], or [1, cells, ${classes} + 4 * bins], for ${count(classes)}`,
      outputs,
    );
  }
  const strides = stridesFor(
    (cells) =>
      joined.length === 1
        ? sum(cells) === first.rows
        : cells.join() === joined.map(({ rows }) => rows).join(),
    input,
    hints,
  );
  return {
    type: 'gfl',
    layout: 'joined',
    outputs: joined.map(({ name }) => name),
    boxOutputs: [],
    strides,
    regMax: regMaxOf(first.columns - classes) ?? 7,
    scores: scoresOf(joined, classes),
    // NanoDet-Plus, the one with a fourth stride, counts from the corner of a cell.
    cellOffset: hints.cellOffset ?? (strides.length === 4 ? 0 : 0.5),
  };
};

/** Scores that leave 0..1 are logits. */
const scoresOf = (
  outputs: readonly (Output & { columns: number })[],
  classes: number,
): HeadOf<'gfl'>['scores'] =>
  outputs.some(({ data, columns }) =>
    data.some((value, i) => i % columns < classes && (value < 0 || value > 1)),
  )
    ? 'logits'
    : 'sigmoid-applied';

/**
 * The head's description.
 * @param outputs what the model gave for a grey picture
 * @throws BitlaneError `BAD_MODEL` when no output can be the head's
 */
export const describeHead = (input: InputSpec, outputs: Tensors, hints: ModelHints): HeadSpec => {
  const found = candidates(outputs, hints.outputs);
  switch (hints.head) {
    case 'yolox':
      return yolox(input, found, hints);
    case 'yolov8':
      return yolov8(found, hints);
    case 'end-to-end':
      return endToEnd(found);
    case 'gfl':
      return gfl(input, found, hints);
  }
};
