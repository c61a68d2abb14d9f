// The graph: values and nodes, and every edit of them. Uses, names and order are kept here.
import { BitlaneError } from '../../errors.js';
import { badModel } from '../limits.js';
import type { Tensor } from '../tensor.js';
import type { DataType, Shape } from '../types.js';
import type { Attribute } from './attribute.js';
import { Node } from './node.js';
import { NodeList, type Place } from './nodeList.js';
import { stableOrder } from './order.js';
import { Value } from './value.js';

/** What a new node is made of. */
export interface NodeParts {
  readonly opType: string;
  /** ONNX's own where it is left out. */
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly (Value | undefined)[];
  /** Names of its outputs (`''` for one left out), or how many to name by itself (default 1). */
  readonly outputs?: number | readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>> | ReadonlyMap<string, Attribute>;
}

const wrong = (message: string): BitlaneError => new BitlaneError('INTERNAL', message);

/**
 * A graph. Walking `nodes()` is safe while nodes are added and removed: one removed is not visited any more, one
 * added behind the current one is.
 */
export class Graph {
  name: string;
  readonly #values = new Map<string, Value>();
  /** Names inside subgraphs: no value out here may take one. */
  readonly #inner = new Set<string>();
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #nodes = new NodeList();
  #serial = 0;

  constructor(name = 'graph') {
    this.name = name;
  }

