// Fine-tuning: the rounded weights of an allocation are trained on, each component on its own grid.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { NO_VEHICLE } from '../examples/index.js';
import { readModel } from '../onnx/index.js';
import { pictureFeeds, prepareFor, quantizeArtifact } from '../quantization/index.js';
import { foldName } from '../registry/index.js';
import {
  beginQuantized,
  FINE_TUNING_AUGMENTATION,
  labelledSpec,
  trainDetector,
  unlabelledSpec,
} from '../training/index.js';
import type { MakeWeights } from './weights.js';

const SEED = 1;
const WEIGHT_DECAY = 0.01;

const numbersOf = (
  pairs: readonly (readonly [string, string])[],
  classes: readonly string[],
): [number, number][] =>
  pairs.flatMap((names): [number, number][] => {
    const [a = -1, b = -1] = names.map((name) =>
      classes.findIndex((known) => foldName(known) === foldName(name)),
    );
    return a < 0 || b < 0 ? [] : [[a, b]];
  });

/**
 * Rounds with error feedback, then trains on from there: on labels where there are any, on the FP32 model's own word where there are
 * none, and on that word put right where somebody named single objects. A run that was killed goes on from its last checkpoint, and comes to the same weights.
 *
 * @param pairs critical pairs, by name
 */
export const tuneWeights =
  (pairs: readonly (readonly [string, string])[]): MakeWeights =>
  async (parent, allocation, options) => {
    const { finetune, calibration = options.tuning.dataSet, name, signal, reduceRange } = options;
    const { onProgress = () => undefined } = options;
    if (finetune === undefined) throw new BitlaneError('INTERNAL', 'nothing says how to fine-tune');
    const { labelled, named, unlabelled } = finetune.lessons;
    const truth = labelled ?? named;
    const { detector } = parent.manifest;
    const { classes } = detector;
    // Without the opset that packed weights need: it is trained in floats.
    const teacher = prepareFor(readModel(parent.modelPath), { ...allocation, components: {} });
    const feeds = pictureFeeds(calibration, detector.input, options.calibrationPictures);
    const { model, weights } = await beginQuantized(teacher, {
      weights: { allocation, reduceRange },
      feeds,
      ...(signal !== undefined && { signal }),
      onProgress: (done, all) => onProgress('rounding', done, all),
    });
    const folder = join(options.folder, 'training');
    const { quantized } = await trainDetector({
      model,
      detector,
      weights,
      ...(truth !== undefined && {
        labelled: labelledSpec({ ...truth, classes, ...(truth === named && { nothing: NO_VEHICLE }) }),
      }),
      ...(labelled === undefined && named !== undefined && { wordWeight: finetune.wordWeight }),
      ...(unlabelled !== undefined && { unlabelled: unlabelledSpec({ folder: unlabelled }) }),
      teacher,
      teacherWeight: finetune.teacherWeight,
      critical: { pairs: numbersOf(pairs, classes), weight: finetune.pairWeight },
      steps: finetune.steps,
      batch: finetune.batch,
      learningRate: finetune.learningRate,
      weightDecay: WEIGHT_DECAY,
      seed: SEED,
      augmentation: FINE_TUNING_AUGMENTATION,
      folder,
      checkpointEvery: finetune.checkpointEvery,
      ...(signal !== undefined && { signal }),
      onStep: ({ step }) => onProgress('fine-tuning', step, finetune.steps),
    });
    if (quantized === undefined) throw new BitlaneError('INTERNAL', 'training gave no codes');
    const { bytes, manifest, report } = await quantizeArtifact(parent, {
      allocation,
      trained: quantized,
      calibration,
      pictures: options.calibrationPictures,
      reduceRange,
      ...(name !== undefined && { name }),
      ...(options.timed !== undefined && { timed: options.timed }),
      ...(signal !== undefined && { signal }),
      onProgress,
    });
    // What the step came to is kept from here on; the checkpoint is as large as the model several times over.
    rmSync(folder, { recursive: true, force: true });
    const { bytesRatio, averageBits, latency } = report;
    return { bytes, manifest, made: { bytes: bytes.length, bytesRatio, averageBits, latency } };
  };
