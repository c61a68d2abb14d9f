// Reason codes of acknowledgements: what is refused for now stays, what is refused for good goes.
import t from 'tap';
import { until } from '../helpers/mosquitto.js';
import { type Published, startPubackBroker } from '../helpers/puback-broker.js';
import { counts, device, firstAppearances, infoState } from './device.js';

t.setTimeout(120_000);

const isCounts = ({ topic }: Published): boolean => topic.endsWith('counts/60');

for (const code of [0x80, 0x83, 0x97]) {
  t.test(`a broker that answers ${code} to everything for a while loses nothing`, async (t) => {
    const taken: number[] = [];
    const states = new Set<string>();
    const url = await startPubackBroker(t, (message) => {
      if (message.connection <= 8) return code;
      if (isCounts(message)) taken.push(Number(message.json['seq']));
      else states.add(message.topic);
      return 0;
    });
    const { telemetry, store } = device(t, { mqtt: { url, reconnectMaxMs: 50 } });
    telemetry.publishState('info', infoState);
    const seqs = Array.from(
      { length: 100 },
      (_, index) => telemetry.enqueue('counts/60', counts(index)) ?? 0,
    );
    await telemetry.start();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    t.same(firstAppearances(taken).order, seqs, 'all, in order');
    t.match(telemetry.counters, { sent: 100, refused: 0 });
    await until(() => states.size === 3, 'availability, info and config/reported');
  });
}

t.test('one message that a broker never takes, while it takes others, is dropped in the end', async (t) => {
  const taken: number[] = [];
  const url = await startPubackBroker(t, (message) => {
    if (!isCounts(message)) return 0;
    if (message.json['seq'] === 2) return 0x83;
    taken.push(Number(message.json['seq']));
    return 0;
  });
  const { telemetry, store, lines } = device(t, { mqtt: { url, reconnectMaxMs: 50 } });
  for (let index = 0; index < 5; index += 1) telemetry.enqueue('counts/60', counts(index));
  await telemetry.start();
  await until(() => store.outbox.counters.rows === 0, 'the store is empty');
  t.same(firstAppearances(taken).order, [1, 3, 4, 5]);
  t.match(telemetry.counters, { sent: 4, refused: 1 });
  t.match(lines.join(''), /message 2 was dropped: the broker closes the connection whenever it is sent/);
});

t.test('a state that a broker never takes holds up nothing', async (t) => {
  const url = await startPubackBroker(t, ({ topic }) => (topic.endsWith('info') ? 0x80 : 0));
  const { telemetry, store, lines } = device(t, { mqtt: { url, reconnectMaxMs: 50 } });
  telemetry.publishState('info', infoState);
  for (let index = 0; index < 5; index += 1) telemetry.enqueue('counts/60', counts(index));
  await telemetry.start();
  await until(() => store.outbox.counters.rows === 0 && telemetry.counters.connections === 4, 'all went out');
  t.match(telemetry.counters, { sent: 5, refused: 0, connected: true });
  t.equal(lines.filter((line) => line.includes('info was refused')).length, 4, 'once for all to see');
  t.equal(lines.filter((line) => / ERROR /.test(line)).length, 1, lines.join(''));
});

t.test('what is refused for good is dropped at once', async (t) => {
  const url = await startPubackBroker(t, (message) => (isCounts(message) ? 0x87 : 0));
  const { telemetry, store } = device(t, { mqtt: { url } });
  for (let index = 0; index < 5; index += 1) telemetry.enqueue('counts/60', counts(index));
  await telemetry.start();
  await until(() => store.outbox.counters.rows === 0, 'the store is empty');
  t.match(telemetry.counters, { sent: 0, refused: 5, connections: 1, connected: true });
});