  get inputs(): readonly Value[] {
    return [...this.#inputs];
  }

  get outputs(): readonly Value[] {
    return [...this.#outputs];
  }

  /** Values that hold a tensor, in the order they were added; a copy. */
  get initializers(): Value[] {
    return [...this.#values.values()].filter((value) => value.tensor !== undefined);
  }

  /** Every value; a copy. */
  get values(): Value[] {
    return [...this.#values.values()];
  }

  get nodeCount(): number {
    return this.#nodes.length;
  }

  nodes(): Generator<Node, void, undefined> {
    return this.#nodes[Symbol.iterator]();
  }

  /** The value of that name. */
  value(name: string): Value | undefined {
    return this.#values.get(name);
  }

  /** A name that nothing has, made from `base`; as short as can be where that is empty. */
  uniqueName(base: string): string {
    let name = base;
    while (name === '' || this.#values.has(name) || this.#inner.has(name)) {
      const serial = ++this.#serial;
      name = base === '' ? serial.toString(36) : `${base}_${serial}`;
    }
    return name;
  }

  #newValue(name: string): Value {
    if (name === '') throw wrong('a value must have a name');
    if (this.#values.has(name) || this.#inner.has(name)) {
      throw badModel(`the graph has two values named ${name}: names must be unique`);
    }
    const value = new Value(this, name);
    this.#values.set(name, value);
    return value;
  }

  #own(what: Value | Node): void {
    if (what.graph !== this || (what instanceof Node && what._removed)) {
      throw wrong(`${what.name} is not in this graph`);
    }
  }

  /** Adds a graph input, or makes one of an initializer (which then is its default). */
  addInput(name: string, type?: DataType, shape?: Shape): Value {
    const known = this.#values.get(name);
    if (known !== undefined && (known._tensor === undefined || known._input)) {
      throw badModel(`the graph has two values named ${name}: names must be unique`);
    }
    const value = known ?? this.#newValue(name);
    value.type = type ?? value.type;
    value.shape = shape ?? value.shape;
    value._input = true;
    this.#inputs.push(value);
    return value;
  }

  /** Takes a graph input away: an initializer becomes constant, any other must be unused. */
  removeInput(value: Value): void {
    this.#own(value);
    if (value._tensor === undefined && value.isUsed) throw wrong(`graph input ${value.name} is in use`);
    const at = this.#inputs.indexOf(value);
    if (at >= 0) this.#inputs.splice(at, 1);
    value._input = false;
    if (value._tensor === undefined) this.#values.delete(value.name);
  }

  addOutput(value: Value): void {
    this.#own(value);
    if (value._output) {
      throw badModel(`the graph has two outputs named ${value.name}: names must be unique`);
    }
    value._output = true;
    this.#outputs.push(value);
  }

  /** Takes `value` off the graph's outputs. */
  removeOutput(value: Value): void {
    this.#own(value);
    const at = this.#outputs.indexOf(value);
    if (at >= 0) this.#outputs.splice(at, 1);
    value._output = false;
  }

  /** Adds a constant; the name is made unique. */
  addInitializer(name: string, tensor: Tensor): Value {
    const value = this.#newValue(this.uniqueName(name));
    this.setTensor(value, tensor);
    return value;
  }

  /** Gives an initializer another tensor. */
  setTensor(value: Value, tensor: Tensor): void {
    this.#own(value);
    if (value._producer !== undefined) throw wrong(`${value.name} is computed and cannot hold a tensor`);
    value._tensor = tensor;
    value.type = tensor.type;
    value.shape = tensor.dims;
  }

  /** Takes an initializer away that nothing uses. */
  removeInitializer(value: Value): void {
    this.#own(value);
    if (value._tensor === undefined || value.isUsed) throw wrong(`${value.name} is no unused initializer`);
    value._tensor = undefined;
    if (!value._input) this.#values.delete(value.name);
  }

  /** Gives a value another name, also inside the subgraphs that use it. Returns the name, made unique. */
  rename(value: Value, name: string): string {
    this.#own(value);
    if (name === value.name) return name;
    const from = value.name;
    const to = this.uniqueName(name);
    this.#values.delete(from);
    this.#values.set(to, value);
    value._name = to;
    for (const node of value._captors) this.#renameCapture(node, from, to);
    return to;
  }

  #renameCapture(node: Node, from: string, to: string): void {
    for (const [key, attribute] of node._attributes) {
      if (attribute.type !== 'graph' && attribute.type !== 'graphs') continue;
      if (!attribute.value.captures.includes(from)) continue;
      node._attributes.set(key, { type: attribute.type, value: attribute.value.renamed(from, to) });
    }
  }

  /**
   * Adds a node with its outputs.
   *
   * @throws BitlaneError `BAD_MODEL` for a name that is taken or a subgraph that needs a value that is not there
   */
  addNode(parts: NodeParts, place?: Place): Node {
    if (place !== undefined) this.#own('before' in place ? place.before : place.after);
    const node = new Node(this, parts.opType, parts.domain ?? '', parts.name ?? '');
    const attributes = parts.attributes ?? {};
    for (const [name, attribute] of attributes instanceof Map
      ? (attributes as ReadonlyMap<string, Attribute>)
      : Object.entries(attributes as Readonly<Record<string, Attribute>>)) {
      node._attributes.set(name, attribute);
      if (attribute.type !== 'graph' && attribute.type !== 'graphs') continue;
      for (const inner of attribute.value.names) {
        if (this.#values.has(inner)) {
          throw badModel(`a subgraph of ${parts.opType} redefines ${inner}: names must be unique`);
        }
        this.#inner.add(inner);
      }
    }
    parts.inputs.forEach((value, index) => this._setInput(node, index, value));
    this.#linkCaptures(node);
    const { outputs = 1 } = parts;
    const names =
      typeof outputs === 'number'
        ? Array.from({ length: outputs }, () => this.uniqueName(parts.name ?? `${parts.opType}.out`))
        : outputs;
    for (const name of names) {
      const value =
        name === '' ? undefined : this.#newValue(typeof outputs === 'number' ? this.uniqueName(name) : name);
      if (value !== undefined) value._producer = node;
      node._outputs.push(value);
    }
    this.#nodes.add(node, place);
    return node;
  }

  #linkCaptures(node: Node): void {
    for (const attribute of node._attributes.values()) {
      if (attribute.type !== 'graph' && attribute.type !== 'graphs') continue;
      for (const name of attribute.value.captures) {
        const value = this.#values.get(name);
        if (value === undefined) {
          throw badModel(
            `a subgraph of node ${node.label} uses ${name}, which nothing in the graph computes`,
          );
        }
        if (!value._captors.has(node)) node._captures.push(value);
        value._captors.add(node);
      }
    }
  }

