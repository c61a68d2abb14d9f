// A training run in a process of its own, which tests kill: `node child.js FOLDER DATA STEPS`. Prints a hash of what it learned.
import { createHash } from 'node:crypto';
import { openDataSet } from '../../../src/evaluation/index.js';
import { writeModel } from '../../../src/onnx/index.js';
import {
  buildNetwork,
  checkNetwork,
  detectorOf,
  labelledSpec,
  SCRATCH_AUGMENTATION,
  trainDetector,
} from '../../../src/training/index.js';
import { smallNetwork } from '../boxes-data.js';

const [folder = '', data = '', steps = ''] = process.argv.slice(2);
const network = checkNetwork(smallNetwork, 'the test network');
const classes = ['red', 'blue'];
const trained = await trainDetector({
  model: buildNetwork(network, classes, 5),
  detector: detectorOf(network, classes),
  labelled: labelledSpec({ path: data, split: 'train', classes }),
  normalization: 'batch',
  augmentation: { ...SCRATCH_AUGMENTATION, hue: 0 },
  validation: { dataSet: openDataSet(data, { split: 'train', limit: 6 }), every: 7 },
  folder,
  checkpointEvery: 3,
  steps: Number(steps),
  batch: 4,
  learningRate: 5e-3,
  weightDecay: 0.01,
  seed: 2,
  onStep: ({ step, loss }) => process.stdout.write(`step ${step} ${loss}\n`),
});
const hash = createHash('sha256').update(writeModel(trained.model)).digest('hex');
process.stdout.write(`${JSON.stringify({ hash, history: trained.history, best: trained.best })}\n`);
