// config/desired to config/reported on a real broker.
import t from 'tap';
import type { DesiredChange } from '../../src/telemetry/index.js';
import { Consumer } from '../helpers/consumer.js';
import { skipWithoutMosquitto, until } from '../helpers/mosquitto.js';
import { broker, device } from './device.js';

t.setTimeout(120_000);

t.test('round trips', { skip: skipWithoutMosquitto }, async (t) => {
  const { url } = await broker(t);
  const consumer = await Consumer.open(url);
  t.teardown(() => consumer.close());
  const desire = (version: number, changes: unknown): Promise<void> =>
    consumer.send('config/desired', JSON.stringify({ version, changes }), { retain: true });
  // Wanted before the device is there.
  await desire(1, { site: 'first' });
  const { telemetry, twin, lines } = device(t, { mqtt: { url } });
  const seen: number[] = [];
  let held: DesiredChange | undefined;
  telemetry.on('desired', (change) => {
    seen.push(change.version);
    if (change.version === 1) held = change;
    else setTimeout(() => (change.config.site === 'bad' ? change.reject(['not here']) : change.accept()), 20);
  });
  await telemetry.start();
  const reported = (version: number, status: string): Promise<void> =>
    consumer.until((c) => {
      const last = c.last('config/reported');
      return last?.['version'] === version && last['status'] === status;
    }, `version ${version} is ${status}`);
  await reported(1, 'pending');
  t.equal(twin.config.site, undefined);
  // The same version again while it is being taken up.
  await desire(1, { site: 'first' });
  await desire(1, { site: 'other' });
  await consumer.until((c) => {
    const { version, status, errors } = c.last('config/reported') ?? {};
    return version === 1 && status === 'pending' && /other changes/.test(String(errors));
  }, 'other changes are refused');
  held?.accept();
  await reported(1, 'applied');
  t.match(consumer.last('config/reported')?.['errors'], [/^version 1 came before with other changes/]);
  t.notOk(consumer.on('config/reported').some(({ json }) => json['status'] === 'rejected'));
  t.equal(twin.config.site, 'first');
  await desire(2, { site: 'bad' });
  await reported(2, 'rejected');
  t.equal(twin.config.site, 'first');
  await desire(3, { mqtt: { url: 'mqtt://elsewhere' } });
  await reported(3, 'rejected');
  t.match(consumer.last('config/reported')?.['errors'], [/^mqtt may not be changed remotely/]);
  await consumer.send('config/desired', '{"version":', { retain: true });
  await consumer.until((c) => /is not JSON/.test(String(c.last('config/reported')?.['errors'])), 'bad JSON');
  await consumer.send('config/desired', '', { retain: true });
  await until(() => lines.some((line) => line.includes('config/desired was cleared')), 'cleared');

  // While one is being taken up only the newest of those that follow counts.
  await Promise.all([4, 5, 6, 7].map((version) => desire(version, { site: `site-${version}` })));
  await reported(7, 'applied');
  t.equal(twin.config.site, 'site-7');
  t.ok(seen.length < 7 && seen.at(-1) === 7, seen.join());
  t.same(consumer.invalid, []);
});

t.test(
  'a hostile desired configuration does not survive a restart of the broker either',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const made = await broker(t, { persistent: true });
    const consumer = await Consumer.open(made.url);
    t.teardown(() => consumer.close());
    const { telemetry, twin } = device(t, { mqtt: { url: made.url } });
    await telemetry.start();
    await consumer.until((c) => c.on('availability').length > 0, 'online');
    const good = twin.config;
    await consumer.send('config/desired', `{"version":1,"changes":{"lines":"${'x'.repeat(400_000)}"}}`, {
      retain: true,
    });
    await consumer.until((c) => c.last('config/reported')?.['status'] === 'rejected', 'too large');
    await made.down();
    await made.up();
    await until(() => telemetry.counters.connections === 2, 'back, and it came again');
    await consumer.until((c) => c.on('config/reported').length > 2, 'reported again');
    t.equal(twin.config, good);
    t.match(consumer.last('config/reported'), { status: 'rejected', active_version: 0 });
    t.same(consumer.invalid, []);
  },
);
