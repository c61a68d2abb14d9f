// Masks over a change: on the changes of the daemon, with a part that takes long.
import t from 'tap';
import { diffConfig, parseConfig } from '../../src/config/index.js';
import { Changes, type Takers } from '../../src/daemon/changes.js';
import { Masks } from '../../src/daemon/masks.js';
import { silentLog } from '../../src/system/index.js';

type Corner = [number, number];
const square = (at: number): Corner[] => [
  [at, 0],
  [at + 0.1, 0],
  [at + 0.1, 0.1],
];
const configOf = (at: number, threads: number) =>
  parseConfig({
    camera: { kind: 'replay', path: '/a' },
    detector: { threads },
    masks: [{ name: 'one', polygon: square(at) }],
  });
const [previous, wanted] = [configOf(0, 1), configOf(0.5, 2)];
const frame = () => ({ receivedAtMs: performance.now() });
/** The clock has to move on between two frames. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

const begin = (masks: Masks) => {
  let finish: (error?: Error) => void = () => undefined;
  const detector = (config: unknown): Promise<void> | void => {
    if (config !== wanted) return;
    return new Promise((resolve, reject) => {
      finish = (error) => (error === undefined ? resolve() : reject(error));
    });
  };
  const changes = new Changes({ detector } as unknown as Takers, masks, silentLog);
  const over = changes.take({
    version: 1,
    config: wanted,
    previous,
    diff: diffConfig(previous, wanted),
    accept: () => undefined,
    reject: () => undefined,
  });
  return { over, finish: (error?: Error) => finish(error) };
};

t.test('both while a part takes long; then the new ones, over what came before still both', async (t) => {
  const masks = new Masks(previous);
  const early = frame();
  t.same(masks.over(early), [square(0)]);
  const change = begin(masks);
  await pause();
  const during = frame();
  t.same(masks.over(during), [square(0), square(0.5)], 'at once');
  t.same(masks.over(early), [square(0), square(0.5)]);
  change.finish();
  await change.over;
  await pause();
  t.same(masks.over(frame()), [square(0.5)]);
  for (const before of [early, during]) {
    const polygons = JSON.stringify(masks.over(before));
    for (const at of [0, 0.5]) t.ok(polygons.includes(JSON.stringify(square(at))), 'of another view, maybe');
  }
});

t.test('taken back: the old ones', async (t) => {
  const masks = new Masks(previous);
  const change = begin(masks);
  await pause();
  t.same(masks.over(frame()), [square(0), square(0.5)]);
  change.finish(new Error('no'));
  await change.over;
  await pause();
  t.same(masks.over(frame()), [square(0)]);
});
