// The connection on a real broker: availability, states, credentials, TLS, frames, settings that change.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { spawnOwned, stopChild } from '../../src/system/index.js';
import { Consumer } from '../helpers/consumer.js';
import {
  type Certificates,
  makeCertificates,
  skipWithoutMosquitto,
  skipWithoutOpenssl,
  until,
} from '../helpers/mosquitto.js';
import { broker, counts, device, infoState, localConfig, temporary } from './device.js';

const stateOf = (consumer: Consumer): unknown => consumer.last('availability')?.['state'];

t.test(
  'online, stopped, and offline when the process is killed',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await Consumer.open(url);
    t.teardown(() => consumer.close());

    const { telemetry, lines } = device(t, { mqtt: { url } });
    telemetry.publishState('info', infoState);
    await telemetry.start();
    await consumer.until((c) => stateOf(c) === 'online' && c.on('info').length === 1, 'online');
    t.ok(telemetry.counters.connected);
    await telemetry.stop();
    await consumer.until((c) => stateOf(c) === 'stopped', 'stopped');
    t.notOk(telemetry.counters.connected);

    const child = spawnOwned(
      process.execPath,
      [
        fileURLToPath(new URL('child.js', import.meta.url)),
        join(temporary(t), 'child.db'),
        JSON.stringify(localConfig({ mqtt: { url } }).value),
        '3',
      ],
      { stdio: 'ignore' },
    );
    t.teardown(() => stopChild(child, 0));
    await consumer.until((c) => stateOf(c) === 'online', 'the child is online');
    child.kill('SIGKILL');
    await consumer.until((c) => stateOf(c) === 'offline', 'the last will');

    const late = await Consumer.open(url);
    t.teardown(() => late.close());
    await late.until((c) => stateOf(c) === 'offline' && c.on('info').length === 1, 'both are retained');
    t.ok(late.on('availability')[0]?.retain);
    t.same([...consumer.invalid, ...late.invalid], []);
    t.notOk(
      lines.some((line) => line.includes('ERROR')),
      lines.join(''),
    );
  },
);

t.test(
  'states: newest value, only when changed, again after a reconnect',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const made = await broker(t);
    const { telemetry } = device(t, { mqtt: { url: made.url } });
    telemetry.publishState('info', { ...infoState, version: '1' });
    telemetry.publishState('info', { ...infoState, version: '2' });
    await telemetry.start();
    const consumer = await Consumer.open(made.url);
    t.teardown(() => consumer.close());
    await consumer.until((c) => c.last('info')?.['version'] === '2', 'the newest');
    telemetry.publishState('info', { ...infoState, version: '2' });
    telemetry.publishState('info', { ...infoState, version: '3' });
    await consumer.until((c) => c.last('info')?.['version'] === '3', 'the change');
    t.same(
      consumer.on('info').map(({ json }) => json['version']),
      ['2', '3'],
    );
    // @ts-expect-error the wrong type is what is tested
    telemetry.publishState('info', { ...infoState, version: 4 });
    t.equal(telemetry.counters.invalid, 1);

    // Without persistence the broker has forgotten everything.
    await made.kill();
    await until(() => !telemetry.counters.connected, 'the break is seen');
    await made.up();
    await until(() => telemetry.counters.connections === 2, 'the device is back');
    const late = await Consumer.open(made.url);
    t.teardown(() => late.close());
    await late.until(
      (c) => stateOf(c) === 'online' && c.on('config/reported').length > 0,
      'states are there',
    );
    await late.until((c) => c.last('info')?.['version'] === '3', 'info is there');
    t.same([...consumer.invalid, ...late.invalid], []);
  },
);

t.test(
  'a state that is too large for the broker is left out, all others go on',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const made = await broker(t, { extra: ['message_size_limit 2000'] });
    const consumer = await Consumer.open(made.url);
    t.teardown(() => consumer.close());
    const { telemetry, lines } = device(t, { mqtt: { url: made.url } });
    const large = (length: number) => ({
      ...infoState,
      zones: Array.from({ length }, (_, index) => `zone-${index}-${'x'.repeat(20)}`),
    });
    telemetry.publishState('info', large(100));
    telemetry.enqueue('counts/60', counts(1));
    await telemetry.start();
    await until(() => lines.some((line) => line.includes('is left out')), 'it is given up');
    await consumer.until(
      (c) => stateOf(c) === 'online' && c.on('config/reported').length > 0 && c.on('counts/60').length > 0,
      'the others are there',
    );
    const { connections } = telemetry.counters;
    telemetry.publishState('info', large(101));
    telemetry.enqueue('counts/60', counts(2));
    await consumer.until((c) => c.last('counts/60')?.['seq'] === 2, 'what comes later, too');
    t.match(
      telemetry.counters,
      { connected: true, connections, refused: 0 },
      'no connection is lost over it',
    );
    t.equal(consumer.on('info').length, 0);

    telemetry.publishState('info', large(2));
    await consumer.until((c) => c.on('info').length === 1, 'one that fits goes out');
    telemetry.publishState('info', large(3));
    await consumer.until((c) => c.on('info').length === 2, 'and the next');
    const told = lines.filter((line) => /info \(\d+ bytes\) is left out/.test(line));
    t.equal(told.length, 1, 'it is told once');
    t.equal(lines.filter((line) => line.includes('left out')).length, 1, 'no other is blamed');
    t.equal(telemetry.counters.connections, connections);
    t.same(consumer.invalid, []);
  },
);

