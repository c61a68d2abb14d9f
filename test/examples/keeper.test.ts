import { readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Example, ExampleKeeper, type KeeperRules } from '../../src/examples/index.js';
import { silentLog } from '../../src/system/index.js';
import { decodeJpeg, encodeJpeg, type Frame, type MaskPolygon } from '../../src/vision/index.js';
import { folderOf, MODEL, openLibrary, rules } from './parts.js';

const CLASSES = ['car', 'truck'];
const grey = { format: 'rgb24', width: 200, height: 100, data: new Uint8Array(60_000).fill(200) } as const;
const jpeg = encodeJpeg(grey, 95);

const frameOf = (seq: number, data: Uint8Array = jpeg): Frame => ({
  seq,
  receivedAtMs: 1000 * seq,
  // As a camera stamps them: not whole.
  wallMs: Date.now() + 0.25,
  format: 'jpeg',
  width: 200,
  height: 100,
  data,
});

const open = async (
  t: Test,
  change: Partial<KeeperRules['examples']> = {},
  masks: readonly MaskPolygon[] = [],
) => {
  const { library, store } = await openLibrary(t, folderOf(t));
  const keeper = new ExampleKeeper({
    library,
    store,
    rules: { examples: { ...rules, ...change }, windowMs: 86_400_000 },
    masks: () => masks,
    log: silentLog,
    run: 'boot',
  });
  t.teardown(() => keeper.stop());
  const stored: Example[] = [];
  keeper.on('stored', (example) => stored.push(example));
  /** One vehicle that the model cannot tell from a truck, for some frames. */
  const show = (seq: number, id = 1, data?: Uint8Array): void => {
    const rival = { classId: 1, score: 0.58 };
    keeper.see(frameOf(seq, data), {
      model: MODEL,
      classes: CLASSES,
      detections: [
        { x1: 80, y1: 40, x2: 120, y2: 60, classId: 0, score: 0.6, rival },
        { x1: 10, y1: 10, x2: 30, y2: 30, classId: 1, score: 0.9 },
      ],
      tracks: [{ id, detection: 0, className: 'car', share: 0.9, framesSeen: seq }],
    });
  };
  const end = (id = 1): void =>
    keeper.end([
      { id, className: 'car', share: 0.9, framesSeen: 20, framesLost: 0, lastSeenMs: Date.now() + 0.25 },
    ]);
  return { keeper, library, store, stored, show, end };
};

t.test('a hard moment becomes a picture on the disk, masked, once its track is over', async (t) => {
  const left = [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
    [0, 1],
  ] as const;
  const { keeper, library, store, stored, show, end } = await open(t, {}, [left]);
  for (let seq = 1; seq <= 20; seq += 1) show(seq);
  await keeper.flush();
  t.same(stored, [], 'not before');
  end();
  await keeper.stop();
  t.equal(stored.length, 1);
  const [example] = stored;
  t.match(example, {
    reason: 'margin',
    pair: 'car:truck',
    // A quarter of its sides on every side.
    picture: { width: 60, height: 30, left: 70, top: 35, frame: { width: 200, height: 100 } },
    object: { x1: 10, y1: 5, x2: 50, y2: 25, className: 'car' },
    others: [],
    track: { key: 'boot-1', frames: 20 },
    presumed: { className: 'car', source: 'track' },
  });
  const picture = decodeJpeg(await library.picture(example?.id ?? ''));
  t.same([picture.width, picture.height], [60, 30]);
  const [masked, open_] = [picture.data[3 * (15 * 60 + 10)] ?? 0, picture.data[3 * (15 * 60 + 50)] ?? 0];
  t.ok(masked < 20 && open_ > 180, `masked is ${masked}, beside it ${open_}`);
  t.match(store.observations.since(0), [
    { source: 'track', predicted: 'car', presumed: 'car', about: 'boot-1' },
  ]);
});

t.test('whole frames where they are allowed', async (t) => {
  const { keeper, stored, show, end } = await open(t, { wholeFrames: true });
  show(1);
  end();
  await keeper.stop();
  t.match(stored, [
    {
      picture: { width: 200, height: 100, left: 0, top: 0 },
      object: { x1: 80, y1: 40 },
      others: [{ x1: 10 }],
    },
  ]);
});

t.test('switched off: no picture, but what is confused is still observed', async (t) => {
  const { keeper, library, store, stored, show, end } = await open(t, { enabled: false });
  for (let seq = 1; seq <= 20; seq += 1) show(seq);
  end();
  await keeper.stop();
  t.same(stored, []);
  t.same(readdirSync(library.folder), []);
  t.equal(store.observations.since(0).length, 1);
});

t.test(
  'a burst takes a few pictures and counts the others; a torn frame takes none and is counted',
  async (t) => {
    const { keeper, stored, show, end } = await open(t);
    for (let id = 1; id <= 30; id += 1) show(1, id);
    for (let id = 1; id <= 30; id += 1) end(id);
    await keeper.stop();
    t.equal(keeper.counters.found, 30);
    t.equal(stored.length + keeper.counters.dropped, 30);
    t.ok(stored.length >= 1 && stored.length <= 4, `${stored.length} pictures`);

    const torn = await open(t);
    torn.show(1, 1, jpeg.subarray(0, 200));
    torn.end();
    await torn.keeper.stop();
    t.same(torn.stored, []);
    t.equal(torn.keeper.counters.dropped, 1);
  },
);

t.test('the word of a teacher is kept at once', async (t) => {
  const { keeper, stored, store } = await open(t);
  const detections = [{ x1: 80, y1: 40, x2: 120, y2: 60, classId: 0, score: 0.6 }];
  const serving = { model: MODEL, classes: CLASSES, detections };
  const teacher = { model: 'b'.repeat(64), classes: ['truck', 'car'], detections };
  t.match(keeper.hear(frameOf(3), serving, teacher), { both: 1, agreed: 0 });
  await keeper.stop();
  t.match(stored, [{ reason: 'teacher', presumed: { className: 'truck', source: 'teacher' }, track: null }]);
  t.match(store.observations.since(0), [
    { source: 'teacher', predicted: 'car', presumed: 'truck', weight: 0.6 },
  ]);
});
