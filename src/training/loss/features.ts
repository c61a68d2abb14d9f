// The loss against what a teacher of the same network sees on the way to its answer. Needs no labels.
import { dimsOf } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import type { Graph, Value } from '../../onnx/index.js';
import type { BuildLoss } from '../types.js';
import { total } from './detection.js';

/** The graph input that holds what the teacher has at a value of that name. */
export const teacherFeature = (name: string): string => `teacher/${name}`;

const joins = ({ uses, producer, type }: Value): boolean =>
  producer !== undefined &&
  type === 'float32' &&
  uses.length > 1 &&
  uses.some(({ node }) => node.is('Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'Concat'));

/**
 * The names of a network's joints: what several layers take in, or a layer and a way round it. Whatever goes wrong between two of them
 * is to be seen at the second.
 *
 * @param graph with its types known (`inferShapes`)
 */
export const jointsOf = (graph: Graph): string[] =>
  [...graph.nodes()].flatMap(({ outputs }) =>
    outputs.flatMap((value) => (value !== undefined && joins(value) ? [value.name] : [])),
  );

const TINY = 1e-6;

/**
 * Builds the loss against a teacher's features (FitNets, Romero 2015; between networks that differ in their bits alone nothing has to
 * translate): of each, the squared difference as a share of what the teacher has; the mean over all.
 *
 * @param names of values that both networks have
 * @throws BitlaneError `BAD_MODEL` where a value is not there
 */
export const featureLoss =
  (names: readonly string[]): BuildLoss =>
  ({ graph, ops }) => {
    const scope = ops.scope;
    ops.scope = 'features';
    const errors = names.map((name) => {
      const value = graph.value(name);
      if (value === undefined) throw new BitlaneError('BAD_MODEL', `the model has no value ${name}`);
      const teacher = graph.addInput(teacherFeature(name), 'float32', dimsOf(value));
      const apart = ops.sub(value, teacher);
      const power = ops.op('Max', [total(ops, ops.mul(teacher, teacher)), ops.scalar(TINY)], []);
      return ops.div(total(ops, ops.mul(apart, apart)), power);
    });
    const loss = ops.mul(
      errors.reduce((sum, error) => ops.add(sum, error), ops.scalar(0)),
      1 / Math.max(1, names.length),
    );
    ops.scope = scope;
    return { loss, parts: { 'teacher features': loss } };
  };
