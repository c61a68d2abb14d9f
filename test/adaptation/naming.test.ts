// Agreement of two models about names.
import fc from 'fast-check';
import t from 'tap';
import { countNamed } from '../../src/adaptation/naming.js';
import type { Detection } from '../../src/vision/index.js';

const names = { one: ['car', 'truck'], other: ['truck', 'bus', 'car'] };
const box = (x: number, classId: number, score: number): Detection => ({
  x1: x,
  y1: 0,
  x2: x + 10,
  y2: 10,
  classId,
  score,
});

t.test('what a model is surest of is what it says', (t) => {
  const car = [box(0, 0, 0.9)];
  t.same(countNamed(car, [box(1, 2, 0.02)], names), { sure: 1, same: 1 }, 'however sure');
  t.same(countNamed(car, [box(1, 2, 0.4), box(0, 0, 0.5)], names), { sure: 1, same: 0 }, 'surer of a truck');
  t.same(countNamed(car, [box(8, 2, 0.9)], names), { sure: 1, same: 0 }, 'another place');
  t.same(countNamed(car, [], names), { sure: 1, same: 0 });
  t.same(countNamed([box(0, 0, 0.4)], [box(0, 2, 0.9)], names), { sure: 0, same: 0 }, 'it is not sure');
  const torn = [box(0, 0, 0.8), box(1, 1, 0.7)];
  t.same(countNamed(torn, [box(0, 2, 0.9)], names), { sure: 1, same: 1 }, 'one thing, one name');
  t.end();
});

t.test('a model agrees with itself, and with nobody whose names are others', (t) => {
  const detection = fc.record({
    x: fc.integer({ min: 0, max: 300 }),
    classId: fc.integer({ min: 0, max: 1 }),
    score: fc.double({ min: 0.01, max: 1, noNaN: true }),
  });
  const classes = names.one;
  fc.assert(
    fc.property(fc.array(detection, { maxLength: 12 }), (all) => {
      const seen = all.map(({ x, classId, score }) => box(x, classId, score));
      const own = countNamed(seen, seen, { one: classes, other: classes });
      const swapped = countNamed(seen, seen, { one: classes, other: ['truck', 'car'] });
      return own.same === own.sure && swapped.same === 0 && swapped.sure === own.sure;
    }),
  );
  t.end();
});
