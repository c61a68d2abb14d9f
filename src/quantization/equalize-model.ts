// Cross-layer equalization over a whole graph: every two layers between which nothing but a scale-equivariant function stands.
import { tensorOf, type Graph, type Model, type Node } from '../onnx/index.js';
import { type Component, componentNodes, constantFloats } from './components.js';
import { equalizePair, isScaleEquivariant, type Layer } from './equalize.js';
import { onlyUser } from './regions.js';

interface Pair {
  readonly first: Node;
  readonly second: Node;
  readonly between: string;
}

const ROUNDS = 30;
const SETTLED = 1e-3;

/** Convolutions whose weights and bias are theirs alone. */
const isOwn = (node: Node, components: ReadonlyMap<Node, Component>): boolean => {
  if (components.get(node)?.kind !== 'Conv') return false;
  return node.inputs.slice(1).every((value) => value === undefined || value.users.length === 1);
};

const pairsOf = (components: ReadonlyMap<Node, Component>): Pair[] =>
  [...components.keys()].flatMap((first): Pair[] => {
    if (!isOwn(first, components)) return [];
    const next = onlyUser(first.output());
    if (next === undefined) return [];
    if (isOwn(next, components)) return [{ first, second: next, between: 'Identity' }];
    // A slope a channel would have to move along.
    if (!isScaleEquivariant(next.opType) || next.is('PRelu')) return [];
    const second = onlyUser(next.output());
    return second !== undefined && isOwn(second, components) && second.input(0) === next.output()
      ? [{ first, second, between: next.opType }]
      : [];
  });

const layerOf = (node: Node, { outputChannels, groups, kernel }: Component): Layer => {
  const bias = constantFloats(node.input(2))?.data;
  return {
    weights: constantFloats(node.input(1))?.data ?? new Float32Array(),
    ...(bias !== undefined && { bias }),
    channels: outputChannels,
    groups,
    area: kernel.reduce((a, b) => a * b, 1),
  };
};

const write = (graph: Graph, node: Node, { weightDims }: Component, { weights, bias }: Layer): void => {
  const [weight, offset] = [node.input(1), node.input(2)];
  if (weight !== undefined) graph.setTensor(weight, tensorOf('float32', weightDims, weights));
  if (offset !== undefined && bias !== undefined) {
    graph.setTensor(offset, tensorOf('float32', [bias.length], bias));
  }
};

/**
 * Evens out the ranges of channels between convolutions, in place, until nothing moves: the model computes the same up to rounding.
 * Networks whose layers are followed by SiLU or HardSwish have no such pairs.
 *
 * @param model from `prepareModel`
 * @returns how many pairs were evened out
 */
export const equalizeLayers = (model: Model): number => {
  const components = componentNodes(model);
  const pairs = pairsOf(components);
  const layers = new Map(
    [...components].flatMap(([node, component]) =>
      isOwn(node, components) ? [[node, layerOf(node, component)] as const] : [],
    ),
  );
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    for (const { first, second, between } of pairs) {
      const [before, after] = [layers.get(first), layers.get(second)];
      if (before === undefined || after === undefined) continue;
      const made = equalizePair(before, after, between);
      layers.set(first, made.first).set(second, made.second);
      for (const factor of made.factors) moved = Math.max(moved, Math.abs(Math.log(factor)));
    }
    if (moved < SETTLED) break;
  }
  for (const [node, layer] of layers) {
    const component = components.get(node);
    if (component !== undefined) write(model.graph, node, component, layer);
  }
  return pairs.length;
};
