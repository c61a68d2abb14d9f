import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { migrate } from '../../src/store/migrations.js';
import { Outbox, type OutboxKind, openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';

const bootId = 'b';
const bodies = (outbox: Outbox): string[] => outbox.peek(0, 10_000).map(({ body }) => body);
/** A second connection that sets the file's largest size: SQLite's own full disk. */
const limited = (pages: number) => {
  const db = new Database(':memory:');
  db.pragma('page_size = 4096');
  migrate(db, ':memory:');
  db.pragma(`max_page_count = ${pages}`);
  return { db, outbox: new Outbox(db, { maxRows: 10_000, maxBytes: 1e9, log: silentLog }) };
};

t.test('rows come back in order, page by page, until they are acknowledged', async (t) => {
  const path = join(t.testdir({}), 'state', 'store.db');
  let store = openStore(path);
  const seqs = ['a', 'b', 'c', 'd'].map((body) => store.outbox.append('t', body, { kind: 'event', bootId }));
  t.same(seqs, [1, 2, 3, 4]);
  t.match(store.outbox.peek(0, 2), [
    { seq: 1, body: 'a', topic: 't', retain: false, expiresMs: null, bootId },
    { seq: 2 },
  ]);
  t.same(
    store.outbox.peek(2, 9).map(({ seq }) => seq),
    [3, 4],
  );
  store.outbox.ack([2, 4]);
  store.outbox.ack([2, 77]);
  t.same(bodies(store.outbox), ['a', 'c']);
  store.close();
  store.close();
  store = openStore(path);
  t.same(bodies(store.outbox), ['a', 'c']);
  t.equal(
    store.outbox.append('t', 'e', { kind: 'event', bootId, retain: true, expirySeconds: 5 }),
    5,
    'no number twice',
  );
  const [row] = store.outbox.peek(4, 1);
  t.match(row, { retain: true, expiresMs: (row?.createdMs ?? 0) + 5_000 });
  t.match(store.outbox.counters, { rows: 3, bytes: 6, unsaved: 0, failures: 0 });
  t.equal(statSync(path).mode & 0o777, 0o640);
  store.close();
});

t.test('at its cap telemetry goes first, then events, counts last; the oldest first', async (t) => {
  const store = openStore(':memory:', { outboxMaxRows: 4 });
  t.teardown(() => store.close());
  const add = (body: string, kind: OutboxKind): void => void store.outbox.append('t', body, { kind, bootId });
  add('c1', 'counts');
  add('t1', 'telemetry');
  add('e1', 'event');
  add('t2', 'telemetry');
  add('e2', 'event');
  t.same(bodies(store.outbox), ['c1', 'e1', 't2', 'e2']);
  add('c2', 'counts');
  add('c3', 'counts');
  t.same(bodies(store.outbox), ['c1', 'e2', 'c2', 'c3']);
  add('t3', 'telemetry');
  t.same(bodies(store.outbox), ['c1', 'e2', 'c2', 'c3'], 'the least important newcomer itself goes');
  add('c4', 'counts');
  add('c5', 'counts');
  t.same(bodies(store.outbox), ['c2', 'c3', 'c4', 'c5']);
  t.same(store.outbox.counters.evicted, { telemetry: 3, event: 2, counts: 1 });
});

t.test('a message that fits on no terms pushes nothing out', async (t) => {
  const store = openStore(':memory:', { outboxMaxBytes: 1_000 });
  t.teardown(() => store.close());
  store.outbox.append('t', 'small', { kind: 'telemetry', bootId });
  store.outbox.append('t', 'x'.repeat(1_000), { kind: 'counts', bootId });
  t.same(bodies(store.outbox), ['small']);
  store.outbox.append('t', 'ä'.repeat(498), { kind: 'counts', bootId });
  t.equal(store.outbox.counters.bytes, 997, 'bytes, not characters; the cap holds');
  t.same(store.outbox.counters.evicted, { telemetry: 1, event: 0, counts: 1 });
});

t.test('any sequence keeps the caps and the order, and counts what it holds', async (t) => {
  const kinds = fc.constantFrom<OutboxKind>('telemetry', 'event', 'counts');
  const steps = fc.array(fc.oneof(fc.tuple(kinds, fc.nat(300)), fc.nat(30)), { maxLength: 60, size: 'max' });
  let evictions = 0;
  fc.assert(
    fc.property(steps, (sequence) => {
      const store = openStore(':memory:', { outboxMaxRows: 10, outboxMaxBytes: 1_500 });
      for (const step of sequence) {
        if (typeof step === 'number') store.outbox.ack([store.outbox.lastSeq - step]);
        else store.outbox.append('t', 'x'.repeat(step[1]), { kind: step[0], bootId });
        const rows = store.outbox.peek(0, 100);
        const bytes = rows.reduce((sum, { body }) => sum + body.length + 1, 0);
        const { counters } = store.outbox;
        if (rows.length > 10 || bytes > 1_500 || counters.rows !== rows.length || counters.bytes !== bytes)
          return false;
        if (rows.some(({ seq }, index) => seq <= (rows[index - 1]?.seq ?? 0))) return false;
      }
      const { telemetry, event, counts } = store.outbox.counters.evicted;
      evictions += telemetry + event + counts;
      store.close();
      return true;
    }),
    { numRuns: 150 },
  );
  t.ok(evictions > 50, `${evictions} evictions`);
});

t.test(
  'a full disk does not stop counting: rows wait in memory, in order, and are written when there is room',
  async (t) => {
    const { db, outbox } = limited(12);
    t.teardown(() => db.close());
    const body = 'x'.repeat(1_000);
    let seq = 0;
    while (outbox.counters.unsaved < 20 && seq < 1_000)
      seq = outbox.append('t', body, { kind: 'counts', bootId });
    t.ok(seq < 1_000 && outbox.counters.failures >= 20);
    const all = outbox.peek(0, 10_000).map((row) => row.seq);
    t.same(
      all,
      Array.from({ length: seq }, (_, index) => index + 1),
      'every row, on disk or not, in order',
    );
    t.equal(outbox.counters.rows, seq);
    // Acknowledging is possible without room, for rows on the disk and in memory.
    outbox.ack([1, seq]);
    t.same(
      outbox.peek(0, 10_000).map((row) => row.seq),
      all.slice(1, -1),
    );
    t.equal(outbox.counters.rows, seq - 2);
    db.pragma('max_page_count = 100000');
    t.equal(outbox.append('t', 'after', { kind: 'counts', bootId }), seq + 1);
    t.match(outbox.counters, { unsaved: 0, rows: seq - 1 });
    t.same(db.prepare('SELECT seq FROM outbox ORDER BY seq').pluck().all(), [...all.slice(1, -1), seq + 1]);
  },
);

t.test('what waits in memory is bounded by rows and by bytes', async (t) => {
  const db = new Database(':memory:');
  t.teardown(() => db.close());
  migrate(db, ':memory:');
  db.pragma('query_only = ON');
  const outbox = new Outbox(db, { maxRows: 10_000, maxBytes: 50_000, log: silentLog });
  for (let count = 0; count < 2_500; count += 1) {
    outbox.append('t', String(count), { kind: count % 2 === 0 ? 'counts' : 'event', bootId });
  }
  t.match(outbox.counters, { rows: 2_000, unsaved: 2_000, evicted: { event: 500, counts: 0 } });
  for (let count = 0; count < 10; count += 1)
    outbox.append('t', 'x'.repeat(40_000), { kind: 'counts', bootId });
  t.ok(outbox.counters.bytes <= 50_000, `${outbox.counters.bytes} bytes`);
});

t.test('a damaged file is moved aside, an empty store goes on with higher numbers', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'store.db');
  for (let round = 0; round < 5; round += 1) {
    const before = openStore(path);
    const seq = before.outbox.append('t', 'x'.repeat(20_000), { kind: 'counts', bootId });
    before.close();
    const bytes = readFileSync(path);
    if (round === 0) bytes.fill(0, 0, 16);
    else if (round === 1) bytes.fill(0xff, 4_096, 12_288);
    else if (round === 2) bytes.fill(0x5a);
    writeFileSync(
      path,
      round === 3
        ? bytes.subarray(0, 5_000)
        : round === 4
          ? Buffer.from('not a database, but long enough to be read as one'.repeat(50))
          : bytes,
    );
    const after = openStore(path);
    t.ok(after.damaged !== undefined && existsSync(after.damaged), `round ${round}`);
    t.equal(after.persistent, true);
    t.same(bodies(after.outbox), []);
    t.ok(after.outbox.append('t', 'y', { kind: 'counts', bootId }) > seq);
    after.close();
  }
  t.equal(
    readdirSync(folder).filter((name) => /damaged-.*Z$/.test(name)).length,
    3,
    'the last three are kept',
  );
  // A process killed between two renames: the journal is aside, the damaged file is not.
  writeFileSync(path, 'x'.repeat(10_000));
  writeFileSync(`${path}.damaged-2000-wal`, '');
  openStore(path).close();
  t.notOk(existsSync(`${path}.damaged-2000-wal`), 'orphans go too');
});

