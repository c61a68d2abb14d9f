// Heads: the same boxes as a naive decoder, over random outputs; what is not finite is counted; wrong shapes are refused.
import fc from 'fast-check';
import t from 'tap';
import { type DetectorSpec, detectorSpecSchema, type HeadSpec } from '../../src/registry/index.js';
import { floatTensor, type Tensors, type ValueInfo, withSession } from '../../src/runtime/index.js';
import { createHead, type Detection } from '../../src/vision/index.js';
import { tinyDetector, type TinyOptions } from '../helpers/tinyModel.js';
import { naiveDecode } from './naive.js';

const CLASSES = ['car', 'truck', 'bus', 'van'];

const specOf = (head: object, classes: number, width = 64, height = 64): DetectorSpec =>
  detectorSpecSchema.parse({
    input: { name: 'images', width, height, colourOrder: 'rgb', letterbox: 'top-left' },
    head,
    classes: CLASSES.slice(0, classes),
  });

/** Uniform numbers in 0..1 by seed (Park and Miller 1988). */
const randomOf = (seed: number): (() => number) => {
  let state = (Math.abs(seed) % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
};

type Values = (row: number, column: number, random: () => number) => number;

/** A tensor of `rows` x `columns`; `poison` is the share of values that are no finite numbers. */
const tensorOf = (rows: number, columns: number, random: () => number, poison: number, values: Values) => {
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < data.length; i += 1) {
    const wrong = [NaN, Infinity, -Infinity][Math.floor(random() * 3)] ?? NaN;
    data[i] = random() < poison ? wrong : values(Math.floor(i / columns), i % columns, random);
  }
  return floatTensor([1, rows, columns], data);
};

const cellsOf = (width: number, height: number, strides: readonly number[]): number[] =>
  strides.map((stride) => Math.ceil(width / stride) * Math.ceil(height / stride));

interface Case {
  readonly spec: DetectorSpec;
  readonly outputs: Tensors;
}

interface Common {
  readonly classes: number;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  readonly poison: number;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const MAKERS: Readonly<Record<HeadSpec['type'], (common: Common, variant: number) => Case>> = {
  yolox: ({ classes, width, height, seed, poison }, variant) => {
    const strides = variant < 2 ? [8, 16, 32] : [16, 64];
    const spec = specOf(
      { type: 'yolox', output: 'o', boxes: variant % 2 === 0 ? 'raw' : 'decoded', strides },
      classes,
      width,
      height,
    );
    const random = randomOf(seed);
    const rows = sum(cellsOf(width, height, strides));
    const values: Values = (_, column, next) =>
      // Some sides overflow, some boxes are turned inside out.
      column < 2 ? next() * 60 : column < 4 ? (next() < 0.05 ? 95 : next() * 5 - 1) : next() * 1.05;
    return { spec, outputs: { o: tensorOf(rows, 5 + classes, random, poison, values) } };
  },
  yolov8: ({ classes, width, height, seed, poison }, variant) => {
    const first = variant % 2 === 0;
    const spec = specOf(
      { type: 'yolov8', output: 'o', layout: first ? 'channels-first' : 'channels-last' },
      classes,
      width,
      height,
    );
    const anchors = 1 + (seed % 150);
    const at = (channel: number, next: () => number): number =>
      channel < 4 ? next() * 64 - 4 : next() * next();
    const random = randomOf(seed);
    const o = first
      ? tensorOf(4 + classes, anchors, random, poison, (row, _, next) => at(row, next))
      : tensorOf(anchors, 4 + classes, random, poison, (_, column, next) => at(column, next));
    return { spec, outputs: { o } };
  },
  'end-to-end': ({ classes, width, height, seed, poison }) => {
    const spec = specOf({ type: 'end-to-end', output: 'o' }, classes, width, height);
    const values: Values = (_, column, next) =>
      column < 4
        ? next() * 64
        : column === 4
          ? next()
          : // Classes that do not exist, and some that are no class at all.
            Math.floor(next() * (classes + 2)) - 1 + (next() < 0.1 ? 0.5 : 0);
    return { spec, outputs: { o: tensorOf(1 + (seed % 120), 6, randomOf(seed), poison, values) } };
  },
  gfl: ({ classes, width, height, seed, poison }, variant) => {
    const strides = [8, 16, 32];
    const random = randomOf(seed);
    const regMax = 1 + (seed % 9);
    const bins = 4 * (regMax + 1);
    const logits = variant % 2 === 0;
    const cells = cellsOf(width, height, strides);
    const score = (next: () => number): number => (logits ? next() * 12 - 9 : next() * next());
    const distance = (next: () => number): number => next() * 40 - 20;
    const split = variant < 2;
    const perStride = split || variant === 2;
    const names = (perStride ? cells : [0]).map((_, i) => `o${i}`);
    const spec = specOf(
      {
        type: 'gfl',
        layout: split ? 'split' : 'joined',
        outputs: names,
        boxOutputs: split ? names.map((name) => `${name}b`) : [],
        strides,
        regMax,
        scores: logits ? 'logits' : 'sigmoid-applied',
        cellOffset: seed % 2 === 0 ? 0 : 0.5,
      },
      classes,
      width,
      height,
    );
    const outputs: Record<string, Tensors[string]> = {};
    const rows = perStride ? cells : [sum(cells)];
    names.forEach((name, i) => {
      const own = rows[i] ?? 0;
      if (split) {
        outputs[name] = tensorOf(own, classes, random, poison, (_, __, next) => score(next));
        outputs[`${name}b`] = tensorOf(own, bins, random, poison, (_, __, next) => distance(next));
      } else {
        outputs[name] = tensorOf(own, classes + bins, random, poison, (_, column, next) =>
          column < classes ? score(next) : distance(next),
        );
      }
    });
    return { spec, outputs };
  },
};

const flat = (detections: readonly Detection[]): number[] =>
  detections.flatMap(({ x1, y1, x2, y2, classId, score }) => [x1, y1, x2, y2, classId, score]);

const isClose = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b));

