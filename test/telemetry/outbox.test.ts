// The outbox on a real broker: in order and complete over outages, kills and a broker that freezes.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { openStore } from '../../src/store/index.js';
import { spawnOwned, stopChild } from '../../src/system/index.js';
import { Consumer } from '../helpers/consumer.js';
import { skipWithoutMosquitto, until } from '../helpers/mosquitto.js';
import { broker, counts, device, firstAppearances, localConfig, temporary } from './device.js';

t.setTimeout(180_000);

const seqsOf = (consumer: Consumer): number[] =>
  consumer.on('counts/60').map(({ json }) => Number(json['seq']));

/** A consumer for whom the broker keeps messages while it is away itself. */
const lasting = async (t: Test, url: string): Promise<Consumer> => {
  const consumer = await Consumer.open(url, {
    clientId: 'consumer',
    clean: false,
    properties: { sessionExpiryInterval: 3_600 },
  });
  t.teardown(() => consumer.close());
  return consumer;
};

/** Complete, and nothing for the first time after its successor. */
const inOrder = (t: Test, consumer: Consumer, expected: readonly number[]): void => {
  const { order, repeated } = firstAppearances(seqsOf(consumer));
  t.same(order, expected);
  t.comment(`${expected.length} messages, ${repeated} of them twice`);
  t.same(consumer.invalid, []);
};

t.test(
  'what was stored before goes out in order, marked, and leaves the store',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await lasting(t, url);
    const { telemetry, store } = device(t, { mqtt: { url } });
    const seqs = Array.from(
      { length: 300 },
      (_, index) => telemetry.enqueue('counts/60', counts(index)) ?? 0,
    );
    await telemetry.start();
    await consumer.until((c) => seqsOf(c).length >= 300, 'all of them');
    const fresh = telemetry.enqueue('event/model', {
      step: 'committed',
      model: null,
      active: null,
      generation: 1,
    });
    await consumer.until((c) => c.on('event/model').length === 1, 'a fresh one');
    inOrder(t, consumer, seqs);
    t.ok(consumer.on('counts/60').every(({ json }) => json['replayed'] === true));
    t.match(consumer.last('event/model'), { replayed: false, seq: fresh });
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    t.match(telemetry.counters, { sent: 301, resent: 0, refused: 0, expired: 0 });
    // @ts-expect-error what does not fit its schema is not stored
    t.equal(telemetry.enqueue('counts/60', { ...counts(1), lines: 'none' }), undefined);
    t.equal(telemetry.enqueue('counts/1.5', counts(1)), undefined);
    t.equal(telemetry.counters.invalid, 2);
  },
);

t.test('the broker goes away again and again', { skip: skipWithoutMosquitto }, async (t) => {
  const made = await broker(t, { persistent: true });
  const consumer = await lasting(t, made.url);
  const { telemetry, store } = device(t, { mqtt: { url: made.url } });
  await telemetry.start();
  await until(() => telemetry.counters.connected, 'connected');
  const seqs: number[] = [];
  const send = (amount: number): void => {
    for (let index = 0; index < amount; index += 1) {
      seqs.push(telemetry.enqueue('counts/60', counts(index)) ?? 0);
    }
  };
  for (let round = 0; round < 4; round += 1) {
    // A machine that looks too late, when all is sent, looks again.
    do {
      send(400);
      const before = telemetry.counters.sent;
      await until(() => telemetry.counters.sent > before + 10, 'the pump runs');
    } while (store.outbox.counters.rows === 0);
    t.ok(store.outbox.counters.rows > 0, 'cut off in the middle');
    await made.down();
    send(100);
    await made.up();
    await until(() => telemetry.counters.connected, 'back again');
  }
  await until(() => store.outbox.counters.rows === 0, 'the store is empty');
  await consumer.until((c) => new Set(seqsOf(c)).size === seqs.length, 'all have arrived');
  inOrder(t, consumer, seqs);
  t.ok(telemetry.counters.connections >= 5);
});

t.test(
  'SIGKILL of the device: what it said it stored arrives, in order',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const made = await broker(t, { persistent: true });
    const consumer = await lasting(t, made.url);
    const path = join(temporary(t), 'bitlane.db');
    const stored: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      // Every other time the broker is away.
      if (round % 2 === 1) await made.down();
      const child = spawnOwned(
        process.execPath,
        [
          fileURLToPath(new URL('child.js', import.meta.url)),
          path,
          JSON.stringify(localConfig({ mqtt: { url: made.url } }).value),
          '100000',
        ],
        { stdio: ['ignore', 'pipe', 'ignore'] },
      );
      t.teardown(() => stopChild(child, 0));
      const before = stored.length;
      const output = child.stdout;
      if (output === null) throw new Error('no output');
      const ended = new Promise((resolve) => child.once('close', resolve));
      createInterface(output).on('line', (line) => stored.push(Number(line)));
      await until(() => stored.length > before + 150 + 37 * round, 'some are stored');
      child.kill('SIGKILL');
      await ended;
      if (round % 2 === 1) await made.up();
    }
    const store = openStore(path);
    const { telemetry } = device(t, { mqtt: { url: made.url } }, { store });
    await telemetry.start();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    await consumer.until((c) => new Set(seqsOf(c)).has(stored.at(-1) ?? -1), 'the last has arrived');
    const { order, repeated } = firstAppearances(seqsOf(consumer));
    const arrived = new Set(order);
    t.same(
      stored.filter((seq) => !arrived.has(seq)),
      [],
      'none is lost',
    );
    t.same(
      order,
      order.toSorted((a, b) => a - b),
      'in order',
    );
    t.ok(stored.length > 800);
    t.comment(`${stored.length} stored, ${order.length} arrived, ${repeated} of them twice`);
    t.same(consumer.invalid, []);
  },
);

