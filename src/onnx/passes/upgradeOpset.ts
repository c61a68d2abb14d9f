// Brings a model to a newer operator set, one version at a time, for INT4 (21) or INT2 (25) weights.
import type { Node } from '../graph/node.js';
import { inferShapes } from '../infer/infer.js';
import { badModel, MAX_OPSET } from '../limits.js';
import type { Model } from '../model.js';
import { CHANGES, UNCHANGED } from './opsetChanges.js';
import type { Pass } from './pass.js';

/** The file format's version that came with each opset. */
const IR_OF_OPSET: readonly (readonly [number, number])[] = [
  [25, 13],
  [24, 12],
  [23, 11],
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
];

/** The smallest ir_version that a file of `opset` may have. */
export const irVersionOf = (opset: number): number => IR_OF_OPSET.find(([from]) => opset >= from)?.[1] ?? 3;

const isOnnx = (domain: string): boolean => domain === '' || domain === 'ai.onnx';

/** Versions of `opType`'s own changes in (from, to]; `undefined` for an operator that bitlane does not know. */
const changesOf = (opType: string, from: number, to: number): number[] | undefined => {
  const changes = CHANGES[opType];
  if (changes === undefined) return UNCHANGED.has(opType) ? [] : undefined;
  return Object.keys(changes)
    .map(Number)
    .filter((version) => version > from && version <= to)
    .sort((a, b) => a - b);
};

const refuse = (label: string, from: number, to: number, why: string): Error =>
  badModel(`node ${label} cannot be brought from opset ${from} to ${to}: ${why}`);

/** Checks every operator before anything is changed, those inside subgraphs too. */
const check = (model: Model, from: number, to: number): void => {
  for (const node of model.graph.nodes()) {
    if (isOnnx(node.domain) && changesOf(node.opType, from, to) === undefined) {
      throw refuse(node.label, from, to, `bitlane does not know how ${node.opType} changed`);
    }
    for (const attribute of node.attributes.values()) {
      if (attribute.type !== 'graph' && attribute.type !== 'graphs') continue;
      for (const inner of attribute.value.operators) {
        if (!isOnnx(inner.domain) || changesOf(inner.opType, from, to)?.length === 0) continue;
        throw refuse(
          `${inner.opType} ${inner.name} in ${node.label}`,
          from,
          to,
          `${inner.opType} changed, and subgraphs are kept as they are`,
        );
      }
    }
  }
};

const upgradeNode = (node: Node, from: number, to: number): void => {
  for (const version of changesOf(node.opType, from, to) ?? []) {
    const why = CHANGES[node.opType]?.[version]?.(node, node.graph);
    if (why !== undefined) throw refuse(node.label, from, to, why);
  }
};

/**
 * Brings a model to `target` where it is older. The result computes the same, bit for bit, but for AveragePool, for which
 * onnxruntime has another kernel from opset 19 on that rounds its sums in another order.
 *
 * @throws BitlaneError (from the pass) `BAD_MODEL` naming the node and operator that cannot be brought along; the model
 *   may then be half-way and is of no use
 */
export const upgradeOpset = (target: number): Pass => ({
  name: `upgrade to opset ${target}`,
  call: (model) => {
    const from = model.opset;
    if (target > MAX_OPSET)
      throw badModel(`opset ${target} is newer than ${MAX_OPSET}, the newest that bitlane knows`);
    if (from >= target) return false;
    check(model, from, target);
    // Softmax needs the rank of its input.
    inferShapes(model);
    for (const node of [...model.graph.nodes()]) if (isOnnx(node.domain)) upgradeNode(node, from, target);
    model.opsets.set('', target);
    model.irVersion = Math.max(model.irVersion, irVersionOf(target));
    return true;
  },
});
