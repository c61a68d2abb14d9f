// What the parts of training give each other: a loss, a training graph, its parameters, one step.
import type { Ops } from '../autodiff/index.js';
import type { Graph, Model, Value } from '../onnx/index.js';
import type { ChannelGrid } from '../quantization/index.js';
import type { Tensors } from '../runtime/index.js';

/** Where a loss is built. */
export interface LossPlace {
  readonly graph: Graph;
  /** Builds expressions over the graph; the same expression is built once. */
  readonly ops: Ops;
  /** The model's outputs, batch and shapes fixed; with fake quantization these are the quantized network's. */
  readonly outputs: readonly Value[];
  /** Pictures in a step. */
  readonly batch: number;
}

/** What a loss has built. */
export interface LossValues {
  /** One float, the mean over the batch: what is minimized. */
  readonly loss: Value;
  /** Further scalars to be shown, by the name of what they measure (`box`, `objectness`, `class`). */
  readonly parts: Readonly<Record<string, Value>>;
  /** Values that count as constants: no gradient goes through them (an assignment's results, a target that depends on the outputs). */
  readonly fixed?: readonly Value[];
}

/**
 * Adds the nodes that compute a loss from the model's outputs and from graph inputs of its own (`graph.addInput`: padded targets,
 * a teacher's outputs), which each step is then fed. Standard operators of opset 18; an operator with a gradient rule wherever a
 * gradient is to pass.
 */
export type BuildLoss = (place: LossPlace) => LossValues;

/** What a parameter is: which group of the optimizer it falls into. */
export type ParameterKind = 'weight' | 'bias' | 'norm' | 'step-size';

/** The dimension of a weight that its output channels lie along, those of each group anew: [groups x any, ..., channels of a group, ...]. */
export interface OutputAxis {
  readonly axis: number;
  readonly groups: number;
}

/** One trained tensor: an input of the training graph. */
export interface Parameter {
  /** The initializer's name in the model, or one of fake quantization's. */
  readonly name: string;
  readonly kind: ParameterKind;
  readonly dims: readonly number[];
  /** Where a weight has its output channels; along its first dimension where it is left out. */
  readonly output?: OutputAxis;
  /** Where it starts. */
  readonly value: Float32Array;
  /** What its gradient is multiplied by, element by element (LSQ's gradient scale); 1 where it is left out. */
  readonly gradientFactors?: Float32Array;
  /** No element goes below its own here (a step size stays positive). */
  readonly least?: Float32Array;
}

/** A graph that computes loss and gradients in one run. */
export interface TrainingGraph {
  readonly model: Model;
  readonly batch: number;
  readonly parameters: readonly Parameter[];
  /** Output that holds a parameter's gradient, by the parameter's name. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Output that holds the loss. */
  readonly loss: string;
  /** Outputs of the loss's parts, by the part's name. */
  readonly parts: ReadonlyMap<string, string>;
  /** Running statistics: graph inputs by name, with the output that holds each one's next value. */
  readonly statistics: readonly Statistic[];
  /** What the grids of fake-quantized weights start from, by the name of what is learned for them; trained or not. */
  readonly stepSizes: ReadonlyMap<string, Float32Array>;
  /** Fake-quantized activations. */
  readonly activations: readonly FakeActivations[];
}

/** Activations that share a grid. */
export interface FakeActivations {
  /** As it was at the start. */
  readonly grid: ChannelGrid;
  /** Names of the values in the model. */
  readonly values: readonly string[];
  /** What holds its scale; a parameter where it is learned. */
  readonly stepSize: string;
}

/** A running mean or variance of a BatchNormalization in training mode. */
export interface Statistic {
  readonly name: string;
  readonly dims: readonly number[];
  readonly value: Float32Array;
  readonly output: string;
}

/** What a step is fed beyond parameters: pictures and the loss's inputs, by the graph inputs' names. */
export type Batch = Tensors;

/** What one step reports. */
export interface StepReport {
  /** Steps done, this one counted. */
  readonly step: number;
  readonly loss: number;
  readonly parts: Readonly<Record<string, number>>;
  /** Euclidean norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Of the group `weight`. */
  readonly learningRate: number;
}
