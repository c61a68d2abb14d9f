// The confusion matrix, critical pairs and critical accuracy, by hand.
import fc from 'fast-check';
import t from 'tap';
import {
  classesOf,
  confusedPairs,
  ConfusionMatrix,
  criticalAccuracy,
  criticalAccuracyFigure,
  judgePicture,
  type LabelledObject,
  wilsonLower,
} from '../../src/evaluation/index.js';
import type { Detection } from '../../src/vision/index.js';

const NAMES = ['bus', 'car', 'truck'];
const [BUS, CAR, TRUCK, BACKGROUND] = [0, 1, 2, 3];

const object = (classId: number, x: number, w = 10, crowd = false): LabelledObject => ({
  classId,
  crowd,
  x1: x,
  y1: 0,
  x2: x + w,
  y2: 10,
});
const detection = (classId: number, score: number, x: number, w = 10): Detection => ({
  classId,
  score,
  x1: x,
  y1: 0,
  x2: x + w,
  y2: 10,
});

t.test('objects and detections meet whatever their classes, best overlap first', async (t) => {
  const verdicts = judgePicture(
    {
      objects: [object(CAR, 0), object(TRUCK, 100), object(BUS, 200)],
      detections: [
        detection(TRUCK, 0.9, 2),
        detection(CAR, 0.4, 1),
        detection(TRUCK, 0.31, 100),
        detection(BUS, 0.3, 200),
        detection(BUS, 0.8, 300),
      ],
    },
    NAMES.length,
  );
  t.same(verdicts, [
    { truth: TRUCK, predicted: TRUCK },
    { truth: CAR, predicted: CAR },
    // A score of 0.3 is not above 0.3.
    { truth: BUS, predicted: BACKGROUND },
    // The worse of two detections of the car, and a detection of nothing.
    { truth: BACKGROUND, predicted: TRUCK },
    { truth: BACKGROUND, predicted: BUS },
  ]);
});

t.test('overlap must be greater than the threshold; equal overlaps go by score', async (t) => {
  const half = { objects: [object(CAR, 0)], detections: [detection(CAR, 0.9, 0, 5)] };
  t.same(
    judgePicture(half, 3),
    [
      { truth: CAR, predicted: BACKGROUND },
      { truth: BACKGROUND, predicted: CAR },
    ],
    'IoU 0.5 is not above 0.5',
  );
  t.same(judgePicture(half, 3, { iou: 0.49 }), [{ truth: CAR, predicted: CAR }]);
  const twice = {
    objects: [object(CAR, 0)],
    detections: [detection(CAR, 0.5, 0), detection(TRUCK, 0.8, 0)],
  };
  t.same(judgePicture(twice, 3)[0], { truth: CAR, predicted: TRUCK });
});

t.test('detections in a region to ignore are left out', async (t) => {
  const picture = {
    objects: [object(CAR, 0, 100, true), object(BUS, 40)],
    detections: [detection(CAR, 0.9, 10), detection(CAR, 0.9, 40), detection(TRUCK, 0.9, 96)],
  };
  t.same(judgePicture(picture, 3), [
    { truth: BUS, predicted: CAR },
    { truth: BACKGROUND, predicted: TRUCK },
  ]);
});

t.test('every object and every shown detection is judged exactly once', async (t) => {
  const box = { x: fc.integer({ min: 0, max: 40 }), w: fc.integer({ min: 1, max: 20 }) };
  const classId = fc.integer({ min: 0, max: 2 });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ ...box, classId }), { maxLength: 10 }),
        fc.array(fc.record({ ...box, classId, score: fc.double({ min: 0, max: 1, noNaN: true }) }), {
          maxLength: 10,
        }),
        (objects, detections) => {
          const matrix = ConfusionMatrix.of(
            NAMES,
            judgePicture(
              {
                objects: objects.map((o) => object(o.classId, o.x, o.w)),
                detections: detections.map((d) => detection(d.classId, d.score, d.x, d.w)),
              },
              3,
            ),
          );
          const row = (r: number): number => (matrix.counts[r] ?? []).reduce((sum, n) => sum + n, 0);
          const column = (c: number): number => matrix.counts.reduce((sum, r) => sum + (r[c] ?? 0), 0);
          return [BUS, CAR, TRUCK].every(
            (c) =>
              row(c) === objects.filter((o) => o.classId === c).length &&
              column(c) === detections.filter((d) => d.classId === c && d.score > 0.3).length,
          );
        },
      ),
    ),
  );
});

