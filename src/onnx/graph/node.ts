// A node: one operator at work. Its edges are changed through it or its graph, so that uses stay right.
import type { Tensor } from '../tensor.js';
import type { Attribute } from './attribute.js';
import type { Graph } from './graph.js';
import type { Use, Value } from './value.js';

/** Made by a {@link Graph}; members that begin with an underscore are the graph's own. */
export class Node {
  readonly graph: Graph;
  /** Need not be unique; may be empty. */
  name: string;
  opType: string;
  /** `''` is ONNX's own. */
  domain: string;
  readonly _attributes = new Map<string, Attribute>();
  _uses: (Use | undefined)[] = [];
  _inputs: (Value | undefined)[] = [];
  _outputs: (Value | undefined)[] = [];
  _captures: Value[] = [];
  _previous: Node | undefined;
  _next: Node | undefined;
  _removed = false;

  constructor(graph: Graph, opType: string, domain: string, name: string) {
    this.graph = graph;
    this.opType = opType;
    this.domain = domain;
    this.name = name;
  }

  /** `undefined` is an optional input that is left out. */
  get inputs(): readonly (Value | undefined)[] {
    return this._inputs;
  }

  get outputs(): readonly (Value | undefined)[] {
    return this._outputs;
  }

  /** Outer values that its subgraphs take in. */
  get captures(): readonly Value[] {
    return this._captures;
  }

  get attributes(): ReadonlyMap<string, Attribute> {
    return this._attributes;
  }

  /** True once it is out of its graph. */
  get isRemoved(): boolean {
    return this._removed;
  }

  input(index: number): Value | undefined {
    return this._inputs[index];
  }

  output(index = 0): Value | undefined {
    return this._outputs[index];
  }

  /** Every value that it needs, captured ones included. */
  get needs(): Value[] {
    return [...this._inputs.filter((value) => value !== undefined), ...this._captures];
  }

  /** True for an operator of ONNX's own domain (`''` or `ai.onnx`) of that name. */
  is(...opTypes: readonly string[]): boolean {
    return (this.domain === '' || this.domain === 'ai.onnx') && opTypes.includes(this.opType);
  }

  /** Integer attribute `name`, or `fallback`. */
  int(name: string, fallback: number): number {
    const attribute = this._attributes.get(name);
    return attribute?.type === 'int' ? attribute.value : fallback;
  }

  /** Float attribute `name`, or `fallback`. */
  float(name: string, fallback: number): number {
    const attribute = this._attributes.get(name);
    return attribute?.type === 'float' ? attribute.value : fallback;
  }

  ints(name: string): readonly number[] | undefined {
    const attribute = this._attributes.get(name);
    return attribute?.type === 'ints' ? attribute.value : undefined;
  }

  text(name: string, fallback: string): string {
    const attribute = this._attributes.get(name);
    return attribute?.type === 'string' ? attribute.value : fallback;
  }

  tensor(name: string): Tensor | undefined {
    const attribute = this._attributes.get(name);
    return attribute?.type === 'tensor' ? attribute.value : undefined;
  }

  /** Sets an attribute; `undefined` takes it away. Subgraphs come with a node and stay. */
  setAttribute(name: string, attribute: Attribute | undefined): void {
    if (attribute === undefined) this._attributes.delete(name);
    else this._attributes.set(name, attribute);
  }

  /** Puts `value` in at `index` (or nothing); the list grows where it must. */
  setInput(index: number, value: Value | undefined): void {
    this.graph._setInput(this, index, value);
  }

  /** `Conv /backbone/conv1`: how errors name it. */
  get label(): string {
    const label =
      this.name === '' ? (this._outputs.find((value) => value !== undefined)?.name ?? '') : this.name;
    return `${this.opType} ${label}`.trim();
  }
}