t.test('MQTT 3.1.1 gets the same', { skip: skipWithoutMosquitto }, async (t) => {
  const { url } = await broker(t);
  const consumer = await Consumer.open(url, { protocolVersion: 4 });
  t.teardown(() => consumer.close());
  const { telemetry } = device(t, { mqtt: { url, protocolVersion: 4 }, telemetry: { frames: true } });
  telemetry.handle('log/level', () => ({ level: 'info', previous: 'warn' }));
  telemetry.publishState('info', infoState);
  telemetry.enqueue('counts/60', counts(1));
  await telemetry.start();
  await consumer.until((c) => stateOf(c) === 'online' && c.on('info').length === 1, 'states');
  await consumer.until((c) => c.on('counts/60').length === 1, 'counts');
  await consumer.send('cmd/log/level', '{"transaction":"t-1"}');
  await consumer.until((c) => c.on('res/log/level').length === 1, 'an answer');
  t.match(consumer.last('res/log/level'), { ok: true, transaction: 't-1', result: { level: 'info' } });
  await consumer.send('config/desired', '{"version":1,"changes":{}}', { retain: true });
  await consumer.until((c) => c.last('config/reported')?.['version'] === 1, 'a report');
  await telemetry.stop();
  await consumer.until((c) => stateOf(c) === 'stopped', 'stopped');
  t.same(consumer.invalid, []);
});

t.test(
  'frames: off unless asked for, rate limited, with an expiry',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await Consumer.open(url);
    t.teardown(() => consumer.close());
    const frame = {
      frame: 1,
      taken_at: '2026-01-01T00:00:00.000Z',
      width: 640,
      height: 360,
      detections: [{ class: 'car', score: 0.5, box: [0, 0, 1, 1] as [number, number, number, number] }],
    };
    const { telemetry } = device(t, { mqtt: { url } });
    await telemetry.start();
    await until(() => telemetry.counters.connected, 'connected');
    t.equal(telemetry.publishFrame(frame), false, 'off');
    t.equal(telemetry.counters.framesDropped, 0);
    await telemetry.configure(
      localConfig({
        mqtt: { url },
        telemetry: { frames: true, framesEveryMs: 3_600_000, framesExpirySeconds: 7 },
      }).config,
    );
    t.equal(telemetry.publishFrame(frame), true);
    t.equal(telemetry.publishFrame({ ...frame, frame: 2 }), false, 'too soon');
    await consumer.until((c) => c.on('telemetry').length > 0, 'a frame');
    const [received] = consumer.on('telemetry');
    t.match(received, { qos: 0, retain: false, json: { frame: 1 } });
    t.ok(received?.expiry !== undefined && received.expiry > 0 && received.expiry <= 7);
    t.match(telemetry.counters, { framesSent: 1, framesDropped: 1, connections: 1 });
    t.same(consumer.invalid, []);
  },
);

t.test(
  'changed settings: another broker, the old one is told; no broker at all',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const [first, second] = [await broker(t), await broker(t)];
    const one = await Consumer.open(first.url);
    const two = await Consumer.open(second.url);
    t.teardown(() => Promise.all([one.close(), two.close()]));
    const { telemetry } = device(t, { mqtt: { url: first.url } });
    await telemetry.start();
    await one.until((c) => stateOf(c) === 'online', 'online at the first');
    await telemetry.configure(localConfig({ mqtt: { url: second.url } }).config);
    await two.until((c) => stateOf(c) === 'online', 'online at the second');
    await one.until((c) => stateOf(c) === 'stopped', 'stopped at the first');
    await telemetry.configure(localConfig({ mqtt: { url: second.url, keepaliveSeconds: 60 } }).config);
    await until(() => telemetry.counters.connections === 3, 'a changed setting reconnects');
    await telemetry.configure(localConfig().config);
    await two.until((c) => stateOf(c) === 'stopped', 'stopped at the second');
    t.notOk(telemetry.counters.connected);
    t.same([...one.invalid, ...two.invalid], []);
  },
);