t.test('a verdict outside the classes is refused', async (t) => {
  t.throws(() => ConfusionMatrix.of(NAMES, [{ truth: 4, predicted: 0 }]), RangeError);
  t.throws(() => ConfusionMatrix.of(NAMES, [{ truth: 0, predicted: -1 }]), RangeError);
});

t.test("Wilson's lower bound", async (t) => {
  // 10 of 100: (0.1 + z²/200 - z sqrt(0.09/100 + z²/40000)) / (1 + z²/100), z = 1.96.
  t.ok(Math.abs(wilsonLower(10, 100) - 0.05522914) < 1e-7, String(wilsonLower(10, 100)));
  t.ok(Math.abs(wilsonLower(1, 1) - 0.20654931) < 1e-7, String(wilsonLower(1, 1)));
  t.equal(wilsonLower(0, 50), 0);
  t.equal(wilsonLower(0, 0), 0);
});

const matrix = new ConfusionMatrix(NAMES, [
  [100, 0, 2, 9],
  [15, 200, 70, 40],
  [30, 15, 230, 10],
  [3, 50, 60, 0],
]);

t.test('critical pairs: mutual confusion, support, Wilson bound', async (t) => {
  const pairs = confusedPairs(matrix);
  t.same(
    pairs.map(({ a, b, aAsB, bAsA, confused, support, critical }) => ({
      a,
      b,
      aAsB,
      bAsA,
      confused,
      support,
      critical,
    })),
    [
      { a: CAR, b: TRUCK, aAsB: 70, bAsA: 15, confused: 85, support: 515, critical: true },
      { a: BUS, b: TRUCK, aAsB: 2, bAsA: 30, confused: 32, support: 362, critical: true },
      { a: BUS, b: CAR, aAsB: 0, bAsA: 15, confused: 15, support: 315, critical: true },
    ],
  );
  t.same(
    pairs.map((pair) => [pair.rate, pair.lower]),
    pairs.map(({ confused, support }) => [confused / support, wilsonLower(confused, support)]),
  );
  t.same(
    confusedPairs(matrix, { minLower: 0.1 }).map(({ critical }) => critical),
    [true, false, false],
  );
  t.same(
    confusedPairs(matrix, { minSupport: 400 }).map(({ critical }) => critical),
    [true, false, false],
  );
  t.same(
    confusedPairs(matrix, { eligible: [true, true, false] }).map(({ a, b }) => [a, b]),
    [[BUS, CAR]],
  );
  t.same(classesOf(pairs), [BUS, CAR, TRUCK]);
  t.same(confusedPairs(new ConfusionMatrix(NAMES, [[5]])), [], 'no confusion, no pairs');
});

t.test('critical accuracy speaks of matched objects taken for one of the classes', async (t) => {
  const verdicts = [
    { truth: CAR, predicted: CAR },
    { truth: CAR, predicted: TRUCK },
    { truth: CAR, predicted: TRUCK },
    { truth: TRUCK, predicted: TRUCK },
    { truth: CAR, predicted: BUS },
    { truth: TRUCK, predicted: BACKGROUND },
    { truth: BACKGROUND, predicted: CAR },
  ];
  t.same(criticalAccuracy(verdicts, [CAR, TRUCK]), { correct: 2, support: 4, value: 0.5 });
  t.same(criticalAccuracy(verdicts, []), { correct: 0, support: 0, value: null });
  const figure = criticalAccuracyFigure([verdicts.slice(0, 1), verdicts.slice(1)], [CAR, TRUCK]);
  t.equal(figure(Int32Array.of(1, 1)), 0.5);
  t.equal(figure(Int32Array.of(3, 1)), 4 / 6);
  t.ok(Number.isNaN(figure(Int32Array.of(0, 0))));
});
