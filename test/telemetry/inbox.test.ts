// What waits on config/desired while another one is being taken up, on a real twin and store.
import { join } from 'node:path';
import t from 'tap';
import { openStore } from '../../src/store/index.js';
import { ConfigTwin, type DesiredChange } from '../../src/telemetry/index.js';
import { DesiredInbox } from '../../src/telemetry/inbox.js';
import { listeningLog, localConfig, temporary } from './device.js';

const set = (version: number, site: string): Buffer =>
  Buffer.from(JSON.stringify({ version, changes: { site } }));

const begin = (t: Tap) => {
  const store = openStore(join(temporary(t), 'twin.db'));
  t.teardown(() => store.close());
  const { log, lines } = listeningLog();
  const twin = new ConfigTwin({
    store: store.keyValue,
    log,
    bootId: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
    local: localConfig(),
  });
  twin.boot();
  const changes: DesiredChange[] = [];
  const inbox = new DesiredInbox({ twin, log, changed: (change) => void changes.push(change) });
  return { twin, changes, inbox, lines };
};
type Tap = Parameters<typeof temporary>[0];

t.test('the highest version waits; the one that is being taken up is not judged twice', async (t) => {
  const { twin, changes, inbox, lines } = begin(t);
  inbox.receive(set(1, 'one'));
  for (const payload of [set(1, 'one'), set(3, 'three'), set(1, 'other'), set(2, 'two'), Buffer.alloc(0)]) {
    inbox.receive(payload);
  }
  t.same(
    changes.map(({ version }) => version),
    [1],
  );
  t.ok(lines.some((line) => line.includes('one of a higher version waits')));
  changes[0]?.accept();
  t.same(
    changes.map(({ version }) => version),
    [1, 3],
  );
  changes[1]?.accept();
  t.match(twin.reported, { version: 3, status: 'applied', errors: [], active_version: 3 });
  t.equal(twin.config.site, 'three');
});

t.test('what was rejected is not tried again because it came twice', async (t) => {
  const { twin, changes, inbox } = begin(t);
  for (let again = 0; again < 3; again += 1) inbox.receive(set(1, 'one'));
  changes[0]?.reject(['it does not start']);
  t.equal(changes.length, 1);
  t.match(twin.reported, { version: 1, status: 'rejected', errors: ['it does not start'] });
  inbox.receive(set(1, 'one'));
  t.equal(changes.length, 2, 'but it may be sent again afterwards');
});
