import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ExampleLibrary } from '../../src/examples/index.js';
import { silentLog } from '../../src/system/index.js';
import { example, folderOf, jpegOf, MODEL, openLibrary, rules } from './parts.js';

const DAY_MS = 86_400_000;

const bytesIn = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

t.test('what is stored is there again after a restart, as it was', async (t) => {
  const state = folderOf(t);
  const { library } = await openLibrary(t, state);
  const track = {
    key: 'boot-7',
    frames: 20,
    votes: [
      { className: 'truck', frames: 15 },
      { className: 'car', frames: 5 },
    ],
    history: [{ wallMs: 5, className: 'truck', score: 0.5 }],
  };
  const presumed = { className: 'truck', source: 'track', confidence: 0.9 } as const;
  const [stored] = await library.add([example({ track, presumed, reason: 'flip' })]);
  t.ok(stored);
  const again = (await openLibrary(t, state)).library;
  t.same(again.list(), [stored]);
  t.match(stored, { reason: 'flip', track, presumed, label: null, object: { className: 'car', score: 0.5 } });
  t.same(await again.picture(stored?.id ?? ''), Buffer.from(example().jpeg));
  t.same(again.size, { examples: 1, bytes: example().jpeg.length });
});

t.test('the caps hold at every moment: bytes, examples of a pair, age', async (t) => {
  const state = folderOf(t);
  let nowMs = Date.UTC(2026, 4, 4);
  const picture = jpegOf(64);
  const maxMb = (20.5 * picture.length) / 1e6;
  const { library } = await openLibrary(t, state, { maxMb, perPair: 15, maxAgeDays: 2 }, () => nowMs);
  const add = (pair: string, count: number) =>
    library.add(Array.from({ length: count }, () => example({ pair, takenMs: nowMs, jpeg: picture })));
  const countOf = (pair: string): number => library.list({ pair }).length;
  await add('bus:car', 3);
  for (let round = 0; round < 30; round += 1) {
    nowMs += 60_000;
    await add('car:truck', 5);
    t.ok(bytesIn(library.folder) <= maxMb * 1e6, 'the pictures keep within their bytes');
    t.ok(countOf('car:truck') <= 15);
  }
  t.equal(countOf('bus:car'), 3, 'a busy pair does not push out a rare one');
  await add('bus:truck', 15);
  t.equal(countOf('bus:car'), 3, 'nor does another busy one');
  t.ok(Math.abs(countOf('car:truck') - countOf('bus:truck')) <= 1, 'these two share what is left');
  t.equal(library.size.bytes, bytesIn(library.folder));
  nowMs += 3 * DAY_MS;
  await library.prune();
  t.same(library.size, { examples: 0, bytes: 0 });
  t.same(readdirSync(library.folder), []);
});

t.test('a full reservoir takes fewer and fewer', async (t) => {
  const { library } = await openLibrary(t, folderOf(t), { perPair: 10 });
  for (let round = 0; round < 50; round += 1) await library.add([example(), example(), example(), example()]);
  const { stored, passedOver } = library.counters;
  t.equal(stored + passedOver, 200);
  // 10 (1 + ln(200 / 10)) = 40 in the mean.
  t.ok(stored > 15 && stored < 80, `${stored} of 200 were written`);
});

t.test('no more of a pair in an hour than is allowed', async (t) => {
  let nowMs = Date.now();
  const { library } = await openLibrary(t, folderOf(t), { perHour: 3 }, () => nowMs);
  const add = () => library.add([1, 2, 3, 4, 5].map(() => example({ takenMs: nowMs })));
  t.equal((await add()).length, 3);
  nowMs += 1_800_000;
  t.equal((await add()).length, 0);
  t.equal((await library.add([example({ pair: 'bus:car', takenMs: nowMs })])).length, 1, 'another pair may');
  nowMs += 1_900_000;
  t.equal((await add()).length, 3);
});

t.test('nothing is stored while the disk has less free than the reserve', async (t) => {
  const { library } = await openLibrary(t, folderOf(t), { reserveMb: 1e9 });
  t.same(await library.add([example(), example()]), []);
  t.equal(library.counters.refusedByReserve, 2);
  t.same(readdirSync(library.folder), []);
  await library.configure({ ...rules, reserveMb: 0 });
  t.equal((await library.add([example()])).length, 1);
});

t.test('a start sweeps away what a kill or a power cut left', async (t) => {
  const state = folderOf(t);
  const { library } = await openLibrary(t, state);
  const [whole, torn, gone] = await library.add([example(), example(), example()]);
  const path = (id = ''): string => join(library.folder, `${id}.jpg`);
  writeFileSync(path(torn?.id), example().jpeg.subarray(0, 100));
  writeFileSync(path('20260504-081457-4f1c2a'), 'a picture without a row');
  writeFileSync(join(library.folder, 'something'), 'else');
  const { rmSync } = await import('node:fs');
  rmSync(path(gone?.id));
  const { library: again } = await openLibrary(t, state);
  t.same(
    again.list().map(({ id }) => id),
    [whole?.id],
  );
  t.same(readdirSync(library.folder), [`${whole?.id}.jpg`]);
});

