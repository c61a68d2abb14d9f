// What is kept of a row: a box, an objectness and a few class logits; all other classes in one.
import { BitlaneError } from '../errors.js';
import type { Rows } from './rows.js';

/** Which classes of a model are kept apart, and under which names. */
export interface ClassSpace {
  readonly classes: readonly string[];
  /** For each class of the model, its index in `classes`, or -1: one of the rest. */
  readonly fromModel: readonly number[];
}

/** Elements in front of the class logits: x1, y1, x2, y2, logit of the objectness. */
export const HEADER = 5;

/** Floats of a compact row: the header, the classes, the rest. */
export const compactWidth = ({ classes }: ClassSpace): number => HEADER + classes.length + 1;

/** Logits beyond this say no more. */
const MOST = 30;
const FARTHEST = 1e6;

const bounded = (value: number, most: number): number =>
  Number.isNaN(value) ? 0 : Math.min(most, Math.max(-most, value));

/** log(sum of exp), over indices that `take` lets through; -MOST where there is none. */
const joined = (logits: Float64Array, take: (index: number) => boolean): number => {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) if (take(i)) top = Math.max(top, logits[i] ?? 0);
  if (top === -Infinity) return -MOST;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) if (take(i)) sum += Math.exp((logits[i] ?? 0) - top);
  return top + Math.log(sum);
};

/**
 * Compact rows from raw ones. A network with broken weights may say anything: what is no finite number becomes one.
 *
 * @param raw rows of a head, one behind the other
 * @param indices which row of the output each is
 */
export const compactRows = (
  rows: Rows,
  raw: Float32Array,
  indices: readonly number[],
  space: ClassSpace,
): Float32Array => {
  const width = rows.columns.length;
  if (raw.length !== width * indices.length) {
    throw new BitlaneError('INTERNAL', `${raw.length} values are not ${indices.length} rows of ${width}`);
  }
  const own = compactWidth(space);
  const compact = new Float32Array(own * indices.length);
  for (const [index, row] of indices.entries()) {
    const { box, objectness, logits } = rows.read(raw, index * width, row);
    const start = index * own;
    const finite = logits.map((logit) => bounded(logit, MOST));
    compact.set(
      [box.x1, box.y1, box.x2, box.y2].map((side) => bounded(side, FARTHEST)),
      start,
    );
    compact[start + 4] = bounded(objectness, MOST);
    for (let id = 0; id < space.classes.length; id++) {
      compact[start + HEADER + id] = joined(finite, (i) => space.fromModel[i] === id);
    }
    compact[start + own - 1] = joined(finite, (i) => (space.fromModel[i] ?? -1) < 0);
  }
  return compact;
};
