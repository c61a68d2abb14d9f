// What a shape rule sees of its node, and how it answers.
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { integersOf } from '../tensor.js';
import type { DataType, Dim, Shape } from '../types.js';

/** What is known of an output. */
export interface Known {
  readonly type?: DataType | undefined;
  readonly shape?: Shape | undefined;
  /** The elements of a small integer tensor, row-major: shapes are computed with them. */
  readonly content?: readonly Dim[] | undefined;
}

/** Infers the outputs of a node, in order; a hole where nothing is known. */
export type Rule = (node: RuleContext) => readonly (Known | undefined)[];

/** Longer integer tensors are not followed: nobody computes a shape with them. */
export const CONTENT_LIMIT = 256;

/** A node with what is known of its inputs. */
export class RuleContext {
  readonly node: Node;
  readonly opset: number;
  readonly #content: ReadonlyMap<Value, readonly Dim[]>;

  constructor(node: Node, opset: number, content: ReadonlyMap<Value, readonly Dim[]>) {
    this.node = node;
    this.opset = opset;
    this.#content = content;
  }

  /** True when input `index` is there. */
  has(index: number): boolean {
    return this.node.input(index) !== undefined;
  }

  type(index: number): DataType | undefined {
    return this.node.input(index)?.type;
  }

  shape(index: number): Shape | undefined {
    return this.node.input(index)?.shape;
  }

  /** The elements of input `index`, where it is a small integer tensor that is known. */
  content(index: number): readonly Dim[] | undefined {
    const value = this.node.input(index);
    if (value === undefined) return undefined;
    const { constant } = value;
    return constant === undefined ? this.#content.get(value) : integersOf(constant, CONTENT_LIMIT);
  }

  /** The same where every element is a number. */
  numbers(index: number): readonly number[] | undefined {
    const content = this.content(index);
    return content?.every((item) => typeof item === 'number') === true ? content : undefined;
  }

  /** The elements of input `index`, where it is a small constant of float32. */
  floats(index: number): readonly number[] | undefined {
    const constant = this.node.input(index)?.constant;
    return constant?.kind === 'dense' && constant.type === 'float32' && constant.data.length <= CONTENT_LIMIT
      ? Array.from(constant.data)
      : undefined;
  }

  /**
   * Axes, sizes and the like, which stand in an attribute in older opsets and in an input in newer ones.
   *
   * @returns `absent` when they are in neither, `undefined` when they are there but not known
   */
  list(name: string, index: number): readonly number[] | 'absent' | undefined {
    const attribute = this.node.ints(name);
    if (attribute !== undefined) return attribute;
    return this.has(index) ? this.numbers(index) : 'absent';
  }
}

/** `axis`, which may count from the end, from the start; `undefined` where it is out of range. */
export const axisOf = (axis: number, rank: number): number | undefined =>
  Number.isInteger(axis) && axis >= -rank && axis < rank ? (axis + rank) % rank : undefined;

/** Several axes, each once; `undefined` where one is out of range. */
export const axesOf = (axes: readonly number[], rank: number): ReadonlySet<number> | undefined => {
  const found = new Set<number>();
  for (const axis of axes) {
    const at = axisOf(axis, rank);
    if (at === undefined) return undefined;
    found.add(at);
  }
  return found;
};

/** A number as a dimension; `''` where it is none. */
export const dimOf = (value: number): Dim => (Number.isSafeInteger(value) && value >= 0 ? value : '');

/** A dimension computed from others: known where all of them are. */
export const compute = (dims: readonly Dim[], rule: (...values: number[]) => number): Dim => {
  const values = dims.filter((dim) => typeof dim === 'number');
  return values.length === dims.length ? dimOf(rule(...values)) : '';
};

/** Broadcasts shapes as NumPy does; `undefined` where they do not fit or one is unknown. */
export const broadcast = (shapes: readonly (Shape | undefined)[]): Shape | undefined => {
  let result: Shape = [];
  for (const shape of shapes) {
    if (shape === undefined) return undefined;
    const rank = Math.max(shape.length, result.length);
    const joined: Dim[] = [];
    for (let i = 0; i < rank; i++) {
      const a = result[result.length - rank + i] ?? 1;
      const b = shape[shape.length - rank + i] ?? 1;
      if (a === 1 || a === b) joined.push(b);
      else if (b === 1) joined.push(a);
      else if (typeof a === 'number') {
        if (typeof b === 'number') return undefined;
        joined.push(a);
      } else joined.push(typeof b === 'number' ? b : '');
    }
    result = joined;
  }
  return result;
};
