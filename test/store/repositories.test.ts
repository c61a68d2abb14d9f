// Key-value pairs and starts, on a real SQLite file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { openStore, type Store } from '../../src/store/index.js';

const folderOf = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-store-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
const open = (t: Test, path: string): Store => {
  const store = openStore(path);
  t.teardown(() => store.close());
  return store;
};

t.test('key-value: over a restart, replaced whole, checked when read', async (t) => {
  const path = join(folderOf(t), 'bitlane.db');
  const schema = z.strictObject({ version: z.int() });
  let store = open(t, path);
  t.equal(store.keyValue.get('a', schema), undefined);
  store.keyValue.set('a', { version: 1 });
  store.keyValue.set('a', { version: 2 });
  store.close();
  store = open(t, path);
  t.same(store.keyValue.get('a', schema), { version: 2 });
  t.equal(store.keyValue.get('a', z.string()), undefined, 'what no longer fits is not there');
  t.throws(() => store.keyValue.set('a', 'x'.repeat(1_100_000)), { code: 'STORE_FAILED' });
  t.throws(() => store.keyValue.set('a', undefined), { code: 'STORE_FAILED' });
  t.same(store.keyValue.get('a', schema), { version: 2 }, 'the old value stays');
  t.throws(
    () =>
      store.keyValue.atomically(() => {
        store.keyValue.set('a', { version: 3 });
        throw new Error('half way');
      }),
    { code: 'STORE_FAILED' },
  );
  t.same(store.keyValue.get('a', schema), { version: 2 }, 'all or nothing');
  store.keyValue.delete('a');
  t.equal(store.keyValue.get('a', schema), undefined);
});

t.test('boots: counted over restarts, a clean end is told from none', async (t) => {
  const path = join(folderOf(t), 'bitlane.db');
  let store = open(t, path);
  const first = store.boots.begin('1.0.0');
  store.boots.end(first.id);
  const second = store.boots.begin('1.0.1');
  store.close();
  store = open(t, path);
  const third = store.boots.begin('1.0.1');
  t.same(
    [first, second, third].map(({ number }) => number),
    [1, 2, 3],
  );
  t.equal(new Set([first.id, second.id, third.id]).size, 3);
  t.match(store.boots.list(), [
    { number: 3, stoppedMs: null },
    { number: 2, stoppedMs: null },
    { number: 1, version: '1.0.0', stoppedMs: Number },
  ]);
  t.equal(store.boots.list(1).length, 1);
});
