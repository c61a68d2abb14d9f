// The training graph: a forward model, fake quantization in it, a loss on it, and the gradients of all that is trained.
import { dimsOf, gradient, Ops, type Recompute } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import {
  cloneModel,
  foldConstants,
  freezeInitializers,
  type Model,
  type Node,
  runPasses,
  upgradeOpset,
  type Value,
} from '../../onnx/index.js';
import type { BuildLoss, OutputAxis, Parameter, ParameterKind, TrainingGraph } from '../types.js';
import { type ActivationQuantization, addFakeActivations } from '../quantize/activations.js';
import { addFakeWeights, type WeightQuantization } from '../quantize/place.js';
import { setBatch } from './batch.js';
import { floatsOf } from './floats.js';
import { learnNormalizations } from './normalization.js';

/** What gradients and losses are built in. */
const OPSET = 18;

export interface TrainingOptions {
  /** Pictures in a step. */
  readonly batch: number;
  readonly loss: BuildLoss;
  /** Fake quantization of weights (default none). */
  readonly weights?: WeightQuantization;
  /** Fake quantization of activations (default none). */
  readonly activations?: ActivationQuantization;
  /** What is not trained, by the name of the initializer (default nothing). */
  readonly frozen?: (name: string) => boolean;
  /** What a BatchNormalization normalizes by: the `batch` (and keeps running statistics), or the statistics it has (default). */
  readonly normalization?: 'batch' | 'given';
  /** Forward values that are computed again in the backward part. */
  readonly recompute?: Recompute;
}

/** Kinds by the operator and the input that a float initializer goes into; others are no parameters. */
const kindOf = (node: Node, index: number): ParameterKind | undefined => {
  if (node.is('Conv', 'ConvTranspose', 'Gemm'))
    return index === 1 ? 'weight' : index === 2 ? 'bias' : undefined;
  if (node.is('MatMul')) return 'weight';
  if (node.is('BatchNormalization')) return index === 1 || index === 2 ? 'norm' : undefined;
  // A bias behind a MatMul.
  return node.is('Add') && node.inputs.some((value) => value?.producer?.is('MatMul') === true)
    ? 'bias'
    : undefined;
};

/** Where a layer's weight has its output channels; `undefined` where that is its first dimension. */
const outputOf = (node: Node, index: number, rank: number): OutputAxis | undefined => {
  if (node.is('ConvTranspose')) return { axis: 1, groups: node.int('group', 1) };
  if (node.is('Gemm')) return node.int('transB', 0) === 1 ? undefined : { axis: 1, groups: 1 };
  if (!node.is('MatMul')) return undefined;
  const axis = index === 0 ? rank - 2 : rank - 1;
  return axis <= 0 ? undefined : { axis, groups: 1 };
};

/** The trained initializers of a model, in the order of its layers. */
const parametersOf = (
  model: Model,
  frozen: (name: string) => boolean,
): Map<Value, Pick<Parameter, 'kind' | 'output'>> => {
  const found = new Map<Value, Pick<Parameter, 'kind' | 'output'>>();
  for (const node of model.graph.nodes()) {
    node.inputs.forEach((value, index) => {
      const kind = value === undefined || floatsOf(value) === undefined ? undefined : kindOf(node, index);
      if (value === undefined || kind === undefined || frozen(value.name)) return;
      const output = kind === 'weight' ? outputOf(node, index, dimsOf(value).length) : undefined;
      found.set(value, { kind, ...(output !== undefined && { output }) });
    });
  }
  return found;
};

/**
 * Builds the graph of one training step. It takes pictures, what the loss needs, and the parameters; it gives the loss, its parts
 * and a gradient for each parameter.
 *
 * @param model is left as it is; its names stay
 * @throws BitlaneError `BAD_MODEL` for a model that does not take several pictures, or has an operator without a gradient;
 *   `BAD_CONFIG` for a quantization that does not fit
 */
export const buildTraining = (model: Model, options: TrainingOptions): TrainingGraph => {
  const copy = cloneModel(model);
  runPasses(copy, [freezeInitializers, foldConstants, upgradeOpset(OPSET)]);
  setBatch(copy, options.batch);
  const { graph } = copy;
  const statistics = options.normalization === 'batch' ? learnNormalizations(copy) : [];
  const trained = parametersOf(copy, options.frozen ?? (() => false));
  if (trained.size === 0) throw new BitlaneError('BAD_MODEL', 'the model has nothing to train');
  const ops = new Ops(graph);
  const parameters: Parameter[] = [...trained].map(([value, kind]) => ({
    name: value.name,
    ...kind,
    dims: dimsOf(value),
    value: (floatsOf(value) ?? new Float32Array()).slice(),
  }));
  const coded =
    options.activations === undefined
      ? undefined
      : addFakeActivations(copy, ops, options.activations, options.batch);
  const outputs = [...graph.outputs];
  const fake = options.weights === undefined ? undefined : addFakeWeights(copy, ops, options.weights);
  ops.scope = 'loss';
  const { loss, parts, fixed = [] } = options.loss({ graph, ops, outputs, batch: options.batch });
  graph.sort();
  const shown = Object.entries(parts);
  const all = [...parameters, ...(fake?.parameters ?? []), ...(coded?.parameters ?? [])];
  const differentiated = gradient(copy, {
    loss: loss.name,
    of: all.map(({ name }) => name),
    outputs: [...shown.map(([, value]) => value.name), ...statistics.map(({ output }) => output)],
    fixed: [...fixed, ...(fake?.fixed ?? [])].map(({ name }) => name),
    straightThrough: (fake?.straightThrough ?? []).map(({ name }) => name),
    ...(options.recompute !== undefined && { recompute: options.recompute }),
  });
  return {
    model: differentiated.model,
    batch: options.batch,
    parameters: all,
    gradients: differentiated.gradients,
    loss: loss.name,
    parts: new Map(shown.map(([name, value]) => [name, value.name])),
    statistics,
    stepSizes: fake?.stepSizes ?? new Map<string, Float32Array>(),
    activations: coded?.activations ?? [],
  };
};
