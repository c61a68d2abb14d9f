// The pipeline: a picture through a real model to boxes in its own pixels, against the naive whole path.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { BitlaneError } from '../../src/errors.js';
import { detectorSpecSchema } from '../../src/registry/index.js';
import { floatTensor, withSession } from '../../src/runtime/index.js';
import {
  type Detection,
  encodeJpeg,
  iou,
  type LetterboxTransform,
  type Picture,
  Pipeline,
  Preprocessor,
  toFrame,
  toInput,
} from '../../src/vision/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector, type TinyOptions } from '../helpers/tinyModel.js';
import { naiveDecode, naiveSuppression } from './naive.js';

const CLASSES = ['car', 'truck', 'bus'];
const OPTIONS = { scoreThreshold: 0.25, iouThreshold: 0.5, maxDetections: 100 };
const BOXES = [
  { x1: 10, y1: 8, x2: 30, y2: 28, classId: 0, score: 0.9 },
  { x1: 11, y1: 9, x2: 31, y2: 28, classId: 0, score: 0.8 },
  { x1: 11, y1: 9, x2: 31, y2: 28, classId: 1, score: 0.7 },
  { x1: 40, y1: 20, x2: 62, y2: 33, classId: 2, score: 0.5 },
  { x1: 40, y1: 4, x2: 50, y2: 12, classId: 2, score: 0.1 },
];

const grey = (width: number, height: number): Picture => ({
  format: 'rgb24',
  width,
  height,
  data: new Uint8Array(3 * width * height).fill(128),
});

const isClose = (a: readonly Detection[], b: readonly Detection[], tolerance: number): boolean =>
  a.length === b.length &&
  a.every((one, i) => {
    const other = b[i];
    return (
      other !== undefined &&
      one.classId === other.classId &&
      (['x1', 'y1', 'x2', 'y2', 'score'] as const).every(
        (key) => Math.abs(one[key] - other[key]) <= tolerance,
      )
    );
  });

t.test('boxes come back in pixels of the picture, whatever its size and the head', async (t) => {
  const heads: TinyOptions[] = [
    { head: 'yolox', classes: CLASSES },
    { head: 'yolov8', classes: CLASSES },
    { head: 'gfl', gflLayout: 'split', classes: CLASSES },
  ];
  for (const options of heads) {
    const tiny = tinyDetector({ ...options, boxes: BOXES });
    await withSession(tiny.bytes, {}, async (session) => {
      const pipeline = new Pipeline(session, tiny.detector, OPTIONS);
      // The last one is larger than the first memory, and the first comes again after it.
      for (const [width, height] of [
        [64, 64],
        [640, 360],
        [33, 97],
        [3000, 2500],
        [64, 64],
      ] as const) {
        const { detections, nonFinite, timings } = await pipeline.detect(grey(width, height));
        const transform = new Preprocessor().preprocess(
          grey(width, height),
          tiny.detector.input,
          new Float32Array(3 * 64 * 64),
        );
        const expected = [BOXES[0], BOXES[2], BOXES[3]]
          .filter((box) => box !== undefined)
          .map(({ classId, score, ...box }) => ({
            ...toFrame(box, transform, { width, height }),
            classId,
            score,
          }))
          .filter((box) => box.x2 > box.x1 && box.y2 > box.y1);
        t.ok(isClose(detections, expected, 0.02), `${options.head} ${width}x${height}`);
        t.equal(nonFinite, 0);
        t.ok(Object.values(timings).every((value) => value >= 0));
      }
    });
  }
});

t.test('an end-to-end model is not suppressed again; classes can be chosen; the best are kept', async (t) => {
  const tiny = tinyDetector({ head: 'end-to-end', classes: CLASSES, boxes: BOXES });
  await withSession(tiny.bytes, {}, async (session) => {
    const scores = async (options: object): Promise<number[]> =>
      (
        await new Pipeline(session, tiny.detector, { ...OPTIONS, ...options }).detect(grey(64, 64))
      ).detections.map(({ score }) => Number(score.toFixed(3)));
    t.same(await scores({}), [0.9, 0.8, 0.7, 0.5]);
    t.same(await scores({ classes: ['car', 'tram'] }), [0.9, 0.8]);
    t.same(await scores({ classes: [] }), []);
    t.same(await scores({ maxDetections: 2 }), [0.9, 0.8]);
    t.same(await scores({ scoreThreshold: 0.75 }), [0.9, 0.8]);
  });
});

t.test('calls that overlap do not mix their pictures', async (t) => {
  // An output that follows the input: the mean of the picture decides whether the run fails.
  const tiny = tinyDetector({ head: 'yolov8', classes: CLASSES, boxes: BOXES, failAbove: 0.5 });
  await withSession(tiny.bytes, {}, async (session) => {
    const pipeline = new Pipeline(session, tiny.detector, OPTIONS);
    const black: Picture = { ...grey(64, 64), data: new Uint8Array(3 * 64 * 64) };
    const results = await Promise.allSettled(
      [black, grey(64, 64), black, grey(64, 64), black].map((picture) => pipeline.detect(picture)),
    );
    t.same(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
    );
  });
});

