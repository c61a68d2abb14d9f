// A model with a loss that is a weighted sum of its outputs: the weights are inputs, and so any direction can be differentiated.
import { BitlaneError } from '../../errors.js';
import {
  cloneModel,
  inferShapes,
  intsTensor,
  isStatic,
  type Model,
  runPasses,
  upgradeOpset,
  type Value,
} from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';

/** What the gradient's graph is made in. */
const OPSET = 18;

/** Inputs with the weight of each element of the outputs, by the name of the output. */
export type Seeds = ReadonlyMap<string, { readonly input: string; readonly dims: readonly number[] }>;

/** The outputs that a head reads. */
export const headOutputs = ({ head }: DetectorSpec): string[] => {
  switch (head.type) {
    case 'yolox':
    case 'yolov8':
      return [head.output];
    case 'gfl':
      return [...head.outputs, ...head.boxOutputs];
    case 'end-to-end':
      throw new BitlaneError(
        'UNSUPPORTED',
        'an end-to-end head gives one class a box and not how likely each is: significance cannot be measured on it',
      );
  }
};

const fixedDims = (value: Value): readonly number[] => {
  if (value.shape !== undefined && isStatic(value.shape)) return value.shape;
  throw new BitlaneError(
    'BAD_MODEL',
    `the shape of ${value.name} is not fixed: filters cannot be looked at by gradients`,
  );
};

/**
 * @param model is left as it is
 * @returns a copy with the loss sum over outputs of seeds x output, by its name
 * @throws BitlaneError `BAD_MODEL` for an output that is not there, or whose shape is not fixed
 */
export const seeded = (
  model: Model,
  outputs: readonly string[],
): { readonly model: Model; readonly loss: string; readonly seeds: Seeds } => {
  const source = cloneModel(model);
  runPasses(source, [upgradeOpset(OPSET)]);
  inferShapes(source);
  const { graph } = source;
  const node = (opType: string, inputs: readonly Value[]): Value => {
    const made = graph.addNode({ opType, inputs, name: graph.uniqueName(`seeded/${opType}`) }).output();
    if (made === undefined) throw new BitlaneError('INTERNAL', `${opType} has no output`);
    return made;
  };
  const seeds = new Map<string, { readonly input: string; readonly dims: readonly number[] }>();
  const one = graph.addInitializer('seeded.one', intsTensor([1]));
  const sums = outputs.map((name) => {
    const value = graph.value(name);
    if (value === undefined) throw new BitlaneError('BAD_MODEL', `the model has no output ${name}`);
    const dims = fixedDims(value);
    const seed = graph.addInput(graph.uniqueName(`seed.${name}`), 'float32', dims);
    seeds.set(name, { input: seed.name, dims });
    return node('Reshape', [node('ReduceSum', [node('Mul', [value, seed])]), one]);
  });
  const loss = sums.reduce((a, b) => node('Add', [a, b]));
  inferShapes(source);
  return { model: source, loss: loss.name, seeds };
};

/** @throws BitlaneError `INTERNAL` for a name that the graph does not have */
export const valueOf = (model: Model, name: string): Value => {
  const value = model.graph.value(name);
  if (value === undefined) throw new BitlaneError('INTERNAL', `the graph has no value ${name}`);
  return value;
};