t.test('a file that a newer bitlane wrote is refused and stays as it is', async (t) => {
  const path = join(t.testdir({}), 'store.db');
  openStore(path).close();
  const db = new Database(path);
  db.pragma('user_version = 99');
  db.close();
  t.throws(() => openStore(path), {
    code: 'STORE_FAILED',
    message: /written by a newer bitlane \(schema 99/,
  });
  const again = new Database(path, { readonly: true });
  t.equal(again.pragma('user_version', { simple: true }), 99);
  again.close();
  t.throws(
    () => openStore(t.testdirName),
    { code: 'STORE_FAILED', message: /opening the store/ },
    'a folder is no store',
  );
});

t.test('migrations run once, in order, all or none', async (t) => {
  const path = join(t.testdir({}), 'm.db');
  const db = new Database(path);
  t.teardown(() => db.close());
  const steps = ['CREATE TABLE a (x)', 'INSERT INTO a VALUES (1)'];
  migrate(db, path, steps);
  migrate(db, path, steps);
  t.equal(db.prepare('SELECT COUNT(*) FROM a').pluck().get(), 1);
  t.throws(() => migrate(db, path, [...steps, 'INSERT INTO a VALUES (2)', 'no SQL']));
  t.equal(db.prepare('SELECT COUNT(*) FROM a').pluck().get(), 1, 'nothing of a failed upgrade stays');
  t.equal(db.pragma('user_version', { simple: true }), 2);
  t.notOk(existsSync(`${path}.schema-1`), 'a new file has no older one');
  migrate(db, path, [...steps, 'INSERT INTO a VALUES (2)']);
  t.equal(db.prepare('SELECT COUNT(*) FROM a').pluck().get(), 2);
  const older = new Database(`${path}.schema-2`, { readonly: true });
  t.teardown(() => older.close());
  t.equal(older.pragma('user_version', { simple: true }), 2);
  t.equal(older.prepare('SELECT COUNT(*) FROM a').pluck().get(), 1, 'the file as the older program wrote it');
  const next = [...steps, 'INSERT INTO a VALUES (2)', 'INSERT INTO a VALUES (3)'];
  migrate(db, path, next);
  t.same(
    readdirSync(dirname(path)).filter((name) => name.includes('.schema-')),
    [`${basename(path)}.schema-3`],
    'one way back is kept',
  );
});

const mountPoint = mkdtempSync(join(tmpdir(), 'bitlane-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', mountPoint]).status === 0;
t.teardown(() => {
  if (mounted) spawnSync('umount', [mountPoint]);
  rmSync(mountPoint, { recursive: true, force: true });
});

t.test(
  'a disk that is really full',
  { skip: mounted ? false : 'a small file system cannot be mounted here' },
  async (t) => {
    const path = join(mountPoint, 'store.db');
    const store = openStore(path);
    const body = 'x'.repeat(4_000);
    let seq = 0;
    while (store.outbox.counters.unsaved < 5 && seq < 500)
      seq = store.outbox.append('t', body, { kind: 'counts', bootId });
    t.ok(seq < 500, 'it filled up');
    t.throws(() => store.keyValue.set('k', 'x'.repeat(250_000)), {
      code: 'STORE_FAILED',
      message: /writing "k" to the store failed: the disk/,
    });
    t.equal(store.boots.begin('v').version, 'v', 'a start is a start, recorded or not');
    t.same(
      store.outbox.peek(0, 1_000).map((row) => row.seq),
      Array.from({ length: seq }, (_, index) => index + 1),
    );
    store.close();
    mkdirSync(join(mountPoint, 'other'));
    writeFileSync(join(mountPoint, 'filler'), '');
    try {
      for (let count = 0; count < 1_000; count += 1)
        writeFileSync(join(mountPoint, 'filler'), body, { flag: 'a' });
    } catch {
      // Full.
    }
    const fallback = openStore(join(mountPoint, 'other', 'store.db'));
    t.equal(fallback.persistent, false, 'where nothing can be written the store lives in memory');
    fallback.outbox.append('t', 'y', { kind: 'counts', bootId });
    t.same(bodies(fallback.outbox), ['y']);
    fallback.close();
    rmSync(join(mountPoint, 'filler'));
    const again = openStore(path);
    t.equal(again.damaged, undefined, 'what was written is whole');
    t.ok(again.outbox.peek(0, 1_000).length > 0);
    again.close();
  },
);

t.test('key and value', async (t) => {
  const path = join(t.testdir({}), 'store.db');
  let store = openStore(path);
  const schema = z.object({ n: z.number() });
  t.equal(store.keyValue.get('a', schema), undefined);
  store.keyValue.set('a', { n: 1 });
  store.keyValue.set('a', { n: 2 });
  store.keyValue.set('text', 'ä');
  t.throws(() => store.keyValue.set('a', undefined), { code: 'STORE_FAILED' });
  t.throws(() => store.keyValue.set('a', 'ä'.repeat(600_000)), {
    code: 'STORE_FAILED',
    message: /at most 1 MiB/,
  });
  t.throws(() =>
    store.keyValue.atomically(() => {
      store.keyValue.set('a', { n: 3 });
      store.keyValue.delete('text');
      throw new Error('no');
    }),
  );
  store.close();
  t.throws(() => store.keyValue.get('a', schema), { code: 'STORE_FAILED' });
  store = openStore(path);
  t.same(store.keyValue.get('a', schema), { n: 2 });
  t.equal(store.keyValue.get('text', z.string()), 'ä', 'a step that failed changed nothing');
  t.equal(store.keyValue.get('text', schema), undefined, 'what does not fit is as good as absent');
  store.keyValue.delete('text');
  t.equal(store.keyValue.get('text', z.string()), undefined);
  store.close();
});

t.test('starts are numbered, the last hundred are kept, a clean stop is on record', async (t) => {
  const store = openStore(':memory:');
  t.teardown(() => store.close());
  const first = store.boots.begin('0.1.0');
  store.boots.end(first.id);
  for (let count = 0; count < 120; count += 1) store.boots.begin('0.1.0');
  const list = store.boots.list();
  t.equal(list.length, 100);
  t.equal(list[0]?.number, 121);
  t.equal(new Set(list.map(({ id }) => id)).size, 100);
  t.equal(list[0]?.stoppedMs, null);
  store.boots.end(list[0]?.id ?? '');
  t.type(store.boots.list(1)[0]?.stoppedMs, 'number');
});
