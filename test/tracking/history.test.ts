import fc from 'fast-check';
import t from 'tap';
import { flips, Path, Ring } from '../../src/tracking/history.js';

t.test('a ring is the tail of everything pushed, also when it is resized', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(
        fc.oneof(fc.record({ push: fc.integer() }), fc.record({ resize: fc.integer({ min: 1, max: 8 }) })),
        { maxLength: 60 },
      ),
      (capacity, steps) => {
        const ring = new Ring<number>(capacity);
        let model: number[] = [];
        let size = capacity;
        for (const step of steps) {
          if ('push' in step) {
            ring.push(step.push);
            model = [...model, step.push].slice(-size);
          } else {
            ring.resize(step.resize);
            size = step.resize;
            model = model.slice(-size);
          }
          if (JSON.stringify(ring.toArray()) !== JSON.stringify(model)) return false;
        }
        return true;
      },
    ),
    { numRuns: 500 },
  );
});

t.test('flips are changes between samples that follow each other', async (t) => {
  const box = { x1: 0, y1: 0, x2: 1, y2: 1 };
  const sample = (seq: number, className: string, score: number) => ({
    seq,
    wallMs: seq * 40,
    className,
    score,
    box,
  });
  t.same(flips([]), []);
  t.same(flips([sample(1, 'car', 0.5)]), []);
  t.same(
    flips([sample(1, 'car', 0.5), sample(2, 'car', 0.6), sample(5, 'truck', 0.4), sample(6, 'car', 0.7)]),
    [
      { seq: 5, wallMs: 200, from: 'car', to: 'truck', fromScore: 0.6, toScore: 0.4 },
      { seq: 6, wallMs: 240, from: 'truck', to: 'car', fromScore: 0.4, toScore: 0.7 },
    ],
  );
});

t.test('a path keeps its ends, its order and its bound', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), (length) => {
      const path = new Path();
      for (let i = 0; i < length; i++) path.add({ x: i, y: 0, wallMs: i });
      const points = path.points().map(({ x }) => x);
      const gaps = points.slice(1).map((x, i) => x - (points[i] ?? 0));
      return (
        points[0] === 0 &&
        points.at(-1) === length - 1 &&
        points.length <= 64 &&
        points.length >= Math.min(length, 32) &&
        gaps.every((gap) => gap > 0) &&
        new Set(gaps.slice(0, -1)).size <= 1
      );
    }),
  );
  t.same(new Path().points(), []);
});
