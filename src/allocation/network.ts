// A model as plans see it: components in regions, and what runs how, with which borders, under a plan.
import { cloneModel, isStatic, type Model, type Node, sizeOf, type Value } from '../onnx/index.js';
import {
  type Allocation,
  allocate,
  type Component,
  componentsOf,
  type Execution,
  findRegions,
} from '../quantization/index.js';

/** Components that run in the same precision: nothing leaves or joins the way between them. */
export interface Region {
  readonly name: string;
  readonly components: readonly Component[];
}

/** What a plan chooses for each region. */
export type Plan = readonly Execution[];

/** The next component on the way of a value that nobody else takes. */
const nextOn = (value: Value | undefined, components: ReadonlyMap<string, Component>): string | undefined => {
  if (value === undefined || value.isOutput) return undefined;
  const users = value.users;
  const [first] = users;
  // x * sigmoid(x) is one function.
  const product = users.length === 2 ? users.find((node) => node.is('Mul')) : undefined;
  const gate = users.length === 2 ? users.find((node) => node.is('Sigmoid', 'HardSigmoid')) : undefined;
  if (product !== undefined && gate !== undefined && product.inputs.includes(gate.output())) {
    return nextOn(product.output(), components);
  }
  if (first === undefined || users.length > 1) return undefined;
  if (components.has(first.name)) return first.name;
  return first.inputs.filter((input) => input?.constant === undefined).length === 1
    ? nextOn(first.output(), components)
    : undefined;
};

const strideOf = (node: Node): number => Math.max(1, ...(node.ints('strides') ?? []));

/** From so many elements on a pooling is a cost to reckon with. */
const LARGE_WINDOW = 25;

const windowOf = (node: Node): number =>
  (node.ints('kernel_shape') ?? []).reduce((product, size) => product * size, 1);

/** The components whose values a large pooling takes, and those that take what it gives. */
const aroundPoolings = (model: Model, components: ReadonlyMap<string, Component>): string[][] => {
  const walk = (from: readonly Node[], step: (node: Node) => readonly Node[]): string[] => {
    const found = new Set<string>();
    const seen = new Set(from);
    for (const node of seen) {
      if (components.has(node.name)) found.add(node.name);
      else for (const next of step(node)) seen.add(next);
    }
    return [...found];
  };
  return [...model.graph.nodes()]
    .filter((node) => node.is('MaxPool') && windowOf(node) >= LARGE_WINDOW)
    .map((pool) => [
      ...walk([pool], (node) => node.needs.flatMap((value) => value.producer ?? [])),
      ...walk([pool], (node) => node.outputs.flatMap((value) => value?.users ?? [])),
    ]);
};

/**
 * Every component in a region. A region ends where several take its value, where values join, and before a layer that changes the
 * resolution; what lies around a large pooling is one region all the same, since pooling codes that no integer kernel made is ten times as
 * slow as pooling floats.
 *
 * @param model from `prepareModel`, every node with a name
 */
export const regionsOf = (model: Model): Region[] => {
  const components = new Map(componentsOf(model).map((component) => [component.name, component]));
  const chains = chainsOf(model, components);
  for (const names of aroundPoolings(model, components)) {
    const together = chains.filter((chain) => chain.some(({ name }) => names.includes(name)));
    const [first, ...others] = together;
    for (const other of others) {
      first?.push(...other);
      chains.splice(chains.indexOf(other), 1);
    }
  }
  const order = [...components.keys()];
  const place = ({ name }: Component): number => order.indexOf(name);
  return chains.map((chain) => {
    const sorted = [...chain].sort((a, b) => place(a) - place(b));
    return { name: sorted[0]?.name ?? '', components: sorted };
  });
};

const chainsOf = (model: Model, components: ReadonlyMap<string, Component>): Component[][] => {
  const nodes = new Map([...model.graph.nodes()].map((node) => [node.name, node]));
  const next = new Map<string, string>();
  for (const { name, output } of components.values()) {
    const after = nextOn(model.graph.value(output), components);
    const node = after === undefined ? undefined : nodes.get(after);
    if (after !== undefined && node !== undefined && strideOf(node) === 1) next.set(name, after);
  }
  const inner = new Set(next.values());
  return [...components.values()]
    .filter(({ name }) => !inner.has(name))
    .map((first) => {
      const chain = [first];
      for (let at = next.get(first.name); at !== undefined; at = next.get(at)) {
        const component = components.get(at);
        if (component !== undefined) chain.push(component);
      }
      return chain;
    });
};

/** A copy of `model` in which every node has a name: one without a name of its own that of its first output, as components are named. */
export const named = (model: Model): Model => {
  const copy = cloneModel(model);
  const names = new Set<string>();
  for (const node of copy.graph.nodes()) {
    if (node.name === '' || names.has(node.name)) node.name = node.output()?.name ?? '';
    names.add(node.name);
  }
  return copy;
};

/** The allocation of a plan: int8 components in 8 bits, the others as they are. */
export const allocationOfPlan = (regions: readonly Region[], plan: Plan): Allocation =>
  allocate(
    regions.flatMap(({ components }) => components),
    chooser(regions, plan),
  );

const chooser = (regions: readonly Region[], plan: Plan) => {
  const chosen = new Map(
    regions.flatMap(({ components }, index) => components.map(({ name }) => [name, plan[index] ?? 'fp32'])),
  );
  return ({ name }: Component) =>
    chosen.get(name) === 'int8'
      ? { bits: 8 as const, execution: 'int8' as const }
      : { bits: 32 as const, execution: 'fp32' as const };
};

/** Where precision changes. */
export interface Borders {
  /** Values that are quantized, and their elements in all. */
  readonly in: number;
  readonly inElements: number;
  /** Values that are dequantized, and their elements in all. */
  readonly out: number;
  readonly outElements: number;
}

/** How a model runs under an allocation. */
export interface Structure {
  /** Names of the nodes that run in integers. */
  readonly int8: ReadonlySet<string>;
  readonly borders: Borders;
}

const elementsOf = ({ shape }: Value): number =>
  shape === undefined || !isStatic(shape) ? 0 : sizeOf(shape);

/** @param model from `prepareModel`, every node with a name */
export const structureOf = (model: Model, allocation: Allocation): Structure => {
  const { int8, absorbed, coded } = findRegions(model, allocation);
  const runs = (node: Node | undefined): boolean =>
    node !== undefined && (int8.has(node) || absorbed.has(node));
  const borders = { in: 0, inElements: 0, out: 0, outElements: 0 };
  for (const value of coded) {
    const elements = elementsOf(value);
    const made = runs(value.producer);
    const users = value.users;
    if (!made && users.some((node) => int8.has(node))) {
      borders.in++;
      borders.inElements += elements;
    }
    if (made && (value.isOutput || users.some((node) => !runs(node)))) {
      borders.out++;
      borders.outElements += elements;
    }
  }
  return { int8: new Set(Array.from([...int8, ...absorbed.keys()], ({ name }) => name)), borders };
};
