// What a gradient rule sees of its node, and what it gives.
import { BitlaneError } from '../errors.js';
import { integersOf, type Node, type Value } from '../onnx/index.js';
import { dimsOf, type Ops } from './ops.js';

/** The backward step of one node. */
export class Step {
  readonly node: Node;
  readonly ops: Ops;
  readonly #gradients: readonly (Value | undefined)[];
  readonly #standIn: (value: Value) => Value;

  /**
   * @param gradients of the node's outputs, where the loss depends on them
   * @param standIn what holds a forward value in the backward part: the value itself, or one that is computed again
   */
  constructor(
    node: Node,
    ops: Ops,
    gradients: readonly (Value | undefined)[],
    standIn: (value: Value) => Value,
  ) {
    this.node = node;
    this.ops = ops;
    this.#gradients = gradients;
    this.#standIn = standIn;
  }

  /** The gradient of the first output. */
  get g(): Value {
    const [first, ...others] = this.#gradients;
    if (first === undefined || others.some((value) => value !== undefined)) {
      throw this.refuse('only its first output has a gradient here');
    }
    return first;
  }

  gradientOf(output: number): Value | undefined {
    return this.#gradients[output];
  }

  /** Input `index`, to be used in an expression. */
  x(index = 0): Value {
    return this.#standIn(this.input(index));
  }

  /** Output `index`, to be used in an expression. */
  y(index = 0): Value {
    const value = this.node.output(index);
    if (value === undefined) throw this.refuse(`it has no output ${index}`);
    return this.#standIn(value);
  }

  /** Input `index` itself: for its type and shape. */
  input(index = 0): Value {
    const value = this.node.input(index);
    if (value === undefined) throw this.refuse(`it has no input ${index}`);
    return value;
  }

  has(index: number): boolean {
    return this.node.input(index) !== undefined;
  }

  /** Dimensions of input `index`. */
  dims(index = 0): readonly number[] {
    return dimsOf(this.input(index));
  }

  /** Dimensions of output `index`. */
  result(index = 0): readonly number[] {
    const value = this.node.output(index);
    if (value === undefined) throw this.refuse(`it has no output ${index}`);
    return dimsOf(value);
  }

  /** Integers that must be constant, such as axes: from the attribute `name` or from input `index`. */
  integers(name: string, index: number): readonly number[] | undefined {
    const attribute = this.node.ints(name);
    if (attribute !== undefined || !this.has(index)) return attribute;
    const { constant } = this.input(index);
    const values = constant === undefined ? undefined : integersOf(constant);
    if (values === undefined) throw this.refuse(`its ${name} must be constant`);
    return values;
  }

  /** Floats that must be constant; `undefined` where input `index` is left out. */
  numbers(index: number): readonly number[] | undefined {
    if (!this.has(index)) return undefined;
    const { constant } = this.input(index);
    if (constant?.kind !== 'dense' || constant.type !== 'float32') {
      throw this.refuse(`its input ${index} must be constant floats`);
    }
    return Array.from(constant.data);
  }

  refuse(why: string): BitlaneError {
    return new BitlaneError(
      'BAD_MODEL',
      `node ${this.node.label}: the operator ${this.node.opType} has no gradient here: ${why}`,
    );
  }
}

/**
 * The gradients of a node's inputs, in order; `undefined` where there is none. A gradient whose shape is not the input's is
 * summed along the axes that were broadcast, or spread along those that were reduced.
 */
export type Rule = (step: Step) => readonly (Value | undefined)[];

export type Rules = Readonly<Record<string, Rule>>;
