// What a run learns from: the pictures of a step, and the loss that labels and teacher make together.
import type { LoaderSource } from '../data/loader.js';
import { cloneModel, type Graph, inferShapes, isStatic, type Model } from '../../onnx/index.js';
import {
  criticalClassWeights,
  detectionLoss,
  distillationLoss,
  featureLoss,
  jointsOf,
  sumOfLosses,
} from '../loss/index.js';
import type { BuildLoss } from '../types.js';
import type { DetectorTrainingOptions } from './detector.js';

/** Objects of a picture that are learnt from, where nothing else is said. */
export const OBJECTS = 64;

const inferred = (model: Model): Graph => {
  const copy = cloneModel(model);
  inferShapes(copy);
  return copy.graph;
};

/** The shape of a picture's share of a value; undefined where it is not known. */
const shapeOf = (graph: Graph, name: string): string | undefined => {
  const { producer, type, shape } = graph.value(name) ?? {};
  const dims = shape?.slice(1);
  const isKnown = producer !== undefined && dims !== undefined && isStatic(dims);
  return isKnown ? [type, ...dims].join() : undefined;
};

/** The values that teacher and student are compared at: the joints that both have, of one shape. */
export const featuresOf = ({ model, teacher, featureWeight = 0 }: DetectorTrainingOptions): string[] => {
  if (featureWeight <= 0 || teacher === undefined) return [];
  const [own, theirs] = [inferred(model), inferred(teacher)];
  return jointsOf(own).filter((name) => {
    const shape = shapeOf(own, name);
    return shape !== undefined && shape === shapeOf(theirs, name);
  });
};

/** The loss of a run. */
export const lossOf = (options: DetectorTrainingOptions): BuildLoss => {
  const { detector, labelled, teacher, critical, wordWeight } = options;
  const losses: { build: BuildLoss; weight: number }[] = [];
  if (labelled !== undefined && wordWeight === undefined) {
    const classWeights =
      critical === undefined
        ? undefined
        : criticalClassWeights(detector.classes.length, critical.pairs, critical.weight);
    const build = detectionLoss({
      detector,
      objects: options.objects ?? OBJECTS,
      ...(classWeights !== undefined && { classWeights }),
    });
    losses.push({ build, weight: 1 });
  }
  if (teacher !== undefined) {
    const build = distillationLoss({ detector, weighted: wordWeight !== undefined });
    losses.push({ build, weight: options.teacherWeight ?? 1 });
    const features = featuresOf(options);
    if (features.length > 0) {
      losses.push({ build: featureLoss(features), weight: options.featureWeight ?? 0 });
    }
  }
  return sumOfLosses(losses);
};

/** Half of the pictures each where there are both kinds. */
export const sourcesOf = ({ labelled, unlabelled, batch }: DetectorTrainingOptions): LoaderSource[] => {
  if (labelled !== undefined && unlabelled !== undefined) {
    const share = Math.ceil(batch / 2);
    return [{ ...labelled, share }, ...(batch > share ? [{ ...unlabelled, share: batch - share }] : [])];
  }
  const only = labelled ?? unlabelled;
  return only === undefined ? [] : [{ ...only, share: batch }];
};
