// Builds small graphs for tests, an operator a line.
import {
  type Attribute,
  float,
  Graph,
  int,
  ints,
  intsTensor,
  Model,
  type Tensor,
  tensorOf,
  text,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import type { DataType, Shape } from '../../src/onnx/index.js';
import { noise } from './bits.js';

type Plain = number | string | readonly number[] | { readonly f: number } | Attribute;

const attributeOf = (value: Plain): Attribute => {
  if (typeof value === 'number') return int(value);
  if (typeof value === 'string') return text(value);
  if ('f' in value) return float(value.f);
  return 'type' in value ? value : ints(value);
};

/** What may go in as an input: integers become an int64 vector, a tensor an initializer. */
export type In = Value | Tensor | readonly number[] | undefined;

export class Net {
  readonly graph = new Graph('net');
  readonly opset: number;
  #seed = 100;

  constructor(opset: number) {
    this.opset = opset;
  }

  input(name: string, shape: Shape, type: DataType = 'float32'): Value {
    return this.graph.addInput(name, type, shape);
  }

  /** Random weights; another range than -1 to 1 on demand. */
  weights(dims: readonly number[], low = -1, high = 1): Tensor {
    const size = dims.reduce((product, dim) => product * dim, 1);
    const values = noise(size, this.#seed++).map((v) => low + ((v + 1) / 2) * (high - low));
    return tensorOf('float32', dims, values);
  }

  #value(input: In): Value | undefined {
    if (input === undefined) return undefined;
    if (Array.isArray(input)) return this.graph.addInitializer('ints', intsTensor(input as number[]));
    return 'kind' in input ? this.graph.addInitializer('c', input) : (input as Value);
  }

  ops(opType: string, inputs: readonly In[], count: number, attributes: Record<string, Plain> = {}): Value[] {
    const node = this.graph.addNode({
      opType,
      name: `${opType}_${this.graph.nodeCount}`,
      inputs: inputs.map((input) => this.#value(input)),
      outputs: count,
      attributes: Object.fromEntries(
        Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)]),
      ),
    });
    return node.outputs.flatMap((value) => value ?? []);
  }

  op(opType: string, inputs: readonly In[], attributes: Record<string, Plain> = {}): Value {
    const [value] = this.ops(opType, inputs, 1, attributes);
    if (value === undefined) throw new Error('no output');
    return value;
  }

  model(...outputs: readonly Value[]): Model {
    for (const output of outputs) {
      output.type ??= 'float32';
      this.graph.addOutput(output);
    }
    const irVersion = this.opset >= 25 ? 13 : this.opset >= 21 ? 10 : 8;
    return new Model({ graph: this.graph, irVersion, opsets: [['', this.opset]] });
  }

  bytes(...outputs: readonly Value[]): Uint8Array {
    return writeModel(this.model(...outputs));
  }
}
