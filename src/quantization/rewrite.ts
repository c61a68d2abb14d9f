// Writes an allocation into a model: packed weights, integer regions with their borders, everything else as it was.
import {
  cloneModel,
  inferShapes,
  type Model,
  type Node,
  removeDeadNodes,
  removeUnusedInitializers,
  shortenNames,
  runPasses,
} from '../onnx/index.js';
import { checkAllocation } from './allocation.js';
import { type Component, componentNodes } from './components.js';
import { rewriteDynamic } from './dynamic.js';
import type { ChannelGrid } from './grid.js';
import { type Regions, resultOf } from './regions.js';
import { Rewriter, type RewriteOptions } from './rewriter.js';

export type { RewriteOptions };

/** Where the result of a component is to be found in both models. */
export interface RewrittenComponent {
  readonly component: Component;
  /** The value in the prepared model. */
  readonly reference: string;
  /** The value in the rewritten one: codes on `grid` where the component runs in int8, floats where there is none. */
  readonly rewritten: string;
  readonly grid: ChannelGrid | undefined;
}

export interface Rewritten {
  readonly model: Model;
  readonly components: readonly RewrittenComponent[];
}

/** What a rewritten model goes through. */
const TIDY = [removeDeadNodes, removeUnusedInitializers, shortenNames];

/**
 * A new model that holds the weights as the allocation says and computes as it says. What the components give each other inside
 * an int8 region never is FP32; a value is quantized once, however many take it.
 *
 * @param model from `prepareModel`, with an opset that holds the weights' types
 * @throws BitlaneError `BAD_CONFIG` when the allocation is not one for this model
 */
export const rewriteModel = (model: Model, options: RewriteOptions): Rewritten => {
  const copy = cloneModel(model);
  inferShapes(copy);
  return options.activations === 'dynamic' ? dynamically(copy, options) : statically(copy, options);
};

const dynamically = (copy: Model, options: RewriteOptions): Rewritten => {
  const components = componentNodes(copy);
  checkAllocation(options.allocation, [...components.values()]);
  const results = rewriteDynamic(copy, components, options);
  const found = [...components].map(([node, component]) => ({
    component,
    reference: component.output,
    rewritten: results.get(node)?.name ?? component.output,
    grid: undefined,
  }));
  runPasses(copy, TIDY);
  return { model: copy, components: found };
};

const statically = (copy: Model, options: RewriteOptions): Rewritten => {
  const rewriter = new Rewriter(copy, options);
  const { components } = rewriter.regions;
  checkAllocation(options.allocation, [...components.values()]);
  const results = [...components].map(([node, component]) => ({
    node,
    component,
    reference: referenceOf(node, rewriter.regions),
  }));
  rewriter.rewrite();
  const found = results.map(({ node, component, reference }) => ({
    component,
    reference,
    ...rewriter.resultIn(node),
  }));
  runPasses(copy, TIDY);
  return { model: copy, components: found };
};

const referenceOf = (node: Node, { absorbed }: Regions): string => {
  const clamp = [...absorbed].find(([, maker]) => maker === node)?.[0];
  return resultOf(node, clamp)?.name ?? '';
};
