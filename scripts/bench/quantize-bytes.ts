// Bytes for floats: what the shipped network in mixed precision takes to run, and pictures to prepare, either way in turns.
import { join } from 'node:path';
import sharp from 'sharp';
import { cloneModel, readModel, writeModel } from '../../src/onnx/index.js';
import {
  latencyRatio,
  pictureFeeds,
  pixelRanges,
  quantizeModel,
  takeBytes,
  timeBytes,
} from '../../src/quantization/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { packageRoot } from '../../src/system/index.js';
import { encodeJpeg, inputValue, type Picture, Preprocessor } from '../../src/vision/index.js';
import { type Figure, medianFigure } from './lib.js';
import { toYuv420 } from './nano.js';
import type { BenchPart } from './quantize-lib.js';

const CALIBRATION = 8;
const ROUNDS = 400;
const LIMIT_MS = 120_000;
const WARM_UP = 20;
const QUALITY = 85;

/** Figures of something done with floats and with bytes in every round. */
const beside = (name: string, floats: readonly number[], bytes: readonly number[]): Figure[] => [
  medianFigure(`${name}.floatsMs`, 'ms', floats),
  medianFigure(`${name}.bytesMs`, 'ms', bytes),
  { name: `${name}.ratio`, unit: 'ratio', ...latencyRatio(floats, bytes), runs: bytes.length },
];

export const bytesFigures: BenchPart = async ({ train, reduceRange }) => {
  const shipped = await readArtifactFolder(join(packageRoot, 'models', 'bitlane-scene'));
  const mixed = await readArtifactFolder(join(packageRoot, 'models', 'bitlane-scene-mixed'));
  const { input: floats } = shipped.manifest.detector;
  const { allocation } = mixed.manifest;
  const [image] = train.images;
  if (allocation === undefined || image === undefined) throw new TypeError('an allocation and a picture');
  // The very kernels of the shipped mixture; times do not depend on what their weights are.
  const { model } = await quantizeModel(readModel(shipped.modelPath), {
    allocation,
    feeds: pictureFeeds(train, floats, CALIBRATION),
    reduceRange: await reduceRange(),
    knownRanges: pixelRanges(floats),
  });
  const other = cloneModel(model);
  const bytes = takeBytes(other, floats);
  if (bytes.format !== 'bytes') throw new TypeError('the shipped network takes bytes');
  const { name, dims } = inputValue(floats);
  const [before = [], after = []] = await timeBytes([writeModel(model), writeModel(other)], {
    input: { name, dims },
    rounds: ROUNDS,
    limitMs: LIMIT_MS,
  });

  const { width, height } = floats;
  const data = await sharp(image.path).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
  const jpeg: Picture = {
    format: 'jpeg',
    width,
    height,
    data: encodeJpeg({ format: 'rgb24', width, height, data }, QUALITY),
  };
  const figures = beside('bytes.model', before, after);
  for (const [label, picture] of [
    ['bytes.jpeg640', jpeg],
    ['bytes.yuv720', await toYuv420(jpeg, 1280, 720)],
  ] as const) {
    const ways = [floats, bytes].map((input) => {
      const preprocessor = new Preprocessor();
      const times: number[] = [];
      const once = (): void => {
        const tensor = preprocessor.tensor(input);
        const started = performance.now();
        preprocessor.preprocess(picture, input, tensor);
        times.push(performance.now() - started);
      };
      return { once, times };
    });
    for (let round = 0; round < WARM_UP + ROUNDS; round += 1) for (const { once } of ways) once();
    const [first = [], second = []] = ways.map(({ times }) => times.slice(WARM_UP));
    figures.push(...beside(label, first, second));
  }
  return figures;
};