  /** Takes a node away, with its outputs, which nothing may use any more. */
  removeNode(node: Node): void {
    this.#own(node);
    for (const output of node._outputs) {
      if (output?.isUsed === true) throw wrong(`node ${node.label} makes ${output.name}, which is in use`);
    }
    node._inputs.forEach((_, index) => this.#unuse(node, index));
    for (const value of node._captures) value._captors.delete(node);
    for (const output of node._outputs) if (output !== undefined) this.#values.delete(output.name);
    this.#nodes.remove(node);
  }

  #unuse(node: Node, index: number): void {
    const use = node._uses[index];
    if (use !== undefined) node._inputs[index]?._uses.delete(use);
    node._uses[index] = undefined;
  }

  /** For {@link Node.setInput}. */
  _setInput(node: Node, index: number, value: Value | undefined): void {
    if (value !== undefined) this.#own(value);
    this.#unuse(node, index);
    while (node._inputs.length <= index) {
      node._inputs.push(undefined);
      node._uses.push(undefined);
    }
    node._inputs[index] = value;
    if (value !== undefined) {
      const use = { node, index };
      node._uses[index] = use;
      value._uses.add(use);
    }
  }

  /**
   * Lets everything that uses `from` use `to` instead, subgraphs and graph outputs included. A graph output keeps its
   * name: `to` takes it over, or an `Identity` gives it where `to` cannot.
   *
   * @param except nodes that go on using `from` (those that compute `to` from it, say)
   */
  replaceUses(from: Value, to: Value, except: Iterable<Node> = []): void {
    this.#own(from);
    this.#own(to);
    if (from === to) return;
    const keep = new Set(except);
    for (const use of from.uses) if (!keep.has(use.node)) this._setInput(use.node, use.index, to);
    for (const node of from.captors) {
      if (keep.has(node)) continue;
      this.#renameCapture(node, from.name, to.name);
      from._captors.delete(node);
      node._captures = node._captures.filter((value) => value !== from && value !== to);
      node._captures.push(to);
      to._captors.add(node);
    }
    if (from._output) this.#replaceOutput(from, to);
  }

  #replaceOutput(from: Value, to: Value): void {
    const { name } = from;
    this.rename(from, this.uniqueName(`${name}.before`));
    let output = to;
    if (to._input || to._output) {
      const after = to._producer;
      const node = this.addNode(
        { opType: 'Identity', inputs: [to], outputs: [name] },
        after === undefined ? undefined : { after },
      );
      output = node._outputs[0] ?? to;
    } else this.rename(to, name);
    output.type ??= from.type;
    output.shape ??= from.shape;
    this.#outputs[this.#outputs.indexOf(from)] = output;
    from._output = false;
    output._output = true;
  }

  /** Replaces a node: each of its outputs by the value at the same place, then it is removed. */
  replaceNode(node: Node, values: readonly Value[]): void {
    node._outputs.forEach((output, index) => {
      const value = values[index];
      if (output?.isUsed !== true) return;
      if (value === undefined) throw wrong(`nothing replaces ${output.name}, which is in use`);
      this.replaceUses(output, value);
    });
    this.removeNode(node);
  }

  /**
   * Puts the nodes into topological order; those in order stay as they are.
   *
   * @throws BitlaneError `BAD_MODEL` naming a node of a cycle
   */
  sort(): void {
    const nodes = [...this.nodes()];
    const place = new Map(nodes.map((node, index) => [node, index]));
    const ordered = stableOrder(
      nodes,
      (node) =>
        node.needs.flatMap((value) => {
          const index = value._producer === undefined ? undefined : place.get(value._producer);
          return index === undefined ? [] : [index];
        }),
      (node) => node.label,
    );
    this.#nodes.reorder(ordered);
  }
}
