// A model over a data set: real tiny models, real pictures, and the published figures of a real detector.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { BitlaneError } from '../../src/errors.js';
import {
  describeDevice,
  evaluate,
  latencyOf,
  mapClasses,
  openDataSet,
  parseClassOverrides,
  pictureSize,
  predict,
  readPicture,
} from '../../src/evaluation/index.js';
import { type Artifact, createManifest, detectorSpecSchema } from '../../src/registry/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { type TinyBox, tinyDetector } from '../helpers/tinyModel.js';

const BOXES: TinyBox[] = [
  { x1: 8, y1: 8, x2: 24, y2: 24, classId: 0, score: 0.9 },
  { x1: 32, y1: 16, x2: 60, y2: 32, classId: 1, score: 0.8 },
  { x1: 40, y1: 4, x2: 50, y2: 12, classId: 2, score: 0.7 },
];

/** A model of car, lorry and tram, that sees `BOXES` everywhere. */
const artifactIn = (folder: string, nan = false): Artifact => {
  const tiny = tinyDetector({ head: 'yolox', classes: ['car', 'lorry', 'tram'], boxes: BOXES, nan });
  const modelPath = join(folder, 'model.onnx');
  writeFileSync(modelPath, tiny.bytes);
  return { id: tiny.id, modelPath, manifestPath: join(folder, 'manifest.json'), manifest: tiny.manifest };
};

