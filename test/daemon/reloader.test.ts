// The file that is read again while another change is under way: on a real file, twin and store.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config/index.js';
import { Reloader } from '../../src/daemon/reloader.js';
import { openStore } from '../../src/store/index.js';
import { RootLog, silentLog } from '../../src/system/index.js';
import { ConfigTwin, type DesiredChange } from '../../src/telemetry/index.js';

const setUp = (t: Test) => {
  const folder = t.testdir();
  const path = join(folder, 'bitlane.json');
  const write = (changes: object): void =>
    writeFileSync(path, JSON.stringify({ camera: { kind: 'replay', path: '/nowhere' }, ...changes }));
  write({});
  const store = openStore(join(folder, 'twin.db'));
  t.teardown(() => store.close());
  const twin = new ConfigTwin({
    store: store.keyValue,
    log: silentLog,
    bootId: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
    local: loadConfig(path),
  });
  twin.boot();
  const lines: string[] = [];
  const log = new RootLog({ level: 'debug', write: (line) => void lines.push(line) }).part('test');
  const changes: DesiredChange[] = [];
  const reloader = new Reloader({
    twin,
    load: () => loadConfig(path),
    changed: (change) => void changes.push(change),
    log,
  });
  const want = (version: number, wanted: object): DesiredChange => {
    const change = twin.propose(Buffer.from(JSON.stringify({ version, changes: wanted })));
    if (change === undefined) throw new Error('there is no change');
    return change;
  };
  return { write, twin, reloader, changes, want, lines };
};

t.test('asked for during a change: once, when that is over, as the file is then', async (t) => {
  const { write, twin, reloader, changes, want, lines } = setUp(t);
  for (const end of ['accept', 'reject'] as const) {
    const under = want(end === 'accept' ? 1 : 2, { detector: { threads: end === 'accept' ? 2 : 3 } });
    write({ site: 'early' });
    reloader.reload();
    write({ site: end });
    reloader.reload();
    t.same(changes, []);
    if (end === 'accept') under.accept();
    else under.reject(['no']);
    t.equal(changes.length, 1, 'one');
    changes.pop()?.accept();
    t.match(twin.config, { site: end, detector: { threads: 2 } }, 'neither is lost');
    t.equal(twin.isBusy, false);
  }
  t.same(changes, []);
  t.equal(lines.filter((line) => line.includes('is read again when')).length, 2);
  t.notMatch(lines.join(''), /ERROR/);
});

t.test('at once where nothing is under way; a bad file changes nothing', async (t) => {
  const { write, twin, reloader, changes, lines } = setUp(t);
  write({ site: 'here' });
  reloader.reload();
  changes.pop()?.accept();
  t.equal(twin.config.site, 'here');
  write({ lines: 3 });
  reloader.reload();
  t.same(changes, []);
  t.match(lines.join(''), /the configuration stays as it is: .*lines/);
  t.equal(twin.config.site, 'here');
});