t.test(
  'a message that the broker refuses for good does not hold up the others',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t, { extra: ['message_size_limit 2000'] });
    const consumer = await lasting(t, url);
    const { telemetry, store, lines } = device(t, { mqtt: { url } });
    const large = {
      ...counts(1),
      zones: Array.from({ length: 100 }, (_, index) => ({ zone: `zone-${index}`, class: 'car', count: 1 })),
    };
    telemetry.enqueue('counts/60', counts(0));
    telemetry.enqueue('counts/60', large);
    telemetry.enqueue('counts/60', counts(2));
    await telemetry.start();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    await consumer.until((c) => new Set(seqsOf(c)).size === 2, 'the others');
    inOrder(t, consumer, [1, 3]);
    t.match(telemetry.counters, { sent: 2, refused: 1 });
    t.ok(
      lines.some((line) =>
        /message 2 was dropped: the broker closes the connection whenever it is sent/.test(line),
      ),
    );
  },
);

t.test(
  'a topic that the device may not write: refused, told, and the rest goes on',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const rules = join(temporary(t), 'rules');
    writeFileSync(
      rules,
      [
        'readwrite bitlane/camera/counts/#',
        'readwrite bitlane/camera/availability',
        'readwrite bitlane/camera/config/#',
        'read bitlane/camera/#',
      ]
        .map((rule) => `topic ${rule}\n`)
        .join(''),
    );
    const { url } = await broker(t, { extra: [`acl_file ${rules}`] });
    const consumer = await lasting(t, url);
    const { telemetry, store, lines } = device(t, { mqtt: { url } });
    const seqs = [telemetry.enqueue('counts/60', counts(1)) ?? 0];
    telemetry.enqueue('event/model', { step: 'started', model: null, active: null, generation: 1 });
    seqs.push(telemetry.enqueue('counts/60', counts(2)) ?? 0);
    await telemetry.start();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    await consumer.until((c) => new Set(seqsOf(c)).size === 2, 'the others');
    inOrder(t, consumer, seqs);
    t.match(telemetry.counters, { sent: 2, refused: 1 });
    // mosquitto 2.0.11 hangs up over it, others answer with a reason code.
    t.ok(lines.some((line) => /message 2 (for event\/model was refused and|was) dropped: /.test(line)));
  },
);

t.test(
  'a broker that takes only small packets says so beforehand',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t, { extra: ['max_packet_size 1000'] });
    const { telemetry, store } = device(t, { mqtt: { url } });
    const zones = Array.from({ length: 100 }, (_, index) => ({
      zone: `zone-${index}`,
      class: 'car',
      count: 1,
    }));
    telemetry.enqueue('counts/60', { ...counts(1), zones });
    telemetry.enqueue('counts/60', counts(2));
    await telemetry.start();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    t.match(telemetry.counters, { sent: 1, refused: 1, connections: 1 });
  },
);

t.test('a message that is too old is not sent', { skip: skipWithoutMosquitto }, async (t) => {
  const { url } = await broker(t);
  const consumer = await lasting(t, url);
  const { telemetry, store } = device(t, { mqtt: { url } });
  const kind = { kind: 'telemetry', bootId: '00000000-0000-4000-8000-000000000000' } as const;
  store.outbox.append('counts/60', JSON.stringify(counts(1)), { ...kind, expirySeconds: 0 });
  store.outbox.append('counts/60', JSON.stringify(counts(2)), { ...kind, expirySeconds: 600 });
  store.outbox.append('counts/60', '{torn', kind);
  await until(() => Date.now() > (store.outbox.peek(0, 1)[0]?.createdMs ?? 0), 'it is in the past');
  await telemetry.start();
  await until(() => store.outbox.counters.rows === 0, 'the store is empty');
  await consumer.until((c) => seqsOf(c).length === 1, 'the young one');
  t.same(seqsOf(consumer), [2]);
  t.ok((consumer.on('counts/60')[0]?.expiry ?? 0) > 0);
  t.match(telemetry.counters, { sent: 1, expired: 1, refused: 1 });
});
