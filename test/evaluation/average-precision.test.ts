// Average precision: by hand, and against a second implementation written from the definition alone.
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  IOU_THRESHOLDS,
  type LabelledObject,
  MatchTable,
  matchPicture,
  type PictureResult,
} from '../../src/evaluation/index.js';
import type { Detection } from '../../src/vision/index.js';

const object = (
  classId: number,
  x: number,
  y: number,
  w: number,
  h: number,
  crowd = false,
): LabelledObject => ({
  classId,
  crowd,
  x1: x,
  y1: y,
  x2: x + w,
  y2: y + h,
});
const detection = (
  classId: number,
  score: number,
  x: number,
  y: number,
  w: number,
  h: number,
): Detection => ({
  classId,
  score,
  x1: x,
  y1: y,
  x2: x + w,
  y2: y + h,
});

const tableOf = (pictures: readonly PictureResult[], classes: number, maxDetections?: number): MatchTable =>
  new MatchTable(pictures.map((picture) => matchPicture(picture, classes, maxDetections)));

const close = (t: Test, found: number, wanted: number, what: string): void => {
  t.ok(Math.abs(found - wanted) < 1e-12, `${what}: ${found} is ${wanted}`);
};

t.test('thresholds', async (t) => {
  t.equal(IOU_THRESHOLDS.length, 10);
  t.equal(IOU_THRESHOLDS[0], 0.5);
  t.equal(IOU_THRESHOLDS[9], 0.95);
});

t.test('one object found with IoU 0.62 counts at three of ten thresholds', async (t) => {
  const table = tableOf(
    [{ objects: [object(0, 0, 0, 10, 10)], detections: [detection(0, 0.9, 0, 0, 10, 6.2)] }],
    1,
  );
  close(t, table.map50(), 1, 'mAP50');
  close(t, table.map5095(), 0.3, 'mAP50-95');
});

t.test('a false alarm between two finds', async (t) => {
  const table = tableOf(
    [
      {
        objects: [object(0, 0, 0, 10, 10), object(0, 100, 0, 10, 10)],
        detections: [
          detection(0, 0.9, 0, 0, 10, 10),
          detection(0, 0.8, 50, 50, 10, 10),
          detection(0, 0.7, 100, 0, 10, 10),
        ],
      },
    ],
    1,
  );
  // Recall 0 to 0.50 at precision 1, 0.51 to 1 at precision 2/3.
  close(t, table.map50(), (51 + 50 * (2 / 3)) / 101, 'mAP50');
});

t.test('a second detection of the same object is a false alarm', async (t) => {
  const table = tableOf(
    [
      {
        objects: [object(0, 0, 0, 10, 10), object(0, 50, 0, 10, 10)],
        detections: [detection(0, 0.9, 0, 0, 10, 10), detection(0, 0.8, 0, 0, 10, 9)],
      },
    ],
    1,
  );
  close(t, table.map50(), 51 / 101, 'mAP50');
});

t.test('detections in a crowd region count neither way, and prefer an object', async (t) => {
  const table = tableOf(
    [
      {
        objects: [object(0, 0, 0, 100, 100, true), object(0, 200, 0, 10, 10)],
        detections: [
          detection(0, 0.9, 10, 10, 10, 10),
          detection(0, 0.8, 40, 40, 10, 10),
          detection(0, 0.7, 200, 0, 10, 10),
        ],
      },
      {
        objects: [object(0, 0, 0, 10, 10), object(0, 0, 0, 50, 50, true)],
        detections: [detection(0, 0.6, 0, 0, 10, 10)],
      },
    ],
    1,
  );
  close(t, table.map50(), 1, 'mAP50');
  t.equal(table.summary().classes[0]?.objects, 2, 'crowd regions are no objects');
});

t.test('at most so many detections of a class and picture', async (t) => {
  const picture = {
    objects: [object(0, 0, 0, 10, 10)],
    detections: [
      ...Array.from({ length: 100 }, () => detection(0, 0.9, 50, 50, 10, 10)),
      detection(0, 0.1, 0, 0, 10, 10),
    ],
  };
  close(t, tableOf([picture], 1).map50(), 0, '100 by default');
  close(t, tableOf([picture], 1, 300).map50(), 1 / 101, '300 when asked');
});

t.test('a class without objects, and one that does not count, stay out of the mean', async (t) => {
  const matches = [
    matchPicture(
      {
        objects: [object(0, 0, 0, 10, 10), object(2, 50, 0, 10, 10)],
        detections: [detection(0, 0.9, 0, 0, 10, 10), detection(1, 0.9, 20, 20, 10, 10)],
      },
      3,
    ),
  ];
  close(t, new MatchTable(matches).map50(), 0.5, 'two classes with objects');
  const counted = new MatchTable(matches, [true, true, false]);
  close(t, counted.map50(), 1, 'one of them');
  t.same(counted.summary().classes, [
    { objects: 1, ap50: 1, ap5095: 1 },
    { objects: 0, ap50: null, ap5095: null },
    { objects: 1, ap50: null, ap5095: null },
  ]);
  t.ok(Number.isNaN(new MatchTable([]).map50()), 'no pictures, no figure');
});

// --- the second implementation: slow, straight from the definition ---

