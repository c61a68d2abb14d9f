// When a remote configuration becomes the one to fall back to: on a real twin and store, with a clock that is turned by hand.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { type JsonObject, parseConfig } from '../../src/config/index.js';
import { Trial } from '../../src/daemon/trial.js';
import { openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { ConfigTwin } from '../../src/telemetry/index.js';

const SECOND = 1_000;

const value = {
  camera: { kind: 'replay', path: '/nowhere' },
  remote: { allow: ['site', 'telemetry'] },
};
const local = { source: 'test.yaml', value, config: parseConfig(value) };

const setUp = (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-trial-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const store = openStore(join(folder, 'twin.db'));
  t.teardown(() => store.close());
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  /** A start of the daemon; without a call of `stopped` its end is a crash. */
  const start = () => {
    const twin = new ConfigTwin({
      store: store.keyValue,
      log: silentLog,
      bootId: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
      local,
    });
    twin.boot();
    const trial = new Trial(twin);
    trial.start();
    t.teardown(() => trial.stop());
    const take = (version: number, changes: JsonObject): void =>
      twin.propose(Buffer.from(JSON.stringify({ version, changes })))?.accept();
    return { twin, take, crash: () => trial.stop() };
  };
  /** Starts that last for less than a minute. */
  const flap = (times: number): void => {
    for (let time = 0; time < times; time += 1) {
      const { crash } = start();
      mock.timers.tick(30 * SECOND);
      crash();
    }
  };
  return { start, flap };
};

t.test('a set that was taken up while the daemon runs is confirmed a minute later', async (t) => {
  const { start, flap } = setUp(t);
  const first = start();
  mock.timers.tick(3_600 * SECOND);
  first.take(1, { site: 'one' });
  mock.timers.tick(3_600 * SECOND);
  first.take(2, { site: 'two' });
  mock.timers.tick(61 * SECOND);
  first.crash();
  flap(5);
  t.equal(start().twin.config.site, 'two', 'crashes long after do not take it back');
});

t.test('a set is confirmed by its own minute, not by that of the process', async (t) => {
  const { start, flap } = setUp(t);
  const first = start();
  mock.timers.tick(30 * SECOND);
  first.take(1, { site: 'one' });
  mock.timers.tick(61 * SECOND);
  first.take(2, { site: 'two' });
  mock.timers.tick(55 * SECOND);
  first.take(3, { site: 'three' });
  mock.timers.tick(20 * SECOND);
  first.crash();
  flap(2);
  const { twin } = start();
  t.equal(twin.config.site, 'one', 'neither of the other two lasted');
  t.match(twin.reported, { version: 3, status: 'rejected', active_version: 1 });
});

t.test('a version that changes nothing is confirmed, too', async (t) => {
  const { start, flap } = setUp(t);
  const first = start();
  first.take(1, { site: 'one' });
  first.take(2, { site: 'one' });
  mock.timers.tick(61 * SECOND);
  first.crash();
  flap(3);
  t.match(start().twin.reported, { version: 2, status: 'applied', active_version: 2 });
});

t.test('what is in force at the next start only is not confirmed before', async (t) => {
  const { start, flap } = setUp(t);
  const first = start();
  first.take(1, { site: 'one' });
  mock.timers.tick(61 * SECOND);
  first.take(2, { site: 'two', telemetry: { outboxMaxRows: 500 } });
  mock.timers.tick(3_600 * SECOND);
  first.crash();
  flap(2);
  t.equal(start().twin.config.site, 'one', 'no start with it lasted');

  const again = start();
  again.take(3, { site: 'three', telemetry: { outboxMaxRows: 600 } });
  again.crash();
  const next = start();
  mock.timers.tick(61 * SECOND);
  next.crash();
  flap(3);
  t.equal(start().twin.config.site, 'three');
});
