import fc from 'fast-check';
import t from 'tap';
import {
  alongSegment,
  distanceToPolygon,
  insidePolygon,
  overlap,
  referencePoint,
  signedDistance,
} from '../../src/tracking/geometry.js';

t.test('overlap', async (t) => {
  const a = { x1: 0, y1: 0, x2: 10, y2: 10 };
  t.equal(overlap(a, a), 1);
  t.equal(overlap(a, { x1: 5, y1: 0, x2: 15, y2: 10 }), 1 / 3);
  t.equal(overlap(a, { x1: 10, y1: 0, x2: 20, y2: 10 }), 0);
  t.equal(overlap(a, { x1: 0, y1: 30, x2: 10, y2: 40 }), 0);
});

t.test('the reference point is the middle of the lower edge', async (t) => {
  t.same(referencePoint({ x1: 10, y1: 20, x2: 30, y2: 50 }), { x: 20, y: 50 });
});

t.test('right of a line that is drawn from left to right is below it', async (t) => {
  const line = { from: { x: 0, y: 100 }, to: { x: 200, y: 100 } };
  t.equal(signedDistance(line, { x: 50, y: 130 }), 30);
  t.equal(signedDistance(line, { x: 50, y: 60 }), -40);
  t.equal(alongSegment(line, { x: 50, y: 60 }), 0.25);
  t.equal(signedDistance({ from: line.to, to: line.from }, { x: 50, y: 130 }), -30);
});

t.test('points in polygons', async (t) => {
  const arrow = [
    { x: 0, y: 0 },
    { x: 10, y: 0 },
    { x: 5, y: 5 },
    { x: 10, y: 10 },
    { x: 0, y: 10 },
  ];
  t.ok(insidePolygon(arrow, { x: 2, y: 5 }));
  t.notOk(insidePolygon(arrow, { x: 8, y: 5 }), 'in the notch');
  t.notOk(insidePolygon(arrow, { x: -1, y: 5 }));
  t.notOk(insidePolygon(arrow, { x: 2, y: 11 }));
  t.equal(distanceToPolygon(arrow, { x: -3, y: 4 }), 3);
  t.equal(distanceToPolygon(arrow, { x: 13, y: -4 }), 5);
  t.equal(distanceToPolygon([...arrow, { x: 0, y: 10 }], { x: 0, y: 12 }), 2, 'an edge of no length');
});

const coordinate = fc.integer({ min: -100, max: 100 });
const corner = fc.record({ x: coordinate, y: coordinate });

t.test('polygons agree with the winding angle', async () => {
  fc.assert(
    fc.property(corner, corner, corner, fc.record({ x: coordinate, y: coordinate }), (a, b, c, p) => {
      const turn = (u: typeof a, v: typeof a): number =>
        (u.x - p.x) * (v.y - p.y) - (u.y - p.y) * (v.x - p.x);
      const turns = [turn(a, b), turn(b, c), turn(c, a)];
      fc.pre(turns.every((value) => value !== 0));
      const inside = turns.every((value) => value > 0) || turns.every((value) => value < 0);
      return insidePolygon([a, b, c], p) === inside;
    }),
    { numRuns: 1000 },
  );
});

t.test('polygons side by side share no point', async () => {
  fc.assert(
    fc.property(corner, corner, corner, corner, corner, (a, b, c, d, p) => {
      const side = (q: typeof a): number => (b.x - a.x) * (q.y - a.y) - (b.y - a.y) * (q.x - a.x);
      fc.pre(side(c) > 0 && side(d) < 0);
      return !(insidePolygon([a, b, c], p) && insidePolygon([a, b, d], p));
    }),
    { numRuns: 1000 },
  );
});
