// The outbox on a real SQLite file: order, numbers, what is dropped first, what survives.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { openStore, type OutboxKind, type Store, type StoreOptions } from '../../src/store/index.js';

const pathOf = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-store-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'bitlane.db');
};
const open = (t: Test, path: string, options: StoreOptions = {}): Store => {
  const store = openStore(path, options);
  t.teardown(() => store.close());
  return store;
};
const add = (store: Store, kind: OutboxKind, body = '{}'): number =>
  store.outbox.append(`test/${kind}`, body, { kind, bootId: 'b' });
const seqs = (store: Store, after = 0, limit = 1_000): number[] =>
  store.outbox.peek(after, limit).map(({ seq }) => seq);

t.test('in order, page by page, gone once acknowledged, also after opening again', async (t) => {
  const path = pathOf(t);
  const store = open(t, path);
  const added = Array.from({ length: 25 }, () => add(store, 'event'));
  t.same(
    added,
    Array.from({ length: 25 }, (_, index) => index + 1),
  );
  t.same(seqs(store, 0, 10), added.slice(0, 10));
  t.same(seqs(store, 10, 10), added.slice(10, 20));
  t.same(seqs(store, 25), []);
  store.outbox.ack([1, 2, 4]);
  store.outbox.ack([4, 99]);
  t.same(seqs(store, 0, 3), [3, 5, 6]);
  t.match(store.outbox.counters, { rows: 22, unsaved: 0, failures: 0 });
  store.outbox.ack(added);
  t.match(store.outbox.counters, { rows: 0, bytes: 0 });
  store.close();
  const again = open(t, path);
  t.equal(again.outbox.lastSeq, 25);
  t.equal(add(again, 'counts'), 26, 'a number is never given twice');
});

t.test('a row keeps what it was given', async (t) => {
  const store = open(t, pathOf(t));
  const before = Date.now();
  store.outbox.append('a/b', '{"x":1}', { kind: 'event', bootId: 'boot', retain: true, expirySeconds: 60 });
  const [row] = store.outbox.peek(0, 1);
  t.match(row, { seq: 1, topic: 'a/b', body: '{"x":1}', retain: true, bootId: 'boot' });
  t.ok(row !== undefined && row.createdMs >= before && row.expiresMs === row.createdMs + 60_000);
});

t.test('at the cap the oldest telemetry goes first, then events, counts last', async (t) => {
  const store = open(t, pathOf(t), { outboxMaxRows: 6 });
  const kinds: OutboxKind[] = ['counts', 'telemetry', 'event', 'counts', 'telemetry', 'event'];
  for (const kind of kinds) add(store, kind);
  const left = (): string[] => store.outbox.peek(0, 100).map(({ seq, topic }) => `${seq} ${topic.slice(5)}`);
  add(store, 'counts');
  t.same(left(), ['1 counts', '3 event', '4 counts', '5 telemetry', '6 event', '7 counts']);
  add(store, 'counts');
  add(store, 'counts');
  t.same(left(), ['1 counts', '4 counts', '6 event', '7 counts', '8 counts', '9 counts']);
  add(store, 'event');
  t.same(left(), ['1 counts', '4 counts', '7 counts', '8 counts', '9 counts', '10 event']);
  add(store, 'counts');
  add(store, 'counts');
  t.same(left(), ['4 counts', '7 counts', '8 counts', '9 counts', '11 counts', '12 counts']);
  t.same(store.outbox.counters.evicted, { telemetry: 2, event: 3, counts: 1 });
  store.outbox.ack([1]);
  t.equal(store.outbox.counters.rows, 6, 'acknowledging a row that was dropped changes nothing');
});

t.test('the cap in bytes', async (t) => {
  const store = open(t, pathOf(t), { outboxMaxBytes: 1_000 });
  for (let index = 0; index < 20; index += 1) add(store, 'event', JSON.stringify('x'.repeat(100)));
  const { rows, bytes, evicted } = store.outbox.counters;
  t.ok(bytes <= 1_000 && rows > 5, `${rows} rows, ${bytes} bytes`);
  t.equal(evicted.event, 20 - rows);
  t.equal(seqs(store).at(-1), 20, 'the newest stays');
});

t.test('any sequence of steps: the same as a list in memory', async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add'), kind: fc.constantFrom<OutboxKind>('telemetry', 'event', 'counts') }),
    fc.record({ do: fc.constant('ack'), seq: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ do: fc.constant('reopen') }),
  );
  const ranks: readonly OutboxKind[] = ['telemetry', 'event', 'counts'];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const folder = mkdtempSync(join(tmpdir(), 'bitlane-store-'));
      const path = join(folder, 'bitlane.db');
      let store = openStore(path, { outboxMaxRows: 8 });
      let model: { seq: number; kind: OutboxKind }[] = [];
      let last = 0;
      try {
        for (const one of steps) {
          if ('kind' in one) {
            last += 1;
            if (add(store, one.kind) !== last) return false;
            model.push({ seq: last, kind: one.kind });
            if (model.length > 8) {
              const victim = model.toSorted(
                (a, b) => ranks.indexOf(a.kind) - ranks.indexOf(b.kind) || a.seq - b.seq,
              )[0];
              model = model.filter((row) => row !== victim);
            }
          } else if ('seq' in one) {
            store.outbox.ack([one.seq]);
            model = model.filter(({ seq }) => seq !== one.seq);
          } else {
            store.close();
            store = openStore(path, { outboxMaxRows: 8 });
          }
          if (JSON.stringify(seqs(store)) !== JSON.stringify(model.map(({ seq }) => seq))) return false;
          if (store.outbox.counters.rows !== model.length) return false;
        }
        return true;
      } finally {
        store.close();
        rmSync(folder, { recursive: true, force: true });
      }
    }),
    { numRuns: 30 },
  );
  t.pass('thirty sequences');
});