for (const type of ['yolox', 'yolov8', 'end-to-end', 'gfl'] as const) {
  t.test(`${type}: finds what a naive decoder finds`, async (t) => {
    let [found, broken] = [0, 0];
    fc.assert(
      fc.property(
        fc.record({
          classes: fc.integer({ min: 1, max: 4 }),
          width: fc.integer({ min: 32, max: 100 }),
          height: fc.integer({ min: 32, max: 100 }),
          seed: fc.integer({ min: 0, max: 1e6 }),
          poison: fc.constantFrom(0, 0, 0.002, 0.05, 1),
        }),
        fc.integer({ min: 0, max: 3 }),
        fc.constantFrom(0, 0.01, 0.3, 0.7, 1),
        fc.boolean(),
        fc.constantFrom('best', 'all'),
        (common, variant, threshold, keepSome, labels) => {
          const { spec, outputs } = MAKERS[type](common, variant);
          const keep = spec.classes.map((_, i) => !keepSome || i % 2 === 0);
          const head = createHead(spec);
          const expected = naiveDecode(spec, outputs, threshold, keep, labels);
          const given = keepSome ? Uint8Array.from(keep, Number) : undefined;
          // Twice: a head keeps nothing between pictures.
          for (let round = 0; round < 2; round += 1) {
            const actual = head.decode(outputs, threshold, given, labels);
            const [a, b] = [flat(actual.detections), flat(expected.detections)];
            if (actual.nonFinite !== expected.nonFinite) {
              throw new Error(`${actual.nonFinite} not finite, ${expected.nonFinite} expected`);
            }
            if (a.length !== b.length || !a.every((value, i) => isClose(value, b[i] ?? NaN))) {
              throw new Error(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
            }
          }
          found += expected.detections.length;
          broken += expected.nonFinite;
        },
      ),
      { numRuns: 250 },
    );
    t.ok(found > 100, `${found} detections compared`);
    t.ok(broken > 100, `${broken} values that are not finite`);
  });
}

for (const type of ['yolox', 'yolov8', 'gfl'] as const) {
  t.test(`${type}: a ranked place has its next best class beside it`, async (t) => {
    let rivals = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        (classes, seed, variant, keepSome) => {
          const { spec, outputs } = MAKERS[type](
            { classes, width: 64, height: 48, seed, poison: 0.002 },
            variant,
          );
          const keep = keepSome ? Uint8Array.from(spec.classes, (_, i) => Number(i % 2 === 0)) : undefined;
          const head = createHead(spec);
          const best = head.decode(outputs, 0.3, keep, 'best').detections;
          const ranked = head.decode(outputs, 0.3, keep, 'ranked').detections;
          t.same(flat(ranked), flat(best));
          const all = head.decode(outputs, 0, keep, 'all').detections;
          for (const { x1, y1, x2, y2, classId, score, rival } of ranked) {
            const others = all.filter(
              (other) =>
                other.classId !== classId &&
                [other.x1 - x1, other.y1 - y1, other.x2 - x2, other.y2 - y2].every((gap) => gap === 0),
            );
            const highest = Math.max(...others.map((other) => other.score));
            if (others.length === 0) t.equal(rival, undefined);
            else t.ok(rival?.score === highest && rival.score <= score && rival.classId !== classId);
            rivals += others.length;
          }
        },
      ),
      { numRuns: 100 },
    );
    t.ok(rivals > 100, `${rivals} other classes looked at`);
  });
}

