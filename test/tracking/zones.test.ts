import t from 'tap';
import type { Zone } from '../../src/tracking/scene.js';
import { ZoneWatch } from '../../src/tracking/zones.js';

const square: Zone = {
  name: 'stop',
  polygon: [
    { x: 100, y: 100 },
    { x: 200, y: 100 },
    { x: 200, y: 200 },
    { x: 100, y: 200 },
  ],
};
const WALL = 1_700_000_000_000;

const walk = (xs: readonly number[]): ZoneWatch => {
  const watch = new ZoneWatch();
  for (const [i, x] of xs.entries()) watch.observe([square], { x, y: 150 }, 50, i * 100, WALL + i * 100);
  return watch;
};

t.test('enter, dwell, leave', async (t) => {
  const watch = walk([50, 110, 150, 190, 250, 300]);
  t.same(watch.inside(), []);
  t.same(watch.stays(), [
    { zone: 'stop', enteredMs: WALL + 100, leftMs: WALL + 300, dwellMs: 200, visits: 1 },
  ]);
});

t.test('still in: dwell runs to the last sight', async (t) => {
  const watch = walk([110, 120, 130]);
  t.same(watch.inside(), ['stop']);
  t.match(watch.stays(), [{ dwellMs: 200, visits: 1 }]);
});

t.test('jitter on the edge is one visit, coming back is two', async (t) => {
  const jitter = walk([150, 198, 203, 198, 204, 199, 260]);
  t.match(jitter.stays(), [{ visits: 1, dwellMs: 500 }]);
  const twice = walk([150, 160, 260, 260, 150, 150, 150]);
  t.match(twice.stays(), [{ visits: 2, dwellMs: 300, enteredMs: WALL, leftMs: WALL + 600 }]);
});

t.test('never in: no stay', async (t) => {
  t.same(walk([0, 10, 95, 20]).stays(), []);
});

t.test('a zone that is gone ends the visit and keeps the stay', async (t) => {
  const watch = walk([110, 120, 130]);
  watch.keepOnly([]);
  t.same(watch.inside(), []);
  t.match(watch.stays(), [{ zone: 'stop', dwellMs: 200 }]);
});
