// Shape inference: one walk in topological order, one rule an operator.
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { MAX_RANK } from '../limits.js';
import type { Model } from '../model.js';
import { type Dim, isStatic, type Shape, sizeOf } from '../types.js';
import { ALGEBRA } from './algebra.js';
import { CONTENT_LIMIT, type Known, type Rule, RuleContext } from './context.js';
import { ELEMENTWISE } from './elementwise.js';
import { LAYOUT } from './layout.js';
import { WINDOWS } from './windows.js';

const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries({ ...ELEMENTWISE, ...WINDOWS, ...LAYOUT, ...ALGEBRA }),
);

const DOMAINS: ReadonlySet<string> = new Set(['', 'ai.onnx', 'com.microsoft']);

const ruleOf = (node: Node): Rule | undefined =>
  DOMAINS.has(node.domain) ? RULES.get(node.opType) : undefined;

/** What was inferred, with the file's word for what was not. */
const merged = (inferred: Shape | undefined, declared: Shape | undefined): Shape | undefined => {
  if (inferred === undefined || inferred.length > MAX_RANK) return declared;
  if (declared?.length !== inferred.length) return inferred;
  return inferred.map((dim, i): Dim => (typeof dim === 'number' || dim !== '' ? dim : (declared[i] ?? '')));
};

const settle = (value: Value, known: Known | undefined, contents: Map<Value, readonly Dim[]>): void => {
  value.type = known?.type ?? value.type;
  value.shape = merged(known?.shape, value.shape);
  const content = known?.content;
  const isWhole =
    value.shape !== undefined && isStatic(value.shape) && sizeOf(value.shape) === content?.length;
  if (content !== undefined && isWhole && content.length <= CONTENT_LIMIT) contents.set(value, content);
};

/**
 * Fills in type and shape of every value, from the graph's inputs on. Symbolic dimensions stay symbolic; what cannot be
 * known (an unknown operator, a size that depends on data) stays as the file declared it, or unknown.
 *
 * @throws BitlaneError `BAD_MODEL` when the graph has a cycle
 */
export const inferShapes = (model: Model): void => {
  model.graph.sort();
  const contents = new Map<Value, readonly Dim[]>();
  for (const node of model.graph.nodes()) {
    const known = ruleOf(node)?.(new RuleContext(node, model.opset, contents)) ?? [];
    node.outputs.forEach((value, index) => {
      if (value !== undefined) settle(value, known[index], contents);
    });
  }
};
