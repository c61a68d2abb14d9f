// One run: a session with the training graph, the state, and a step that is one run of the session.
import { GRADIENT_SESSION } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import { writeModel } from '../../onnx/index.js';
import { floatTensor, openSession, type Session, type Tensor, type Tensors } from '../../runtime/index.js';
import type { Batch, StepReport, TrainingGraph } from '../types.js';
import {
  applyGradients,
  type OptimizerOptions,
  startState,
  takeStatistics,
  type TrainingState,
} from './state.js';

export interface TrainerOptions {
  readonly optimizer: OptimizerOptions;
  /** Intra-op threads (default 1). */
  readonly threads?: number;
  /** The state that a checkpoint held (default: the start). */
  readonly state?: TrainingState;
}

const floatsIn = (results: Tensors, name: string): Float32Array => {
  const tensor = results[name];
  if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `the training graph gave no ${name}`);
  return tensor.data;
};

const numberIn = (results: Tensors, name: string): number => floatsIn(results, name)[0] ?? NaN;

/** Blocks the thread while a step computes. `release` it, on the error path too. */
export class Trainer {
  readonly graph: TrainingGraph;
  readonly state: TrainingState;
  readonly #session: Session;
  readonly #options: OptimizerOptions;
  /** Where the session writes gradients, the same memory every step. */
  readonly #gradients: Tensors;

  private constructor(graph: TrainingGraph, session: Session, options: TrainerOptions) {
    this.graph = graph;
    this.#session = session;
    this.#options = options.optimizer;
    this.state = options.state ?? startState(graph, options.optimizer);
    this.#gradients = Object.fromEntries(
      graph.parameters.map(({ name, dims }) => [graph.gradients.get(name) ?? '', floatTensor(dims)]),
    );
  }

  /** @throws BitlaneError `BAD_MODEL` when onnxruntime cannot load the graph */
  static async open(graph: TrainingGraph, options: TrainerOptions): Promise<Trainer> {
    const session = await openSession(writeModel(graph.model), {
      ...GRADIENT_SESSION,
      threads: options.threads ?? 1,
      memoryPattern: false,
      // Fake quantization is to stay what it is.
      configuration: { 'session.disable_quant_qdq': '1' },
      // The loader's thread computes at the same time.
      spinning: false,
    });
    return new Trainer(graph, session, options);
  }

  /**
   * Loss and gradients of a batch, and the weights moved by them.
   *
   * @throws BitlaneError `BAD_MODEL` where the batch does not fit the graph, or loss or gradients are not finite; the state is
   *   then as it was
   */
  async step(batch: Batch): Promise<StepReport> {
    const { graph, state } = this;
    const results = await this.#session.run({ ...batch, ...this.#feeds() }, this.#gradients);
    const loss = numberIn(results, graph.loss);
    if (!Number.isFinite(loss)) {
      throw new BitlaneError(
        'BAD_MODEL',
        `the loss is not finite in step ${state.step + 1}: try a lower learning rate`,
      );
    }
    const gradients = graph.parameters.map(({ name }) => floatsIn(results, graph.gradients.get(name) ?? ''));
    const { norm, rate } = applyGradients(state, gradients, this.#options);
    takeStatistics(
      state,
      graph.statistics.map(({ output }) => floatsIn(results, output)),
      this.#options,
    );
    return {
      step: state.step,
      loss,
      parts: Object.fromEntries([...graph.parts].map(([part, output]) => [part, numberIn(results, output)])),
      gradientNorm: norm,
      learningRate: rate,
    };
  }

  #feeds(): Record<string, Tensor> {
    const { graph, state } = this;
    const feeds: Record<string, Tensor> = {};
    graph.parameters.forEach(({ name, dims }, i) => {
      feeds[name] = floatTensor(dims, state.slots[i]?.value);
    });
    graph.statistics.forEach(({ name, dims }, i) => {
      feeds[name] = floatTensor(dims, state.statistics[i]?.value);
    });
    return feeds;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** What was learned, by the name of the tensor in the model: the average where one is kept, statistics too. */
export const learned = (state: TrainingState): Map<string, Float32Array> =>
  new Map([
    ...state.slots.map(({ name, value, average }): [string, Float32Array] => [
      name,
      average.length > 0 ? average : value,
    ]),
    ...state.statistics.map(({ name, value, average }): [string, Float32Array] => [
      name,
      average.length > 0 ? average : value,
    ]),
  ]);