t.test('labels: kept, taken back, and the operator wins over what was presumed', async (t) => {
  const { library, store } = await openLibrary(t, folderOf(t));
  const track = {
    key: 'boot-7',
    frames: 10,
    votes: [
      { className: 'truck', frames: 8 },
      { className: 'car', frames: 2 },
    ],
    history: [],
  };
  const presumed = { className: 'truck', source: 'track', confidence: 0.9 } as const;
  const [tracked, single] = await library.add([example({ track, presumed }), example()]);
  const rows = () =>
    store.observations
      .since(0)
      .map(({ source, predicted, presumed, weight }) => [source, predicted, presumed, weight]);
  library.label(tracked?.id ?? '', { className: 'car' });
  t.same(rows(), [
    ['operator', 'truck', 'car', 0.8],
    ['operator', 'car', 'car', 0.2],
  ]);
  library.label(tracked?.id ?? '', { className: null });
  t.same(rows(), [
    ['operator', 'truck', '', 0.8],
    ['operator', 'car', '', 0.2],
  ]);
  library.label(tracked?.id ?? '', null);
  t.same(
    rows().map(([source, predicted, presumed]) => [source, predicted, presumed]),
    [
      ['track', 'truck', 'truck'],
      ['track', 'car', 'truck'],
    ],
    'what was presumed counts again',
  );
  const box = { x1: 9, y1: 9, x2: 31, y2: 31 };
  library.label(single?.id ?? '', { className: 'truck', box });
  t.same(rows().at(-1), ['operator', 'car', 'truck', 1]);
  t.match(library.get(single?.id ?? '').label, { className: 'truck', box });
  t.equal(library.list({ labelled: true }).length, 1);
  t.equal(library.list({ labelled: false }).length, 1);
  t.throws(() => library.label('20260504-081457-4f1c2a', null), { code: 'BAD_COMMAND' });
  t.throws(() => library.picturePath('../../etc/passwd'), { code: 'BAD_COMMAND' });
});

t.test('labelled examples stay when others must go, and are purged only when asked', async (t) => {
  const picture = jpegOf(64);
  const { library } = await openLibrary(t, folderOf(t), {
    maxMb: (4.5 * picture.length) / 1e6,
    perPair: 2,
  });
  const make = () => example({ jpeg: picture });
  for (const one of await library.add([make(), make()])) library.label(one.id, { className: 'truck' });
  for (let round = 0; round < 10; round += 1) await library.add([make(), make()]);
  t.equal(library.list({ labelled: true }).length, 2);
  t.equal(library.list({ labelled: false }).length, 2);
  t.match(await library.purge({ pair: 'bus:car' }), { examples: 0 });
  t.match(await library.purge({}), { examples: 2 });
  const [first, second] = library.list();
  t.match(await library.purge({ ids: [first?.id ?? ''] }), { examples: 1, bytes: picture.length });
  t.notOk(existsSync(library.picturePath(first?.id ?? '')));
  t.match(await library.purge({ labelled: true, beforeMs: Date.now() + 1 }), { examples: 1 });
  t.notOk(existsSync(library.picturePath(second?.id ?? '')));
});

t.test('a page begins where the one before ended, also among examples of one moment', async (t) => {
  const { library } = await openLibrary(t, folderOf(t));
  const nowMs = Date.now();
  for (const ageMs of [5000, 0, 0, 0, 9000]) await library.add([example({ takenMs: nowMs - ageMs })]);
  const all = library.list().map(({ id }) => id);
  const pages: string[] = [];
  for (let before: string | undefined; ;) {
    const page = library.list({ limit: 2, ...(before === undefined ? {} : { before }) });
    pages.push(...page.map(({ id }) => id));
    before = page.at(-1)?.id;
    if (page.length < 2) break;
  }
  t.same(pages, all);
  t.same(
    [...library.all()].map(({ id }) => id),
    all,
  );
  t.equal(all.length, 5);
});

t.test(
  'a disk that takes nothing: nothing is stored, nothing is left behind, and it is counted',
  async (t) => {
    const { library, store } = await openLibrary(t, folderOf(t));
    store.close();
    t.same(await library.add([example()]), []);
    t.equal(library.counters.failed, 1);
    t.same(readdirSync(library.folder), []);
  },
);

t.test('a row that is none of ours is passed over', async (t) => {
  const { store, library } = await openLibrary(t, folderOf(t));
  store.examples.add(
    [{ id: '20260504-081457-4f1c2a', takenMs: 0, pair: 'a:b', bytes: 1, body: `{"model":"${MODEL}"}` }],
    [],
  );
  t.same(library.list(), []);
  const other = new ExampleLibrary({ stateDir: '/nowhere', store, rules, log: silentLog });
  t.throws(() => other.get('20260504-081457-4f1c2a'), { code: 'BAD_COMMAND' });
});
