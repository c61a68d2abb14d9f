import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test as Tap } from 'tap';
import { openStore } from '../../src/store/index.js';
import { killNow, readLines } from '../helpers/lines.js';

const script = join(import.meta.dirname, 'worker.js');
/** In each of two stores, at the same time. */
const KILLS = 25;

const last = (lines: readonly string[], word: string): number => {
  const line = lines.findLast((entry) => entry.startsWith(`${word} `));
  return line === undefined ? 0 : Number(line.split(' ')[1]);
};

const killAndLook = async (t: Tap, path: string): Promise<void> => {
  let highest = 0;
  let acknowledged = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const reader = readLines(child);
    await reader.find((line) => line.startsWith('row '));
    await sleep(Math.random() * 50);
    await killNow(child, reader);
    t.equal(child.signalCode, 'SIGKILL', 'it did not end by itself');
    highest = Math.max(highest, last(reader.lines, 'row'));
    const acked = Math.max(acknowledged, last(reader.lines, 'acked'));
    const acking = Math.max(acked, last(reader.lines, 'acking'));

    const store = openStore(path);
    t.equal(store.damaged, undefined);
    const rows = store.outbox.peek(0, 1_000_000).map((row) => row.seq);
    const first = rows[0] ?? highest + 1;
    t.ok(
      first === acked + 1 || first === acking + 1,
      `${first} follows what was acknowledged (${acked}, ${acking})`,
    );
    t.ok((rows.at(-1) ?? 0) >= highest || first > highest, 'no row that was reported is lost');
    t.ok(rows.length === 0 || rows.length === (rows.at(-1) ?? 0) - first + 1, 'no gap, nothing twice');
    t.ok(
      rows.every((seq, index) => seq === first + index),
      'in order',
    );
    highest = Math.max(highest, store.outbox.lastSeq);
    acknowledged = first - 1;
    t.equal(store.boots.list(1)[0]?.stoppedMs, null);
    store.close();
    const db = new Database(path, { readonly: true });
    t.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    db.close();
  }
  t.ok(highest > KILLS, `${highest} rows were written`);
};

t.setTimeout(300_000);

t.test('a writer that is killed loses no row that it reported, and keeps the order', async (t) => {
  const root = t.testdir({});
  await Promise.all(['one.db', 'two.db'].map((name) => killAndLook(t, join(root, name))));
});
