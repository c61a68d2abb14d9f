import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test as Tap } from 'tap';
import { Registry } from '../../src/registry/index.js';
import { makeArtifact } from '../helpers/artifacts.js';
import { killNow, readLines } from '../helpers/lines.js';

const script = join(import.meta.dirname, 'worker.js');
/** In each of two state folders, at the same time. */
const KILLS = 30;

/** What must be active: what was last said to be, or what was about to be. */
const expected = (lines: readonly string[], before: string): Set<string> => {
  const ids = new Set([before]);
  for (const line of lines) {
    const [word, id = ''] = line.split(' ');
    if (word === 'active') ids.clear();
    if (word === 'active' || word === 'next') ids.add(id);
  }
  return ids;
};

const found = { changed: 0, leftovers: 0 };

const killAndLook = async (t: Tap, stateDir: string): Promise<void> => {
  const first = makeArtifact('first', 150_000);
  let registry = new Registry({ stateDir });
  await registry.start();
  await registry.install(first.bytes, first.manifest);
  registry.stop();
  let active = first.id;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const child = spawn(process.execPath, [script, 'churn', stateDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const reader = readLines(child);
    await reader.find((line) => line === 'started');
    // Work done is waited for, not time: a slow disk gets as far as a fast one.
    await reader.find(() => reader.lines.filter((line) => line.startsWith('active ')).length >= kill % 3);
    await sleep(Math.random() * 30);
    await killNow(child, reader);
    t.equal(child.signalCode, 'SIGKILL', 'it did not end by itself');
    const may = expected(reader.lines, active);
    found.leftovers += readdirSync(join(stateDir, 'models')).filter((name) => name.startsWith('.')).length;

    registry = new Registry({ stateDir });
    t.same(await registry.start(), [], 'nothing had to be repaired');
    t.ok(may.has(registry.active ?? ''), `kill ${kill}: the active one is what it was told to be`);
    const entries = await registry.list();
    t.equal(entries.filter((entry) => entry.active).length, 1);
    for (const { id } of entries) await registry.verify(id);
    t.same(
      readdirSync(registry.folder)
        .filter((name) => !/^[0-9a-f]{64}$/.test(name))
        .sort(),
      ['lock', 'registry.backup.json', 'registry.json'],
      'no torn folder, no litter',
    );
    if (registry.active !== active) found.changed += 1;
    active = registry.active ?? '';
    registry.stop();
  }
};

t.setTimeout(300_000);

t.test(
  'a process killed while it installs, activates and removes leaves one whole active artifact',
  async (t) => {
    const root = t.testdir({});
    await Promise.all(['one', 'two'].map((name) => killAndLook(t, join(root, name))));
    t.ok(found.changed > 5, `${found.changed} processes got something done`);
    t.ok(found.leftovers > 0, `${found.leftovers} kills fell into the middle of a write`);
  },
);
