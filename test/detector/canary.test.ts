// The canary's rules, on answers made up for the purpose.
import fc from 'fast-check';
import t from 'tap';
import { CanaryRecord } from '../../src/detector/canary.js';
import { type CanaryRules, countFound, type FrameResult } from '../../src/detector/index.js';
import type { Detection } from '../../src/vision/index.js';

const rules: CanaryRules = { frames: 3, timeoutMs: 1_000, maxLatencyRatio: 2, minAgreement: 0.8 };
const classes = { serving: ['car', 'bus'], candidate: ['bus', 'truck', 'car'] };

const box = (x1: number, classId: number, score = 0.9): Detection => ({
  x1,
  y1: 0,
  x2: x1 + 10,
  y2: 10,
  classId,
  score,
});

const answer = (
  seq: number,
  detections: readonly Detection[],
  inferenceMs = 10,
  nonFinite = 0,
): FrameResult => ({
  generation: 1,
  artifactId: 'a',
  frame: {
    seq,
    receivedAtMs: 0,
    wallMs: 0,
    format: 'rgb24',
    width: 640,
    height: 360,
    data: new Uint8Array(0),
  },
  detections,
  nonFinite,
  timings: { preprocessMs: 1, inferenceMs, postprocessMs: 1 },
  totalMs: 20,
});

const watch = (overrides: Partial<CanaryRules> = {}) => {
  const verdicts: (string | undefined)[] = [];
  const record = new CanaryRecord({ ...rules, ...overrides }, classes, (problem) => verdicts.push(problem));
  return { record, verdicts };
};

t.test('objects are matched by the name of their class and their place', async (t) => {
  const serving = [box(0, 0), box(20, 1), box(40, 0), box(60, 0, 0.4)];
  const count = (candidate: Detection[]): number => countFound(serving, candidate, classes).found;
  t.equal(countFound(serving, [], classes).confident, 3, 'what the model is unsure of does not count');
  t.equal(count([box(0, 2), box(20, 0), box(40, 2)]), 3, 'same names, other indices');
  t.equal(count([box(0, 0), box(20, 1), box(40, 1)]), 0, 'same indices, other names');
  t.equal(count([box(2, 2, 0.11)]), 1, 'near enough, at any score');
  t.equal(count([box(5, 2)]), 0, 'a third of an overlap is not the same place');
  t.equal(countFound([box(0, 0), box(1, 0)], [box(0, 2)], classes).found, 1, 'one box stands for one object');
});

t.test('a model always agrees with itself', async (t) => {
  const detection = fc
    .record({
      x: fc.integer({ min: 0, max: 60 }),
      classId: fc.integer({ min: 0, max: 1 }),
      score: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(({ x, classId, score }) => box(x * 10, classId, score));
  fc.assert(
    fc.property(fc.array(detection, { maxLength: 40 }), (detections) => {
      const same = { serving: classes.serving, candidate: classes.serving };
      const { confident, found } = countFound(detections, detections, same);
      return confident === found;
    }),
  );
  t.pass('on 100 generated pictures');
});

t.test('only frames that both have answered count', async (t) => {
  const { record, verdicts } = watch();
  for (const seq of [1, 2, 4, 7]) record.addServing(answer(seq, [box(0, 0)]));
  for (const seq of [2, 3, 4]) record.addCandidate(answer(seq, [box(0, 2)]));
  t.same(verdicts, []);
  record.addCandidate(answer(7, [box(0, 2)]));
  record.addCandidate(answer(8, [], 10, 5));
  t.same(verdicts, [undefined], 'one verdict');
});

t.test('a slow candidate, one that disagrees and one that is not finite are refused', async (t) => {
  for (const [detections, ms, nonFinite, overrides, verdict] of [
    [[box(0, 2)], 30, 0, {}, /32\.0 ms a frame, more than 2 times the 12\.0 ms/],
    [[box(0, 0)], 10, 0, {}, /finds 0 of the 3 objects that the serving model is sure of/],
    [[box(0, 0)], 10, 0, { minAgreement: 0 }, undefined],
    [[box(0, 2)], 10, 4, {}, /4 values that are not finite/],
    [[box(0, 2)], 10, 0, {}, undefined],
  ] as const) {
    const { record, verdicts } = watch(overrides);
    for (const seq of [1, 2, 3]) {
      record.addCandidate(answer(seq, detections, ms, nonFinite));
      record.addServing(answer(seq, [box(0, 0)]));
    }
    t.equal(verdicts.length, 1);
    if (verdict === undefined) t.equal(verdicts[0], undefined);
    else t.match(verdicts[0], verdict);
  }
  const { record, verdicts } = watch();
  for (const seq of [1, 2, 3]) {
    record.addServing(answer(seq, []));
    record.addCandidate(answer(seq, []));
  }
  t.same(verdicts, [undefined], 'an empty road is no disagreement');
});
