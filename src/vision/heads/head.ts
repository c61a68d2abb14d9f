// What every head does: reads a model's outputs, gives boxes in pixels of the input.
import { BitlaneError } from '../../errors.js';
import { showValue, type Tensors, type ValueInfo } from '../../runtime/index.js';
import type { Box, Detection } from '../types.js';

/** What a model said of one picture. */
export interface Decoded {
  /** In pixels of the model's input, not clipped, in no order. */
  readonly detections: Detection[];
  /** Values that were looked at and are not finite numbers. What they belong to never becomes a detection. */
  readonly nonFinite: number;
}

/**
 * `best`: a place is one detection at most, of its best class. `ranked`: the same with the next best class beside it; what a
 * detector shows. `all`: one for each class that scores enough; what average precision is measured on.
 */
export type Labels = 'best' | 'ranked' | 'all';

/** A reader of one kind of output. Holds tables for its model's grid; keeps nothing between pictures. */
export interface Head {
  /**
   * Checks the outputs that a session declares. Dynamic dimensions are let through; `decode` checks those.
   * @throws BitlaneError `BAD_MODEL`
   */
  checkOutputs(outputs: readonly ValueInfo[]): void;
  /**
   * Decodes the outputs of one run (of one picture).
   * @param scoreThreshold 0..1; what scores lower is left out
   * @param keep for each class, 0 to leave it out; all are kept where it is absent
   * @param labels `best` where it is absent
   * @throws BitlaneError `BAD_MODEL` when an output is missing or has another shape
   */
  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array, labels?: Labels): Decoded;
}

/** An output as a head needs it: `undefined` stands for any size. */
export interface OutputShape {
  readonly name: string;
  readonly shape: readonly (number | undefined)[];
}

const show = (shape: OutputShape['shape']): string =>
  `float32 [${shape.map((dim) => (dim === undefined ? 'N' : String(dim))).join(', ')}]`;

const fits = (expected: OutputShape['shape'], actual: readonly (number | string)[]): boolean =>
  actual.length === expected.length &&
  expected.every((dim, i) => dim === undefined || typeof actual[i] === 'string' || actual[i] === dim);

const refuse = (
  { name, shape }: OutputShape,
  found: { type: string; shape: readonly (number | string)[] },
  needs: string,
): BitlaneError =>
  new BitlaneError(
    'BAD_MODEL',
    `the model's output ${name} is ${showValue(found)} where ${needs} needs ${show(shape)}`,
  );

/**
 * Checks declared outputs against what a head needs.
 * @param needs what an error calls the head, with what its shape follows from
 */
export const checkShapes = (
  expected: readonly OutputShape[],
  outputs: readonly ValueInfo[],
  needs: string,
): void => {
  for (const output of expected) {
    const found = outputs.find(({ name }) => name === output.name);
    if (found === undefined) {
      const names = outputs.map(({ name }) => name).join(', ');
      throw new BitlaneError('BAD_MODEL', `the model has no output ${output.name} (it has ${names})`);
    }
    if (found.type !== 'float32' || !fits(output.shape, found.shape)) throw refuse(output, found, needs);
  }
};

/** The values of an output, its type and shape checked. */
export const valuesOf = (outputs: Tensors, expected: OutputShape, needs: string): Float32Array => {
  const tensor = outputs[expected.name];
  if (tensor === undefined) {
    throw new BitlaneError('BAD_MODEL', `the model gave no output ${expected.name}`);
  }
  if (tensor.type !== 'float32' || !fits(expected.shape, tensor.dims)) {
    throw refuse(expected, { type: tensor.type, shape: tensor.dims }, needs);
  }
  return tensor.data;
};

/** `float32 [..]` is needed by: `a yolox head of 80 classes at 416x416`. */
export const describeHead = (
  type: string,
  classes: number,
  input?: { readonly width: number; readonly height: number },
): string =>
  `a ${type} head of ${classes} ${classes === 1 ? 'class' : 'classes'}` +
  (input === undefined ? '' : ` at ${input.width}x${input.height}`);

/** How many of `values[from..to)` are not finite. Nearly always 0, and found so with one addition a value. */
export const countNonFinite = (values: Float32Array, from: number, to: number): number => {
  let poison = 0;
  for (let i = from; i < to; i += 1) poison += (values[i] ?? 0) * 0;
  if (poison === 0) return 0;
  let count = 0;
  for (let i = from; i < to; i += 1) if (!Number.isFinite(values[i])) count += 1;
  return count;
};

/**
 * The class with the highest of some values, one class left out.
 * @param from index of the value of class 0
 * @param step from one class to the next
 * @returns its index, -1 where no other class is kept
 */
export const nextBest = (
  values: Float32Array,
  from: number,
  step: number,
  classes: number,
  best: number,
  keep: Uint8Array | undefined,
): number => {
  let next = -1;
  let highest = -Infinity;
  for (let classId = 0; classId < classes; classId += 1) {
    const value = values[from + classId * step] ?? 0;
    if (classId === best || value <= highest || (keep !== undefined && keep[classId] !== 1)) continue;
    [next, highest] = [classId, value];
  }
  return next;
};

/**
 * Adds a detection, unless its class is left out or its box is empty. A score above 1 counts as 1.
 * @param rivalId the next best class; -1: there is none, or it was not asked for
 */
export const addDetection = (
  into: Detection[],
  { x1, y1, x2, y2 }: Box,
  classId: number,
  score: number,
  keep: Uint8Array | undefined,
  rivalId = -1,
  rivalScore = 0,
): void => {
  if (!(x2 > x1 && y2 > y1)) return;
  if (keep !== undefined && keep[classId] !== 1) return;
  const found = { x1, y1, x2, y2, classId, score: Math.min(score, 1) };
  into.push(
    rivalId < 0
      ? found
      : { ...found, rival: { classId: rivalId, score: Math.min(Math.max(rivalScore, 0), 1) } },
  );
};

/** A box from its centre and its sides. */
export const centredBox = (x: number, y: number, w: number, h: number): Box => ({
  x1: x - w / 2,
  y1: y - h / 2,
  x2: x + w / 2,
  y2: y + h / 2,
});
