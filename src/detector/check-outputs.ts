// What a head's outputs must look like for a picture of nothing: finite, and scores that are probabilities.
import { BitlaneError } from '../errors.js';
import type { DetectorSpec, HeadSpec } from '../registry/index.js';
import type { Tensors } from '../runtime/index.js';

/** What rounding may add to a probability. */
const TOLERANCE = 1e-3;

/** The outputs that a head reads. */
const outputsOf = (head: HeadSpec): readonly string[] =>
  head.type === 'gfl' ? [...head.outputs, ...head.boxOutputs] : [head.output];

/** Whether element `index` of an output with rows of `columns` is a score (of each of `classes`, or whatever plays its part). */
const isScore = (head: HeadSpec, columns: number, index: number, classes: number): boolean => {
  const column = index % columns;
  switch (head.type) {
    case 'yolox':
      return column >= 4;
    case 'yolov8':
      return head.layout === 'channels-first' ? Math.floor(index / columns) >= 4 : column >= 4;
    case 'end-to-end':
      return column === 4;
    case 'gfl':
      return head.scores === 'sigmoid-applied' && column < classes;
  }
};

/**
 * Checks every value that the head may ever look at.
 * @throws BitlaneError `BAD_MODEL`
 */
export const checkOutputValues = (outputs: Tensors, { head, classes }: DetectorSpec): void => {
  for (const name of outputsOf(head)) {
    const tensor = outputs[name];
    if (tensor?.type !== 'float32') continue;
    const columns = tensor.dims.at(-1) ?? 1;
    const scores = head.type !== 'gfl' || head.outputs.includes(name);
    for (const [index, value] of tensor.data.entries()) {
      if (!Number.isFinite(value)) {
        throw new BitlaneError(
          'BAD_MODEL',
          `the model's output ${name} holds values that are not finite numbers for a grey picture`,
        );
      }
      if (
        scores &&
        (value < -TOLERANCE || value > 1 + TOLERANCE) &&
        isScore(head, columns, index, classes.length)
      ) {
        throw new BitlaneError(
          'BAD_MODEL',
          `the model's output ${name} holds a score of ${value.toPrecision(3)} where a ${head.type} head has 0 to 1: it is of another kind, or gives logits`,
        );
      }
    }
  }
};
