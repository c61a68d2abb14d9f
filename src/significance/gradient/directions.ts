// Several directions in one run: the way back from the outputs, once for each, over one way forward.
import { downstream, type Model, type Node, type Value } from '../../onnx/index.js';
import { type Seeds, valueOf } from './seeded.js';

/** Nodes between the seeds and the ends, in the graph's order. */
const nodesBehind = ({ graph }: Model, seeds: readonly Value[], ends: readonly Value[]): Node[] => {
  graph.sort();
  const touched = new Set(seeds.flatMap((seed) => [...downstream(seed)]));
  const needed = new Set(ends.flatMap(({ producer }) => producer ?? []));
  return [...graph.nodes()]
    .reverse()
    .filter((node) => {
      if (!needed.has(node) || !touched.has(node)) return false;
      for (const { producer } of node.needs) if (producer !== undefined) needed.add(producer);
      return true;
    })
    .reverse();
};

/** The way from the seeds to the ends once more for each further direction, with seeds of its own. */
export const furtherDirections = (
  whole: Model,
  seeds: Seeds,
  ends: readonly Value[],
  count: number,
): { readonly seeds: Seeds; readonly ends: readonly Value[] }[] => {
  const { graph } = whole;
  const first = [...seeds].map(([output, { input, dims }]) => ({
    output,
    dims,
    value: valueOf(whole, input),
  }));
  const nodes = nodesBehind(
    whole,
    first.map(({ value }) => value),
    ends,
  );
  return Array.from({ length: count }, (_, turn) => {
    const copies = new Map<Value, Value>();
    const own = first.map(({ output, dims, value }) => {
      const input = graph.addInput(graph.uniqueName(value.name), 'float32', dims);
      copies.set(value, input);
      return [output, { input: input.name, dims }] as const;
    });
    const standIn = (value: Value | undefined): Value | undefined =>
      value === undefined ? undefined : (copies.get(value) ?? value);
    for (const node of nodes) {
      const copy = graph.addNode({
        opType: node.opType,
        domain: node.domain,
        name: `${node.name}/direction ${turn + 1}`,
        inputs: node.inputs.map(standIn),
        outputs: node.outputs.length,
        attributes: node.attributes,
      });
      node.outputs.forEach((value, i) => {
        const again = copy.output(i);
        if (value === undefined || again === undefined) return;
        again.type = value.type;
        again.shape = value.shape;
        copies.set(value, again);
      });
    }
    return { seeds: new Map(own), ends: ends.map((end) => copies.get(end) ?? end) };
  });
};