/** Pictures of 128 x 64, which the model sees at half their size; rows are class, cx, cy, w, h of the picture. */
const dataIn = async (folder: string, labels: readonly string[]): Promise<string> => {
  mkdirSync(join(folder, 'images', 'val'), { recursive: true });
  mkdirSync(join(folder, 'labels', 'val'), { recursive: true });
  const picture = await sharp({ create: { width: 128, height: 64, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer();
  labels.forEach((text, i) => {
    writeFileSync(join(folder, 'images', 'val', `${i}.jpg`), picture);
    writeFileSync(join(folder, 'labels', 'val', `${i}.txt`), text);
  });
  writeFileSync(join(folder, 'data.yaml'), 'val: images/val\nnames: [truck, car, bus]\n');
  return folder;
};

const CAR = '1 0.25 0.5 0.25 0.5\n';
const TRUCK = '0 0.71875 0.75 0.4375 0.5\n';

const setUp = async (t: Test, labels: readonly string[]) => {
  const folder = t.testdir({});
  const dataSet = openDataSet(await dataIn(folder, labels));
  const artifact = artifactIn(folder);
  return { folder, dataSet, artifact, map: mapClasses(artifact.manifest.detector.classes, dataSet.classes) };
};

t.test('detections come in the classes and pixels of the data set', async (t) => {
  const { artifact, dataSet, map } = await setUp(t, [CAR + TRUCK, CAR]);
  const done: number[] = [];
  const { results, latency, nonFinite } = await predict(artifact, dataSet, map, {}, (n) => done.push(n));
  t.same(done, [1, 2]);
  t.equal(nonFinite, 0);
  t.equal(latency.samples, 2);
  t.ok(latency.whole.p95Ms >= latency.inference.p50Ms);
  const [first] = results;
  // The tram is no class of the data set; lorry means truck.
  t.same(
    first?.detections.map(({ classId, score, x1, y1, x2, y2 }) => [
      classId,
      ...[score, x1, y1, x2, y2].map((value) => Number(value.toFixed(3))),
    ]),
    [
      [1, 0.9, 16, 16, 48, 48],
      [0, 0.8, 64, 32, 120, 64],
    ],
  );
  t.same(
    first?.objects.map(({ classId }) => classId),
    [1, 0],
  );
  const evaluation = evaluate(results, map, { rounds: 50 });
  // Both cars and the one truck are found; a truck is seen in the second picture where there is none, after the first one.
  t.equal(evaluation.precision.map50, 1);
  t.equal(evaluation.precision.map5095, 1);
  t.same(evaluation.confusion.counts, [
    [1, 0, 0, 0],
    [0, 2, 0, 0],
    [0, 0, 0, 0],
    [1, 0, 0, 0],
  ]);
  t.same(
    evaluation.precision.classes.map(({ objects, ap50 }) => [objects, ap50]),
    [
      [1, 1],
      [2, 1],
      [0, null],
    ],
  );
  t.same(evaluation.pairs, []);
  t.equal(evaluation.criticalAccuracy.value, null);
  t.equal(evaluation.intervals?.map50.value, 1);
  t.equal(evaluate(results, map, { rounds: 0 }).intervals, undefined);
});

t.test(
  'what several classes of the model say of one thing counts once where the data set has one class',
  async (t) => {
    const { folder, dataSet } = await setUp(t, [`${CAR}1 0.71875 0.75 0.4375 0.5\n`]);
    const [first, second] = BOXES;
    if (first === undefined || second === undefined) throw new Error('two boxes');
    // Each car is a sedan, and nearly as much a hatchback; the weaker one of the better car stands before the other car.
    const boxes = [first, { ...second, classId: 0, score: 0.5 }].flatMap((box) => [
      box,
      { ...box, classId: 1, score: 0.9 * box.score },
    ]);
    const tiny = tinyDetector({ head: 'yolox', classes: ['sedan', 'hatchback', 'bus'], boxes });
    const modelPath = join(folder, 'cars.onnx');
    writeFileSync(modelPath, tiny.bytes);
    const artifact = { ...tiny, modelPath, manifestPath: '' };
    const map = mapClasses(
      artifact.manifest.detector.classes,
      dataSet.classes,
      parseClassOverrides('sedan=car,hatchback=car'),
    );
    const { results } = await predict(artifact, dataSet, map);
    t.same(
      results[0]?.detections.map(({ classId, score }) => [classId, Number(score.toFixed(3))]),
      [
        [1, 0.9],
        [1, 0.5],
      ],
    );
    t.equal(evaluate(results, map, { rounds: 0 }).precision.map50, 1);
    const apart = mapClasses(
      artifact.manifest.detector.classes,
      dataSet.classes,
      parseClassOverrides('sedan=car,hatchback=truck'),
    );
    const [both] = (await predict(artifact, dataSet, apart)).results;
    t.equal(both?.detections.length, 4, 'classes that are told apart keep their boxes');
  },
);

t.test('what is confused makes critical pairs, judged by the best label of a box', async (t) => {
  // Every picture holds a truck where the model sees a car, and a truck that it sees.
  const { artifact, dataSet, map } = await setUp(
    t,
    Array.from({ length: 25 }, () => `0${CAR.slice(1)}${TRUCK}`),
  );
  const { results } = await predict(artifact, dataSet, map);
  // A second, weaker label on each box, as a head gives it that is asked for all of them.
  const doubled = results.map(({ objects, detections }) => ({
    objects,
    detections: detections.flatMap((one) => [{ ...one, classId: 2, score: 0.5 }, one]),
  }));
  for (const [name, own] of Object.entries({ results, doubled })) {
    const evaluation = evaluate(own, map, { rounds: 100 });
    t.same(
      evaluation.confusion.counts,
      [
        [25, 25, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
      ],
      name,
    );
    t.match(evaluation.pairs, [{ a: 0, b: 1, confused: 25, support: 50, rate: 0.5, critical: true }]);
    t.ok((evaluation.pairs[0]?.lower ?? 1) < 0.5);
    t.same(evaluation.criticalClasses, [0, 1]);
    t.same(evaluation.criticalAccuracy, { correct: 25, support: 50, value: 0.5 });
    t.equal(evaluation.intervals?.criticalAccuracy.value, 0.5);
    // Another model's pairs can be asked for instead.
    t.equal(evaluate(own, map, { rounds: 0, pairs: [{ a: 1, b: 2 }] }).criticalAccuracy.support, 0);
  }
});

t.test('can be called off; refuses a picture that cannot be read; counts what is not finite', async (t) => {
  const { folder, artifact, dataSet, map } = await setUp(t, [CAR, CAR, CAR]);
  const abort = new AbortController();
  const stopped = predict(
    artifact,
    dataSet,
    map,
    {},
    () => abort.abort(new BitlaneError('TIMEOUT', 'interrupted')),
    abort.signal,
  );
  await t.rejects(stopped, { code: 'TIMEOUT' });
  const broken = await predict(artifactIn(folder, true), dataSet, map);
  t.ok(broken.nonFinite > 0);
  t.same(
    broken.results.map(({ detections }) => detections.length),
    [0, 0, 0],
  );
  writeFileSync(join(folder, 'images', 'val', '1.jpg'), 'this is no picture');
  await t.rejects(predict(artifact, dataSet, map), { code: 'BAD_DATASET', message: /1\.jpg cannot be read/ });
});

t.test('pictures are read upright, as RGB, whatever they are', async (t) => {
  const folder = t.testdir({});
  const halves = sharp(
    Buffer.from([
      ...Array.from({ length: 32 }, () => [250, 10, 10]).flat(),
      ...Array.from({ length: 32 }, () => [10, 10, 250]).flat(),
    ]),
    { raw: { width: 8, height: 8, channels: 3 } },
  );
  await halves.clone().png().toFile(join(folder, 'plain.png'));
  await halves
    .clone()
    .jpeg({ chromaSubsampling: '4:4:4' })
    .withMetadata({ orientation: 6 })
    .toFile(join(folder, 'turned.jpg'));
  await halves.clone().greyscale().png().toFile(join(folder, 'grey.png'));
  await halves.clone().ensureAlpha(0).png().toFile(join(folder, 'clear.png'));
  const pixel = async (name: string, x: number, y: number): Promise<number[]> => {
    const { width, data } = await readPicture(join(folder, name));
    return [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
  };
  t.same(await pixel('plain.png', 0, 0), [250, 10, 10]);
  const [red = 0, , blue = 255] = await pixel('turned.jpg', 7, 0);
  t.ok(red > 200 && blue < 60, 'the top row stands on the right');
  const [r, g, b] = await pixel('grey.png', 0, 0);
  t.ok(r === g && g === b);
  t.same(await pixel('clear.png', 0, 0), [0, 0, 0]);
  t.same(await pictureSize(join(folder, 'plain.png')), { width: 8, height: 8 });
});

t.test('a device is described, and times become quantiles', async (t) => {
  const device = describeDevice();
  t.ok(device.name !== '' && device.cpu !== '' && device.cores >= 1 && device.memoryMb > 0);
  t.equal(device.node, process.version);
  t.same(latencyOf([3, 1, 2]), { p50Ms: 2, p95Ms: 2.9 });
});

t.test(
  'YOLOX-nano on the highway pictures: the figures of an independent evaluator',
  {
    skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') || skipWithout('highway', 'valid', 'images'),
    timeout: 600_000,
  },
  async (t) => {
    const modelPath = requireData('models', 'yolox-nano', 'yolox_nano.onnx');
    const classes = readFileSync(requireData('models', 'yolox-nano', 'coco.names'), 'utf8')
      .trim()
      .split('\n');
    const detector = detectorSpecSchema.parse({
      input: { name: 'images', width: 416, height: 416, colourOrder: 'bgr', letterbox: 'top-left' },
      head: { type: 'yolox', output: 'output' },
      classes,
    });
    const manifest = createManifest(readFileSync(modelPath), { name: 'yolox-nano', detector });
    const dataSet = openDataSet(requireData('highway'));
    const map = mapClasses(classes, dataSet.classes);
    const { results } = await predict(
      { id: manifest.id, modelPath, manifestPath: '', manifest },
      dataSet,
      map,
    );
    const { precision } = evaluate(results, map, { rounds: 0 });
    t.comment(`mAP50 ${precision.map50.toFixed(4)}, mAP50-95 ${precision.map5095.toFixed(4)}`);
    t.equal(results.length, 487);
    t.ok(Math.abs(precision.map50 - 0.658) <= 0.01, `mAP50 is ${precision.map50}`);
    t.ok(Math.abs(precision.map5095 - 0.475) <= 0.01, `mAP50-95 is ${precision.map5095}`);
  },
);
