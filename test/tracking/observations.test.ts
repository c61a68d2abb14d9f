import fc from 'fast-check';
import t from 'tap';
import { admit } from '../../src/tracking/observations.js';

const frame = { seq: 0, receivedAtMs: 0, wallMs: 0, width: 640, height: 360 };
const classes = ['car', 'truck'];
const box = { x1: 100, y1: 100, x2: 180, y2: 160 };

t.test('what is no detection is rejected and counted', async (t) => {
  const bad = [
    { ...box, score: NaN, classId: 0 },
    { ...box, score: 1.5, classId: 0 },
    { ...box, score: -0.1, classId: 0 },
    { ...box, score: 0.9, classId: 2 },
    { ...box, score: 0.9, classId: -1 },
    { ...box, score: 0.9, classId: 0.5 },
    { ...box, score: 0.9, classId: NaN },
    { ...box, x1: NaN, score: 0.9, classId: 0 },
    { ...box, y2: Infinity, score: 0.9, classId: 0 },
    { ...box, x2: 100, score: 0.9, classId: 0 },
    { ...box, x2: 100.5, score: 0.9, classId: 0 },
    { ...box, x1: 180, x2: 100, score: 0.9, classId: 0 },
    { x1: 700, y1: 10, x2: 800, y2: 50, score: 0.9, classId: 0 },
  ];
  for (const detection of bad) {
    t.match(admit([detection], classes, frame, 0.1), { observations: [], rejected: 1, merged: 0 });
  }
  const { observations, rejected } = admit([...bad, { ...box, score: 0.9, classId: 1 }], classes, frame, 0.1);
  t.equal(rejected, bad.length);
  t.match(observations, [{ className: 'truck', detection: bad.length, score: 0.9 }]);
});

t.test('scores below the low threshold are left out silently, boxes are clipped to the frame', async (t) => {
  const admitted = admit(
    [
      { ...box, score: 0.09, classId: 0 },
      { x1: -1e9, y1: -50, x2: 1e9, y2: 1e9, score: 0.5, classId: 0 },
    ],
    classes,
    frame,
    0.1,
  );
  t.match(admitted, { rejected: 0, merged: 0 });
  t.same(
    admitted.observations.map(({ box }) => box),
    [{ x1: 0, y1: 0, x2: 640, y2: 360 }],
  );
});

t.test('a vehicle seen as two classes is one object with a rival', async (t) => {
  const other = { ...box, x1: 104, y2: 163 };
  const admitted = admit(
    [
      { ...other, score: 0.5, classId: 1 },
      { ...box, score: 0.6, classId: 0 },
      { ...box, score: 0.3, classId: 1 },
      { x1: 300, y1: 100, x2: 380, y2: 160, score: 0.7, classId: 0 },
    ],
    classes,
    frame,
    0.1,
  );
  t.match(admitted, {
    merged: 2,
    observations: [
      { className: 'car', score: 0.7, rivals: [] },
      { className: 'car', score: 0.6, detection: 1, box, rivals: [{ className: 'truck', score: 0.5 }] },
    ],
  });
  t.equal(admitted.observations[1]?.rivals.length, 1);
});

t.test('vehicles that hide each other in part stay two', async (t) => {
  const half = { ...box, x1: 130, x2: 210 };
  const { observations } = admit(
    [
      { ...box, score: 0.6, classId: 0 },
      { ...half, score: 0.5, classId: 1 },
    ],
    classes,
    frame,
    0.1,
  );
  t.equal(observations.length, 2);
});

t.test('small and cut objects speak less clearly', async (t) => {
  const clarity = (x1: number, y1: number, x2: number, y2: number): number =>
    admit([{ x1, y1, x2, y2, score: 0.9, classId: 0 }], classes, frame, 0.1).observations[0]?.clarity ?? NaN;
  t.equal(clarity(100, 100, 200, 200), 1);
  const small = clarity(100, 100, 130, 120);
  t.ok(small > 0.3 && small < 1);
  t.equal(clarity(100, 100, 103, 103), 0.3);
  for (const [x, y] of [
    [0, 100],
    [540, 100],
    [100, 0],
    [100, 260],
  ] as const) {
    t.equal(clarity(x, y, x + 100, y + 100), 0.3, `cut at ${x}, ${y}`);
  }
});

t.test('whatever comes in, clean boxes come out', async () => {
  const anything = fc.oneof(
    fc.double(),
    fc.double({ min: -100, max: 800, noNaN: true }),
    fc.constantFrom(NaN, Infinity, -Infinity, 0, 640, 1e308),
  );
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          x1: anything,
          y1: anything,
          x2: anything,
          y2: anything,
          score: fc.oneof(anything, fc.double({ min: 0, max: 1, noNaN: true })),
          classId: fc.oneof(anything, fc.constantFrom(0, 1)),
        }),
        { maxLength: 20 },
      ),
      (detections) => {
        const { observations, rejected, merged } = admit(detections, classes, frame, 0);
        return (
          observations.length + rejected + merged === detections.length &&
          observations.every(
            ({ box, score, clarity, className }) =>
              box.x1 >= 0 &&
              box.y1 >= 0 &&
              box.x2 <= 640 &&
              box.y2 <= 360 &&
              box.x2 - box.x1 >= 1 &&
              box.y2 - box.y1 >= 1 &&
              score >= 0 &&
              score <= 1 &&
              clarity > 0 &&
              clarity <= 1 &&
              classes.includes(className),
          )
        );
      },
    ),
    { numRuns: 1000 },
  );
});
