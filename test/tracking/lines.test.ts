import fc from 'fast-check';
import t from 'tap';
import { LineWatch } from '../../src/tracking/lines.js';
import { layScene } from '../../src/tracking/scene.js';

const SCALE = 100;
/** In a frame of 1000 x 1000: y = 500, from x = 200 to x = 800. */
const across = { name: 'a', from: [0.2, 0.5], to: [0.8, 0.5], forward: 'down', backward: 'up' } as const;
const lay = (...lines: Parameters<typeof layScene>[0]) => layScene(lines, [], 1000, 1000).lines;
const lines = lay({ ...across, from: [0.2, 0.5], to: [0.8, 0.5] });

const walk = (points: readonly (readonly [number, number])[], over = lines) => {
  const watch = new LineWatch();
  return points.flatMap(([x, y], index) => watch.observe(over, { x, y }, SCALE, index * 100));
};

t.test('forward is from left to right, seen from `from` to `to`', async (t) => {
  t.same(
    walk([
      [500, 400],
      [500, 600],
    ]),
    [{ line: 'a', direction: 'down', atMs: 50 }],
  );
  t.match(
    walk([
      [500, 600],
      [500, 400],
    ]),
    [{ direction: 'up' }],
  );
  const upright = lay({ ...across, from: [0.5, 0.9], to: [0.5, 0.1], forward: 'east', backward: 'west' });
  t.match(
    walk(
      [
        [400, 500],
        [600, 500],
      ],
      upright,
    ),
    [{ direction: 'east' }],
  );
});

t.test('it is a segment: passing its ends is no crossing, but the side is noted', async (t) => {
  t.same(
    walk([
      [900, 400],
      [900, 600],
    ]),
    [],
  );
  t.match(
    walk([
      [900, 400],
      [900, 600],
      [500, 600],
      [500, 400],
    ]),
    [{ direction: 'up' }],
  );
});

t.test('time and place are those of the passage, not of the frame that settled it', async (t) => {
  t.same(
    walk([
      [500, 400],
      [500, 495],
      [500, 505],
      [500, 509],
      [500, 530],
    ]).map(({ atMs }) => atMs),
    [150],
  );
  t.same(
    walk([
      [790, 495],
      [790, 505],
      [850, 520],
    ]).length,
    1,
    'it was on the segment when it passed',
  );
});

t.test('jitter on the line counts nothing, driving on counts once', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -9.9, max: 9.9, noNaN: true }), { maxLength: 100 }),
      fc.boolean(),
      (jitter, leaves) => {
        const crossings = walk([
          [500, 400],
          [500, 450],
          ...jitter.map((dy): [number, number] => [500, 500 + dy]),
          ...(leaves ? ([[500, 540]] as const) : []),
        ]);
        return crossings.length === (leaves ? 1 : 0);
      },
    ),
  );
  t.same(walk(Array.from({ length: 40 }, (_, i): [number, number] => [500, i % 2 === 0 ? 492 : 508])), []);
});

t.test('a second crossing needs the vehicle to have really gone back', async (t) => {
  const there: [number, number][] = [
    [500, 400],
    [500, 520],
  ];
  t.equal(walk([...there, [500, 450], [500, 520], [500, 420], [500, 560]]).length, 1, 'a swaying box');
  t.match(walk([...there, [500, 560], [500, 450], [500, 390]]), [{ direction: 'down' }, { direction: 'up' }]);
  t.match(walk([...there, [500, 390], [500, 610]]), [
    { direction: 'down' },
    { direction: 'up' },
    { direction: 'down' },
  ]);
});

t.test('directions of one line always alternate', async () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.double({ min: 250, max: 750, noNaN: true }),
          fc.double({ min: 100, max: 900, noNaN: true }),
        ),
        { maxLength: 60 },
      ),
      (points) => {
        const directions = walk(points).map(({ direction }) => direction);
        return directions.every((direction, i) => i === 0 || direction !== directions[i - 1]);
      },
    ),
  );
});

t.test('lines laid end to end count a vehicle once', async () => {
  const lanes = lay(
    { ...across, name: 'l', from: [0, 0.5], to: [0.4, 0.5] },
    { ...across, name: 'm', from: [0.4, 0.5], to: [0.7, 0.5] },
    { ...across, name: 'r', from: [0.7, 0.5], to: [1, 0.5] },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 999 }),
      fc.integer({ min: 0, max: 999 }),
      (x1, x2) =>
        walk(
          [
            [x1, 350],
            [x2, 650],
          ],
          lanes,
        ).length === 1,
    ),
  );
  t.match(
    walk(
      [
        [400, 350],
        [400, 650],
      ],
      lanes,
    ),
    [{ line: 'm' }],
  );
});

t.test('a line that moves begins anew, one that is gone is forgotten', async (t) => {
  const watch = new LineWatch();
  const higher = lay({ ...across, from: [0.2, 0.3], to: [0.8, 0.3] });
  watch.observe(lines, { x: 500, y: 400 }, SCALE, 0);
  t.same(
    watch.observe(higher, { x: 500, y: 410 }, SCALE, 100),
    [],
    'it did not jump over the line: the line moved',
  );
  t.match(watch.observe(higher, { x: 500, y: 200 }, SCALE, 200), [{ direction: 'up' }]);
  watch.keepOnly([]);
  watch.observe([], { x: 500, y: 200 }, SCALE, 300);
  watch.observe([], { x: 500, y: 400 }, SCALE, 400);
  t.same(watch.observe(higher, { x: 500, y: 400 }, SCALE, 500), []);
  t.match(watch.observe(higher, { x: 500, y: 200 }, SCALE, 600), [{ direction: 'up' }]);
});

t.test('a line of no length counts nothing', async (t) => {
  const point = lay({ ...across, from: [0.5, 0.5], to: [0.5, 0.5] });
  t.same(point, []);
});
