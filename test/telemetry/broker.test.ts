// The embedded broker: serves the device that runs it and programs beside it, comes back when it is killed, leaves nothing.
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { EmbeddedBroker } from '../../src/telemetry/index.js';
import { Consumer } from '../helpers/consumer.js';
import { freePort, isListening, until } from '../helpers/mosquitto.js';
import { device, infoState, listeningLog, localConfig } from './device.js';

const listening = async (port: number, wanted: boolean): Promise<void> => {
  let is = !wanted;
  const look = async (): Promise<void> => {
    while (is !== wanted) is = await isListening(port);
  };
  void look();
  await until(() => is === wanted, wanted ? 'it listens' : 'it does not listen');
};

const embedded = (t: Test, port: number): { readonly broker: EmbeddedBroker; readonly lines: string[] } => {
  const { log, lines } = listeningLog();
  const broker = new EmbeddedBroker(port, log);
  t.teardown(() => broker.stop());
  return { broker, lines };
};

/** Processes of this port's broker. */
const processes = (port: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return line.some((word) => word.endsWith('broker-child.js')) && line.includes(String(port));
      } catch {
        return false;
      }
    });

t.test('a device and a consumer on its broker, killed between', async (t) => {
  const port = await freePort();
  const { broker } = embedded(t, port);
  broker.start();
  await listening(port, true);
  const consumer = await Consumer.open(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  t.teardown(() => consumer.close());
  const { telemetry } = device(t, { mqtt: { embeddedPort: port } });
  telemetry.publishState('info', infoState);
  await telemetry.start();
  await consumer.until((c) => c.last('availability')?.['state'] === 'online', 'online');
  await consumer.until((c) => c.on('info').length === 1, 'info');
  const [first] = processes(port);
  if (first === undefined) throw new Error('the broker has a process');
  process.kill(first, 'SIGKILL');
  await until(() => !telemetry.counters.connected, 'the connection is gone');
  await until(() => telemetry.counters.connected, 'it is back');
  const late = await Consumer.open(`mqtt://127.0.0.1:${port}`, { protocolVersion: 4 });
  t.teardown(() => late.close());
  await late.until((c) => c.on('info').length > 0, 'states are published again');
  t.ok(late.on('info')[0]?.retain);
  t.same([...consumer.invalid, ...late.invalid], []);
  await telemetry.stop();
  await broker.stop();
  t.same(processes(port), []);
  t.notOk(await isListening(port));
});

t.test('it waits for its port, and what is no MQTT does not end it', async (t) => {
  const taken = createServer();
  const port = await new Promise<number>((resolve) =>
    taken.listen(0, '127.0.0.1', () => {
      const address = taken.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    }),
  );
  const { broker, lines } = embedded(t, port);
  broker.start();
  await until(() => lines.some((line) => line.includes('is away: ')), 'it says that the port is taken');
  t.match(lines.join(''), /EADDRINUSE/);
  await new Promise((resolve) => taken.close(resolve));
  await listening(port, true);
  const [pid] = processes(port);
  for (const bytes of [[0x10, 0xff, 0xff, 0xff, 0xff, 0x01], [0], [0x30, 0x02, 0, 9], [0xff, 0xff]]) {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.on('error', () => undefined);
    socket.end(Buffer.from(bytes));
    await new Promise((resolve) => socket.once('close', resolve));
  }
  t.ok(await isListening(port));
  t.same(processes(port), [pid]);
  const outside = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4');
  if (outside !== undefined) {
    const refused = await new Promise<boolean>((resolve) => {
      const socket = connect(port, outside.address);
      socket.once('connect', () => {
        socket.destroy();
        resolve(false);
      });
      socket.once('error', () => resolve(true));
    });
    t.ok(refused, 'nothing outside of the device reaches it');
  }
});

t.test('it stands in for an address, and does not go with one', (t) => {
  const both = { mqtt: { embeddedPort: 1883, url: 'mqtt://broker.example' } };
  t.throws(() => localConfig(both), /embeddedPort.*must not be given together with url/s);
  const port = localConfig({ mqtt: { embeddedPort: 1883 } }).config.mqtt.embeddedPort;
  t.equal(port, 1883);
  t.end();
});
