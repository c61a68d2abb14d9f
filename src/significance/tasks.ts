// What evaluating each component of a part alone takes: which values must be known, and which part of the graph is computed anew.
import { BitlaneError } from '../errors.js';
import { between, downstream, extract, isStatic, type Model, sizeOf, type Value } from '../onnx/index.js';
import { type Component, componentsOf } from '../quantization/index.js';

/** One component of a part, perturbed alone. Values are given by name. */
export interface Task {
  readonly component: Component;
  /** Values beside the component's output that what is behind it takes, and that it does not reach. */
  readonly cut: readonly string[];
  /** Outputs of the part that it reaches through other nodes. */
  readonly reached: readonly string[];
  /** Its output is itself an output of the part. */
  readonly direct: boolean;
  /** Values that must be known in FP32: its input and the cut. */
  readonly needs: readonly string[];
}

const valueOf = (model: Model, name: string): Value => {
  const value = model.graph.value(name);
  if (value === undefined) throw new BitlaneError('INTERNAL', `the graph has no value ${name}`);
  return value;
};

const taskOf = (part: Model, component: Component): Task | undefined => {
  const { graph } = part;
  const output = valueOf(part, component.output);
  const behind = new Set(output.users.flatMap((node) => [node, ...downstream(node)]));
  const reached = graph.outputs.filter(
    (value) => value !== output && value.producer !== undefined && behind.has(value.producer),
  );
  if (reached.length === 0 && !output.isOutput) return undefined;
  const inside = between(graph, [output], reached).filter((node) => behind.has(node));
  const cut = new Set<string>();
  for (const node of inside) {
    for (const value of node.needs) {
      const isMade = value.producer !== undefined && behind.has(value.producer);
      if (value !== output && !isMade && value.constant === undefined) cut.add(value.name);
    }
  }
  return {
    component,
    cut: [...cut],
    reached: reached.map(({ name }) => name),
    direct: output.isOutput,
    needs: [...new Set([component.input, ...cut])],
  };
};

/** Every component of a part whose output reaches one of the part's, in topological order. */
export const tasksOf = (part: Model): Task[] =>
  componentsOf(part).flatMap((component) => taskOf(part, component) ?? []);

/** One step through a part: what is computed in FP32 before a task, and which values nobody needs behind it. */
export interface Step {
  readonly task: Task;
  /** Computes `made` from `from`; absent where everything is known already. */
  readonly advance:
    { readonly part: Model; readonly from: readonly string[]; readonly made: readonly string[] } | undefined;
  readonly forget: readonly string[];
}

/**
 * The steps of a walk through a part in which every FP32 node is computed once at most.
 *
 * @param part shapes inferred
 * @returns the steps, and the most values of float32 that are known at once
 */
export const stepsOf = (
  part: Model,
  tasks: readonly Task[],
): { readonly steps: readonly Step[]; readonly peakFloats: number } => {
  const { graph } = part;
  const left = new Map<Value, number>();
  for (const { needs } of tasks) {
    for (const name of needs) {
      const value = valueOf(part, name);
      left.set(value, (left.get(value) ?? 0) + 1);
    }
  }
  const known = new Set<Value>(graph.inputs);
  const computed = new Set<unknown>();
  const isKept = (value: Value): boolean =>
    (left.get(value) ?? 0) > 0 || value.users.some((user) => !computed.has(user));
  const floatsOf = (values: Iterable<Value>): number => {
    let sum = 0;
    for (const { shape } of values) {
      if (shape !== undefined) {
        sum += sizeOf(isStatic(shape) ? shape : shape.map((dim) => (typeof dim === 'number' ? dim : 1)));
      }
    }
    return sum;
  };
  let peakFloats = 0;
  const steps = tasks.map((task): Step => {
    const targets = task.needs.map((name) => valueOf(part, name)).filter((value) => !known.has(value));
    const nodes = targets.length === 0 ? [] : between(graph, [...known], targets);
    for (const node of nodes) computed.add(node);
    const made = nodes.flatMap((node) =>
      node.outputs.filter((value): value is Value => value !== undefined && isKept(value)),
    );
    const from = [...known].filter((value) => value.users.some((user) => nodes.includes(user)));
    const names = (values: readonly Value[]): string[] => values.map(({ name }) => name);
    const advance =
      made.length === 0
        ? undefined
        : { part: extract(part, from, made), from: names(from), made: names(made) };
    for (const value of made) known.add(value);
    peakFloats = Math.max(peakFloats, floatsOf(known));
    for (const name of task.needs) {
      const value = valueOf(part, name);
      left.set(value, (left.get(value) ?? 1) - 1);
    }
    const forget = [...known].filter((value) => !isKept(value));
    for (const value of forget) known.delete(value);
    return { task, advance, forget: names(forget) };
  });
  return { steps, peakFloats };
};