const naiveOverlap = (d: Detection, o: LabelledObject): number => {
  const w = Math.max(0, Math.min(d.x2, o.x2) - Math.max(d.x1, o.x1));
  const h = Math.max(0, Math.min(d.y2, o.y2) - Math.max(d.y1, o.y1));
  const areaD = (d.x2 - d.x1) * (d.y2 - d.y1);
  const areaO = (o.x2 - o.x1) * (o.y2 - o.y1);
  return w * h === 0 ? 0 : (w * h) / (o.crowd ? areaD : areaD + areaO - w * h);
};

/** AP of one class at one threshold: every detection judged in one long list, precision looked up for each recall point. */
const naiveAp = (
  pictures: readonly PictureResult[],
  classId: number,
  threshold: number,
  max: number,
): number => {
  const judged: { score: number; hit: boolean }[] = [];
  let total = 0;
  for (const { objects, detections } of pictures) {
    const free = objects.filter((o) => o.classId === classId && !o.crowd);
    const crowds = objects.filter((o) => o.classId === classId && o.crowd);
    total += free.length;
    const ranked = detections
      .filter((d) => d.classId === classId)
      .map((d, index) => ({ d, index }))
      .sort((a, b) => b.d.score - a.d.score || a.index - b.index)
      .slice(0, max);
    for (const { d } of ranked) {
      const overlaps = free.map((o) => naiveOverlap(d, o));
      const best = Math.max(-1, ...overlaps);
      if (best >= threshold) {
        free.splice(overlaps.lastIndexOf(best), 1);
        judged.push({ score: d.score, hit: true });
      } else if (!crowds.some((o) => naiveOverlap(d, o) >= threshold))
        judged.push({ score: d.score, hit: false });
    }
  }
  const list = judged.map((entry, index) => ({ ...entry, index }));
  list.sort((a, b) => b.score - a.score || a.index - b.index);
  const curve = list.map((_, end) => {
    const hits = list.slice(0, end + 1).filter((entry) => entry.hit).length;
    return { recall: hits / total, precision: hits / (end + 1) };
  });
  let sum = 0;
  for (let point = 0; point <= 100; point += 1) {
    // COCO's recall points are multiples of the double 0.01.
    const reached = curve.filter(({ recall }) => recall >= (point === 100 ? 1 : point * 0.01));
    sum += Math.max(0, ...reached.map(({ precision }) => precision));
  }
  return total === 0 ? Number.NaN : sum / 101;
};

const CLASSES = 3;
const boxArbitrary = {
  classId: fc.integer({ min: 0, max: CLASSES - 1 }),
  x: fc.integer({ min: 0, max: 5 }),
  y: fc.integer({ min: 0, max: 5 }),
  w: fc.integer({ min: 4, max: 9 }),
  h: fc.integer({ min: 4, max: 9 }),
};
const pictureArbitrary: fc.Arbitrary<PictureResult> = fc.record({
  objects: fc.array(
    fc
      .record({ ...boxArbitrary, crowd: fc.integer({ min: 0, max: 4 }).map((n) => n === 0) })
      .map(({ classId, x, y, w, h, crowd }) => object(classId, x, y, w, h, crowd)),
    { maxLength: 8 },
  ),
  detections: fc.array(
    fc
      // Few scores, so that there are ties.
      .record({ ...boxArbitrary, score: fc.integer({ min: 1, max: 12 }) })
      .map(({ classId, x, y, w, h, score }) => detection(classId, score / 12, x, y, w, h)),
    { maxLength: 12 },
  ),
});

t.test('equals the naive implementation', async (t) => {
  let compared = 0;
  fc.assert(
    fc.property(
      fc.array(pictureArbitrary, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (pictures, max) => {
        const table = tableOf(pictures, CLASSES, max);
        const all: number[] = [];
        for (let classId = 0; classId < CLASSES; classId += 1) {
          for (const [index, threshold] of IOU_THRESHOLDS.entries()) {
            const wanted = naiveAp(pictures, classId, threshold, max);
            const found = table.averagePrecision(classId, index);
            if (Number.isNaN(wanted) !== Number.isNaN(found)) return false;
            if (Math.abs(wanted - found) > 1e-12) return false;
            if (!Number.isNaN(wanted)) all.push(wanted);
            compared += wanted > 0 ? 1 : 0;
          }
        }
        const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
        return all.length === 0 ? Number.isNaN(table.map5095()) : Math.abs(table.map5095() - mean) < 1e-12;
      },
    ),
    { numRuns: 300 },
  );
  t.ok(compared > 500, `${compared} figures above zero were compared`);
});

t.test('a picture of weight n counts as n equal pictures', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(pictureArbitrary, fc.integer({ min: 0, max: 3 })), { minLength: 1, maxLength: 5 }),
        (weighted) => {
          // Scores that never tie: the order among equal scores is a matter of taste that copies would change.
          let n = 0;
          const pictures = weighted.map(([picture, weight]) => ({
            weight,
            picture: {
              ...picture,
              detections: picture.detections.map((d) => ({ ...d, score: d.score + (n += 1) * 1e-6 })),
            },
          }));
          const table = tableOf(
            pictures.map(({ picture }) => picture),
            CLASSES,
          );
          const copies = pictures.flatMap(({ picture, weight }) =>
            new Array<PictureResult>(weight).fill(picture),
          );
          const wanted = tableOf(copies, CLASSES);
          const weights = Int32Array.from(pictures, ({ weight }) => weight);
          const same = (a: number, b: number): boolean =>
            (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) < 1e-12;
          return same(table.map50(weights), wanted.map50()) && same(table.map5095(weights), wanted.map5095());
        },
      ),
      { numRuns: 200 },
    ),
  );
});