t.test('user and password: read at every attempt, never told', { skip: skipWithoutOpenssl }, async (t) => {
  const { url } = await broker(t, { users: { road: 'right-secret', watcher: 'w' } });
  const consumer = await Consumer.open(url, { username: 'watcher', password: 'w' });
  t.teardown(() => consumer.close());
  const passwordFile = join(temporary(t), 'password');
  const { telemetry, reasons, lines } = device(t, { mqtt: { url, username: 'road', passwordFile } });
  await telemetry.start();
  await until(() => reasons.length > 0, 'the missing file is told');
  t.equal(reasons[0], `mqtt.passwordFile ${passwordFile} does not exist`);
  writeFileSync(passwordFile, 'wrong-secret\n');
  await until(() => reasons.some((reason) => reason.includes('does not let')), 'the wrong password is told');
  t.match(reasons.at(-1), /^the broker does not (let this device in|accept mqtt.username)[^:]*/);
  writeFileSync(passwordFile, 'right-secret\nsecond line\n');
  await consumer.until((c) => stateOf(c) === 'online', 'the right password is taken up');
  t.notOk(
    lines.some((line) => line.includes('secret')),
    'no password in the log',
  );
  t.notOk(reasons.some((reason) => reason.includes('secret')));
});

t.test('TLS', { skip: skipWithoutOpenssl }, async (t) => {
  const folder = temporary(t);
  const certificates: Certificates = await makeCertificates(folder);
  const tls = { ca: [] as Buffer[], rejectUnauthorized: false };

  await t.test('the right authority', async (t) => {
    const { url } = await broker(t, { certificates });
    const consumer = await Consumer.open(url, tls);
    t.teardown(() => consumer.close());
    const { telemetry } = device(t, { mqtt: { url, caFile: certificates.ca } });
    await telemetry.start();
    await consumer.until((c) => stateOf(c) === 'online', 'online over TLS');
    await telemetry.stop();
    await consumer.until((c) => stateOf(c) === 'stopped', 'stopped over TLS');
  });

  await t.test('a wrong authority, no authority, a file that is none', async (t) => {
    const { url } = await broker(t, { certificates });
    const junk = join(folder, 'junk.pem');
    writeFileSync(junk, 'no certificate');
    for (const [caFile, sentence] of [
      [
        certificates.otherCa,
        /^the certificate of mqtts:\S+ is not signed by an authority that is trusted here: check mqtt.caFile$/,
      ],
      [
        undefined,
        /^the certificate of mqtts:\S+ is not signed by an authority that is trusted here: check mqtt.caFile$/,
      ],
      [junk, /^mqtt.caFile \S+ cannot be used: not in PEM form/],
    ] as const) {
      const { telemetry, reasons } = device(t, {
        mqtt: { url, ...(caFile === undefined ? {} : { caFile }) },
      });
      await telemetry.start();
      await until(() => reasons.length > 1, 'it is told, and tried again');
      t.match(reasons[0], sentence);
      t.equal(telemetry.counters.connections, 0);
    }
  });

  await t.test('a client certificate', async (t) => {
    const { url } = await broker(t, { certificates, requireClientCertificate: true });
    const without = device(t, { mqtt: { url, caFile: certificates.ca } });
    await without.telemetry.start();
    await until(() => without.reasons.length > 0, 'refused without one');
    t.equal(without.telemetry.counters.connections, 0);
    t.match(without.reasons[0], /client certificate|closed the connection|broke the connection off/);
    await without.telemetry.stop();
    const { telemetry } = device(t, {
      mqtt: {
        url,
        caFile: certificates.ca,
        certFile: certificates.clientCert,
        keyFile: certificates.clientKey,
      },
    });
    await telemetry.start();
    await until(() => telemetry.counters.connected, 'taken with one');
    const mixed = device(t, {
      device: 'other',
      mqtt: {
        url,
        caFile: certificates.ca,
        certFile: certificates.clientCert,
        keyFile: certificates.serverKey,
      },
    });
    await mixed.telemetry.start();
    await until(() => mixed.reasons.length > 0, 'a key that does not fit');
    t.match(mixed.reasons[0], /^mqtt.certFile \S+ and mqtt.keyFile \S+ cannot be used/);
  });

  await t.test('TLS asked of a broker without it', async (t) => {
    const made = await broker(t);
    const { telemetry, reasons } = device(t, { mqtt: { url: `mqtts://127.0.0.1:${made.port}` } });
    await telemetry.start();
    await until(() => reasons.length > 0, 'it is told');
    t.match(reasons[0], /does not speak TLS|closed the connection|broke the connection off/);
  });
});

t.test('nobody there', async (t) => {
  const { telemetry, reasons, lines } = device(t, { mqtt: { url: 'mqtt://127.0.0.1:1' } });
  await telemetry.start();
  await until(() => reasons.length > 2, 'three attempts');
  t.equal(reasons[0], 'nothing listens at mqtt://127.0.0.1:1');
  t.equal(lines.filter((line) => line.includes('WARN')).length, 1, 'one line for the same outage');
  await telemetry.stop();
});
