// Suppression: the same boxes as a naive one; bounded, deterministic.
import fc from 'fast-check';
import t from 'tap';
import { type Detection, MAX_CANDIDATES, nonMaxSuppression } from '../../src/vision/index.js';
import { naiveSuppression } from './naive.js';

const detection = fc
  .record({
    x: fc.integer({ min: 0, max: 40 }),
    y: fc.integer({ min: 0, max: 40 }),
    w: fc.integer({ min: 1, max: 30 }),
    h: fc.integer({ min: 1, max: 30 }),
    classId: fc.integer({ min: 0, max: 2 }),
    // Few different scores: ties are the rule.
    score: fc.integer({ min: 0, max: 10 }),
  })
  .map(({ x, y, w, h, classId, score }): Detection => ({
    x1: x,
    y1: y,
    x2: x + w,
    y2: y + h,
    classId,
    score: score / 10,
  }));

t.test('keeps what a naive suppression keeps, ties included', async (t) => {
  let suppressed = 0;
  fc.assert(
    fc.property(
      fc.array(detection, { maxLength: 60 }),
      fc.constantFrom(0, 0.3, 0.45, 0.65, 1),
      fc.integer({ min: 1, max: 40 }),
      (detections, iouThreshold, maxDetections) => {
        const before = JSON.stringify(detections);
        const kept = nonMaxSuppression(detections, { iouThreshold, maxDetections });
        const expected = naiveSuppression(detections, iouThreshold, maxDetections);
        suppressed += detections.length - kept.length;
        return JSON.stringify(kept) === JSON.stringify(expected) && JSON.stringify(detections) === before;
      },
    ),
    { numRuns: 500 },
  );
  t.ok(suppressed > 100, `${suppressed} suppressed`);
});

t.test('a picture full of boxes is bounded', async (t) => {
  const many = Array.from({ length: MAX_CANDIDATES + 500 }, (_, i): Detection => ({
    x1: 10 * i,
    y1: 0,
    x2: 10 * i + 5,
    y2: 5,
    classId: 0,
    score: i / 10_000,
  }));
  const kept = nonMaxSuppression(many, { iouThreshold: 0.5, maxDetections: 10_000 });
  t.equal(kept.length, MAX_CANDIDATES);
  t.equal(kept[0]?.score, (MAX_CANDIDATES + 499) / 10_000, 'the best are kept');
});
