// The shipped model in mixed precision: few bits where most weights lie, trained on under them, its codes packed.
import { openDataSet } from '../../src/evaluation/index.js';
import { type Model, readModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  allocationBytes,
  componentsOf,
  edgesOf,
  prepareModel,
  quantizeArtifact,
  type QuantizedArtifact,
} from '../../src/quantization/index.js';
import type { Artifact } from '../../src/registry/index.js';
import {
  buildNetwork,
  buildTraining,
  detectionLoss,
  detectorOf,
  type LoaderSource,
  runTraining,
  type StepReport,
  trainedCodes,
  withLearned,
} from '../../src/training/index.js';
import * as recipe from './recipe.js';

const [FINE, COARSE] = [8, 4] as const;

/**
 * First and last layers keep 8 bits, and so do the layers with the fewest weights, as long as the file stays within its bytes: a bit
 * more costs least there. The rest gets 4. Everything runs in int8.
 */
const allocationOf = (parent: Artifact): Allocation => {
  const model = prepareModel(readModel(parent.modelPath));
  const components = componentsOf(model);
  const edges = edgesOf(model).map(({ name }) => name);
  const rest = components
    .filter(({ name }) => !edges.includes(name))
    .sort((a, b) => a.weightBytes - b.weightBytes);
  const fine = new Set(edges);
  const made = (): Allocation =>
    allocate(components, ({ name }) => ({ bits: fine.has(name) ? FINE : COARSE, execution: 'int8' }));
  for (const { name } of rest) {
    fine.add(name);
    if (allocationBytes(components, made()) <= recipe.MIXED.bytes) continue;
    fine.delete(name);
    break;
  }
  return made();
};

export interface MixedOptions {
  readonly sources: readonly LoaderSource[];
  /** A data set whose split `train` the activations' ranges are measured on. */
  readonly calibration: string;
  readonly checkpoint: string;
  /** Default: the recipe's. */
  readonly steps?: number;
  readonly threads: number;
  readonly onStep: (report: StepReport) => void;
}

/** The same weights in the network as it is trained: on parts of pictures. */
const asTrained = (model: Model): Model => {
  const small = prepareModel(buildNetwork(recipe.TRAINED, recipe.CLASSES, recipe.SEED));
  const weights = componentsOf(model).flatMap(({ weight, bias }) =>
    [weight, bias].flatMap((name): [string, Float32Array][] => {
      const tensor = name === undefined ? undefined : model.graph.value(name)?.constant;
      return name !== undefined && tensor?.kind === 'dense' && tensor.type === 'float32'
        ? [[name, tensor.data]]
        : [];
    }),
  );
  return withLearned(small, new Map(weights));
};

/** Trains the parent on with fake-quantized weights and packs what comes out. */
export const makeMixed = async (parent: Artifact, options: MixedOptions): Promise<QuantizedArtifact> => {
  const model = prepareModel(readModel(parent.modelPath));
  const detector = detectorOf(recipe.TRAINED, recipe.CLASSES);
  const weights = { allocation: allocationOf(parent), reduceRange: true } as const;
  const graph = buildTraining(asTrained(model), {
    batch: options.sources.reduce((sum, { share }) => sum + share, 0),
    weights,
    loss: detectionLoss({ detector, objects: recipe.OBJECTS, weights: recipe.LOSS_PARTS }),
  });
  const steps = options.steps ?? recipe.MIXED.optimizer.schedule.steps;
  const { values } = await runTraining({
    graph,
    optimizer: recipe.MIXED.optimizer,
    steps,
    sources: options.sources,
    batches: {
      detector,
      objects: recipe.OBJECTS,
      seed: recipe.SEED + 1,
      augmentation: { ...recipe.AUGMENTATION, mosaic: 0 },
    },
    threads: options.threads,
    checkpoint: { file: options.checkpoint, run: `mixed ${parent.id}`, every: 50 },
    onStep: options.onStep,
  });
  const trained = withLearned(model, values);
  const stepSizes = new Map([...graph.stepSizes].map(([name, start]) => [name, values.get(name) ?? start]));
  return quantizeArtifact(parent, {
    allocation: weights.allocation,
    calibration: openDataSet(options.calibration, { split: 'train' }),
    reduceRange: weights.reduceRange,
    trained: { model: trained, weights: await trainedCodes(trained, { ...weights, stepSizes }) },
    name: recipe.MIXED.name,
  });
};
