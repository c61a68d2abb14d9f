// What is before and behind a node.
import type { Graph } from './graph/graph.js';
import { Node } from './graph/node.js';
import type { Value } from './graph/value.js';

const reach = (start: readonly Node[], next: (node: Node) => readonly Node[]): ReadonlySet<Node> => {
  const found = new Set<Node>();
  const waiting = [...start];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    waiting.push(...next(node));
  }
  return found;
};

const usersOf = (node: Node): Node[] => node.outputs.flatMap((value) => value?.users ?? []);
const makersOf = (node: Node): Node[] => node.needs.flatMap((value) => value.producer ?? []);

/** Every node that needs what `from` computes or is, directly or not; `from` itself is not among them. */
export const downstream = (from: Node | Value): ReadonlySet<Node> =>
  reach(from instanceof Node ? usersOf(from) : from.users, usersOf);

/** Every node that `from` needs, directly or not; a value's own producer is among them, a node itself is not. */
export const upstream = (from: Node | Value): ReadonlySet<Node> =>
  reach(from instanceof Node ? makersOf(from) : from.producer === undefined ? [] : [from.producer], makersOf);

/** The nodes between `inputs` and `outputs`: all that the outputs need, up to the inputs. In the graph's order. */
export const between = (graph: Graph, inputs: readonly Value[], outputs: readonly Value[]): Node[] => {
  const borders = new Set(inputs);
  const makers = (values: readonly Value[]): Node[] =>
    values.flatMap((value) => (borders.has(value) ? [] : (value.producer ?? [])));
  const found = reach(makers(outputs), (node) => makers(node.needs));
  return [...graph.nodes()].filter((node) => found.has(node));
};