const VARIANTS: readonly TinyOptions[] = [
  { head: 'yolox', yoloxBoxes: 'raw', classes: CLASSES },
  { head: 'yolox', yoloxBoxes: 'decoded', classes: CLASSES },
  { head: 'yolov8', yolov8Layout: 'channels-first', classes: CLASSES },
  { head: 'yolov8', yolov8Layout: 'channels-last', classes: CLASSES, anchors: 40 },
  { head: 'end-to-end', classes: CLASSES },
  { head: 'gfl', gflLayout: 'split', classes: CLASSES },
  { head: 'gfl', gflLayout: 'joined', gflScores: 'logits', classes: CLASSES },
  { head: 'gfl', gflLayout: 'joined-per-stride', regMax: 5, classes: CLASSES },
];
const BOXES = [
  { x1: 4, y1: 8, x2: 30, y2: 28, classId: 0, score: 0.75 },
  { x1: 20.5, y1: 10.25, x2: 60, y2: 50, classId: 2, score: 0.5 },
];

t.test('every head reads the boxes of a real model', async (t) => {
  for (const options of VARIANTS) {
    const tiny = tinyDetector({ ...options, boxes: BOXES });
    await withSession(tiny.bytes, {}, async (session) => {
      const head = createHead(tiny.detector);
      head.checkOutputs(session.outputs);
      const { detections, nonFinite } = head.decode(
        await session.run({ images: floatTensor([1, 3, 64, 64]) }),
        0.25,
      );
      t.equal(nonFinite, 0);
      const sorted = detections.sort((a, b) => b.score - a.score);
      t.ok(
        sorted.length === 2 && flat(sorted).every((value, i) => isClose(value, flat(BOXES)[i] ?? NaN)),
        `${JSON.stringify(tiny.detector.head)}: ${JSON.stringify(sorted)}`,
      );
    });
  }
});

t.test('outputs that do not fit are refused with one sentence', async (t) => {
  const spec = specOf({ type: 'yolox', output: 'output' }, 4);
  const head = createHead(spec);
  const declared = (shape: (number | string)[], type = 'float32', name = 'output'): ValueInfo[] => [
    { name, type, shape },
  ];
  const refused = (outputs: ValueInfo[], message: RegExp): void => {
    t.throws(() => head.checkOutputs(outputs), { code: 'BAD_MODEL', message });
  };
  head.checkOutputs(declared([1, 84, 9]));
  head.checkOutputs(declared(['batch', 'anchors', '']));
  refused(
    declared([1, 84, 10]),
    /output is float32 \[1, 84, 10\] where a yolox head of 4 classes at 64x64 needs float32 \[1, 84, 9\]/,
  );
  refused(declared([1, 85, 9]), /needs/);
  refused(declared([1, 84, 9, 1]), /needs/);
  refused(declared([1, 84, 9], 'float16'), /float16/);
  refused(declared([1, 84, 9], 'float32', 'boxes'), /has no output output \(it has boxes\)/);
  // Declared dynamic, and wrong at run time.
  t.throws(() => head.decode({ output: floatTensor([1, 80, 9]) }, 0.1), { code: 'BAD_MODEL' });
  t.throws(() => head.decode({}, 0.1), { code: 'BAD_MODEL' });
  t.throws(() => createHead(specOf({ type: 'gfl', layout: 'split', outputs: ['a', 'b', 'c'] }, 2)), {
    code: 'BAD_MODEL',
    message: /3 score outputs and 3 distance outputs/,
  });
});