t.test(
  'a model that is not what the manifest says is refused; a bad frame is, too, and the next one works',
  async (t) => {
    const tiny = tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES });
    const refuse = async (options: Partial<TinyOptions>, message: RegExp): Promise<void> => {
      const other = tinyDetector({ head: 'yolox', classes: CLASSES, ...options });
      await withSession(other.bytes, {}, (session) => {
        t.throws(() => new Pipeline(session, tiny.detector, OPTIONS), { code: 'BAD_MODEL', message });
      });
    };
    await refuse({ inputName: 'x' }, /must have the one input images, and has x/);
    await refuse({ extraInput: true }, /has images, extra/);
    await refuse({ inputType: 'float16' }, /float16 \[1, 3, 64, 64\] where the manifest says float32/);
    await refuse({ inputType: 'uint8' }, /is uint8 \[1, 64, 64, 3\] where the manifest says float32/);
    await refuse({ size: 96 }, /\[1, 3, 96, 96\]/);
    await refuse({ outputClasses: 7 }, /yolox head of 3 classes/);
    await withSession(tiny.bytes, {}, async (session) => {
      const pipeline = new Pipeline(session, tiny.detector, OPTIONS);
      const short: Picture = { ...grey(64, 64), data: new Uint8Array(5) };
      await t.rejects(pipeline.detect(short), { code: 'BAD_FRAME' });
      t.equal((await pipeline.detect(grey(64, 64))).detections.length, 3);
    });
  },
);

t.test('outputs that are no numbers are counted and become nothing', async (t) => {
  const tiny = tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES, nan: true });
  await withSession(tiny.bytes, {}, async (session) => {
    const result = await new Pipeline(session, tiny.detector, OPTIONS).detect(grey(64, 64));
    t.same(result.detections, []);
    t.equal(result.nonFinite, 84 * 8);
  });
});

t.test('a box goes into the input and back', async (t) => {
  fc.assert(
    fc.property(
      fc.record({
        width: fc.integer({ min: 1, max: 500 }),
        height: fc.integer({ min: 1, max: 500 }),
        letterbox: fc.constantFrom('top-left', 'centre', 'stretch'),
        corners: fc.tuple(...Array.from({ length: 4 }, () => fc.double({ min: 0, max: 1, noNaN: true }))),
      }),
      ({ width, height, letterbox, corners }) => {
        const { input } = detectorSpecSchema.parse({
          input: { name: 'i', width: 64, height: 96, colourOrder: 'rgb', letterbox },
          head: { type: 'end-to-end', output: 'o' },
          classes: ['car'],
        });
        const transform: LetterboxTransform = new Preprocessor({ simd: false }).preprocess(
          grey(width, height),
          input,
          new Float32Array(3 * 64 * 96),
        );
        const [a = 0, b = 0, c = 0, d = 0] = corners;
        const box = {
          x1: Math.min(a, b) * width,
          y1: Math.min(c, d) * height,
          x2: Math.max(a, b) * width,
          y2: Math.max(c, d) * height,
        };
        const inside = toInput(box, transform);
        const back = toFrame(inside, transform, { width, height });
        const lies = (value: number, side: number): boolean => value >= -1e-6 && value <= side + 1e-6;
        return (
          lies(inside.x1, 64) &&
          lies(inside.x2, 64) &&
          lies(inside.y1, 96) &&
          lies(inside.y2, 96) &&
          (['x1', 'y1', 'x2', 'y2'] as const).every((key) => Math.abs(back[key] - box[key]) < 1e-6)
        );
      },
    ),
    { numRuns: 150 },
  );
  t.pass();
});

t.test(
  'YOLOX-nano: the whole path gives what the naive one gives',
  {
    skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') || skipWithout('junction-frames', '001.jpg'),
  },
  async (t) => {
    const classes = readFileSync(requireData('models', 'yolox-nano', 'coco.names'), 'utf8')
      .trim()
      .split('\n');
    const spec = detectorSpecSchema.parse({
      input: { name: 'images', width: 416, height: 416, colourOrder: 'bgr', letterbox: 'top-left' },
      head: { type: 'yolox', output: 'output' },
      classes,
    });
    const jpeg = readFileSync(requireData('junction-frames', '001.jpg'));
    const picture: Picture = { format: 'jpeg', width: 640, height: 360, data: jpeg };
    await withSession(requireData('models', 'yolox-nano', 'yolox_nano.onnx'), {}, async (session) => {
      const pipeline = new Pipeline(session, spec, OPTIONS);
      const { detections } = await pipeline.detect(picture);
      const tensor = new Float32Array(3 * 416 * 416);
      const transform = new Preprocessor({ simd: false }).preprocess(picture, spec.input, tensor);
      const outputs = await session.run({ images: floatTensor([1, 3, 416, 416], tensor) });
      const naive = naiveSuppression(naiveDecode(spec, outputs, 0.25).detections, 0.5, 100).map((box) => ({
        ...box,
        ...toFrame(box, transform, picture),
      }));
      t.ok(detections.length > 3, `${detections.length} detections`);
      t.ok(isClose(detections, naive, 0.5), 'the same boxes');
      t.same(await pipeline.detect(picture).then((again) => again.detections), detections, 'every time');
      t.ok(
        detections.some(({ classId }) => ['car', 'truck', 'bus'].includes(classes[classId] ?? '')),
        'vehicles',
      );
      for (const [i, one] of detections.entries()) {
        for (const other of detections.slice(i + 1)) {
          if (one.classId === other.classId && iou(one, other) > 0.55) t.fail('two boxes of one thing');
        }
      }
    });
  },
);

t.test('a JPEG goes through as it comes', async (t) => {
  const tiny = tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES });
  const data = encodeJpeg({ format: 'rgb24', width: 128, height: 64, data: grey(128, 64).data }, 90);
  await withSession(tiny.bytes, {}, async (session) => {
    const pipeline = new Pipeline(session, tiny.detector, OPTIONS);
    const { detections } = await pipeline.detect({ format: 'jpeg', width: 128, height: 64, data });
    t.equal(detections.length, 3);
    const torn: Picture = { format: 'jpeg', width: 128, height: 64, data: data.subarray(0, 100) };
    const error: unknown = await pipeline.detect(torn).catch((thrown: unknown) => thrown);
    t.ok(error instanceof BitlaneError && error.code === 'BAD_FRAME');
  });
});
