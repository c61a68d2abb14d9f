// The whole daemon as its users meet it: a process, a camera, a broker, a consumer, a control socket.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { packageRoot, runBounded } from '../../src/system/index.js';
import { decodeJpeg } from '../../src/vision/index.js';
import { Consumer } from '../helpers/consumer.js';
import {
  CLASSES,
  DaemonProcess,
  installAll,
  isAlive,
  leapingClock,
  pictureFolder,
  processesBelow,
  stateFolder,
  tinyAt,
} from '../helpers/daemon.js';
import { skipWithoutMosquitto, startBroker, until } from '../helpers/mosquitto.js';

t.setTimeout(300_000);

const [A, B] = [tinyAt(8), tinyAt(30)];
const NAN = tinyAt(45, { nan: true });

const setUp = async (t: Tap, more: object = {}, env: Readonly<Record<string, string>> = {}) => {
  const stateDir = stateFolder(t);
  await installAll(stateDir, [A, B, NAN]);
  const broker = await startBroker();
  t.teardown(() => broker.remove());
  const consumer = await Consumer.open(broker.url);
  t.teardown(() => consumer.close());
  const config = {
    camera: { kind: 'replay', path: pictureFolder(join(stateDir, 'frames')), fps: 30 },
    swap: { canaryFrames: 3, maxLatencyRatio: 100 },
    counting: { intervals: [1] },
    mqtt: { url: broker.url, reconnectInitialMs: 20, reconnectMaxMs: 100 },
    telemetry: { frames: true, framesEveryMs: 0, healthEverySeconds: 1 },
    ...more,
  };
  const daemon = new DaemonProcess(stateDir, config, { env });
  t.teardown(() => daemon.end('SIGKILL'));
  return { stateDir, broker, consumer, daemon, config };
};

/** The left edge of the box in the newest frame message, in pixels. */
const answer = (consumer: Consumer): number => {
  const detections = consumer.last('telemetry')?.['detections'] as { box: number[] }[] | undefined;
  return Math.round((detections?.[0]?.box[0] ?? -1) * 64);
};

t.test(
  'from the camera to the consumer: detections, counts, states, swaps',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { consumer, daemon } = await setUp(t, {
      telemetry: { frames: true, framesEveryMs: 0, healthEverySeconds: 1, snapshots: true },
      masks: [
        {
          name: 'left',
          polygon: [
            [0, 0],
            [0.5, 0],
            [0.5, 1],
            [0, 1],
          ],
        },
      ],
    });
    await consumer.until(() => answer(consumer) === 8, 'frames are detected');
    t.match(consumer.last('availability'), { state: 'online' });
    t.match(consumer.last('info'), { camera: { kind: 'replay' } });
    await consumer.until(() => consumer.last('model/state')?.['status'] === 'serving', 'the model serves');

    await consumer.send('cmd/model/use', JSON.stringify({ model: 'tiny-30', transaction: 'swap-1' }));
    await consumer.until((c) => c.last('res/model/use') !== undefined, 'the swap is answered');
    t.match(consumer.last('res/model/use'), {
      ok: true,
      transaction: 'swap-1',
      result: { active: B.id, previous: A.id },
    });
    await consumer.until(() => answer(consumer) === 30, 'the new model answers');
    await consumer.until(
      (c) => (c.last('model/state') as { active?: { id: string } }).active?.id === B.id,
      'its state is told',
    );

    await consumer.send('cmd/model/use', JSON.stringify({ model: NAN.id }));
    await consumer.until((c) => c.on('res/model/use').length === 2, 'the refusal is answered');
    t.match(consumer.last('res/model/use'), { ok: false, error: { code: 'SWAP_FAILED' } });
    await consumer.until((c) => c.last('event/model')?.['step'] === 'failed', 'and told');
    t.match(consumer.last('event/model'), { model: NAN.id, active: B.id });

    t.match(await daemon.call('model/rollback'), { active: A.id });
    await consumer.until(() => answer(consumer) === 8, 'the first model answers again');
    const steps = consumer.on('event/model').map(({ json }) => `${String(json['step'])}`);
    t.same(steps.slice(0, 7), ['started', 'warm', 'requested', 'started', 'warm', 'canary', 'committed']);

    const snapshot = (await daemon.call('snapshot', { width: 64 })) as { data: string };
    const image = decodeJpeg(Buffer.from(snapshot.data, 'base64'));
    t.ok((image.data[3 * (32 * 64 + 8)] ?? 255) < 30, 'the mask is black');
    t.ok((image.data[3 * (32 * 64 + 56)] ?? 0) > 40, 'the rest is the picture');
    t.match(await daemon.call('camera/restart'), { first_frame_ms: Number });
    t.match(await daemon.call('log/level', { level: 'debug' }), { level: 'debug', previous: 'info' });

    await consumer.until((c) => c.on('counts/1').length > 1, 'intervals close');
    await consumer.until((c) => Number(c.last('health')?.['fps']) > 0, 'health is told');
    const order = consumer.messages
      .filter(({ json }) => typeof json['seq'] === 'number')
      .map(({ json }) => json['seq']);
    t.same(
      order,
      [...order].sort((a, b) => Number(a) - Number(b)),
      'the outbox is in order',
    );

    const below = processesBelow(daemon.child.pid ?? -1);
    t.ok(below.length >= 1, 'there is a detector process');
    t.equal(await daemon.end(), 0);
    await consumer.until((c) => c.last('availability')?.['state'] === 'stopped', 'the goodbye');
    t.same(below.filter(isAlive), [], 'nothing is left running');
    t.same(consumer.invalid, [], 'every message fits its schema');
    t.match(daemon.out, /frames detected/);
  },
);

t.test(
  'configuration from afar and from the file: taken up while it runs, bad ones change nothing',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { consumer, daemon, config } = await setUp(t);
    await consumer.until(() => answer(consumer) === 8, 'frames are detected');
    const want = async (version: number, changes: object): Promise<Readonly<Record<string, unknown>>> => {
      await consumer.send('config/desired', JSON.stringify({ version, changes }), { retain: true });
      const settled = (c: Consumer): boolean => {
        const reported = c.last('config/reported');
        return (
          reported?.['version'] === version &&
          (reported['status'] !== 'pending' || (reported['restart_required'] as unknown[]).length > 0)
        );
      };
      await consumer.until(settled, `version ${version} is reported`);
      return consumer.last('config/reported') ?? {};
    };
    t.match(await want(1, { counting: { intervals: [2] }, detector: { scoreThreshold: 0.95 } }), {
      status: 'applied',
      errors: [],
      active_version: 1,
    });
    await consumer.until(
      (c) => (c.last('telemetry')?.['detections'] as unknown[]).length === 0,
      'the threshold holds',
    );
    t.match(await want(2, { detector: { scoreThreshold: 7 } }), {
      status: 'rejected',
      active_version: 1,
      errors: [/scoreThreshold/],
    });
    t.match(await want(3, { camera: { path: '/etc' } }), {
      status: 'rejected',
      active_version: 1,
      errors: [/remote/],
    });
    t.match(
      await want(4, { counting: { intervals: [1] }, lines: [{ name: 'l', from: [0, 0], to: [1, 1] }] }),
      { status: 'applied', active_version: 4 },
    );
    await consumer.until(
      () => answer(consumer) === 8,
      'the old threshold is back: a change set is whole each time',
    );
    await consumer.until((c) => JSON.stringify(c.last('info')).includes('"l"'), 'the line is told');

    daemon.configure({ ...config, site: 'north bridge' });
    daemon.child.kill('SIGHUP');
    await consumer.until((c) => c.last('info')?.['site'] === 'north bridge', 'the file is read again');
    daemon.configure({ ...config, camera: { kind: 'balloon' } });
    daemon.child.kill('SIGHUP');
    await daemon.says(/the configuration stays as it is/);
    const seen = consumer.on('telemetry').length;
    await consumer.until((c) => c.on('telemetry').length > seen + 5, 'it goes on');
    t.same(consumer.invalid, []);
  },
);

t.test(
  'health goes on when the clock is set back past the start',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { consumer, daemon } = await setUp(t, {}, leapingClock(-7_200_000));
    const lastUptime = (): number => Number(consumer.last('health')?.['uptime_s'] ?? -1);
    await consumer.until((c) => c.on('health').length > 1, 'health is told');
    const before = lastUptime();
    daemon.child.kill('SIGUSR2');
    const seen = consumer.on('health').length;
    await consumer.until((c) => c.on('health').length > seen + 2, 'and told on');
    t.ok(lastUptime() > before, `${lastUptime()} after ${before}`);
    t.same(consumer.invalid, []);
  },
);

t.test('masks come first, and those before them stay until the change is over', async (t) => {
  const stateDir = stateFolder(t);
  await installAll(stateDir, [A]);
  const half = (from: number) => ({
    name: 'half',
    polygon: [
      [from, 0],
      [from + 0.5, 0],
      [from + 0.5, 1],
      [from, 1],
    ],
  });
  const camera = { kind: 'replay', path: pictureFolder(join(stateDir, 'frames')), stallTimeoutMs: 500 };
  const config = { camera, telemetry: { snapshots: true }, masks: [half(0)] };
  const daemon = new DaemonProcess(stateDir, config);
  t.teardown(() => daemon.end('SIGKILL'));
  await daemon.says(/warm/);
  const black = async (): Promise<readonly boolean[]> => {
    const { data } = (await daemon.call('snapshot', { width: 64 })) as { data: string };
    const image = decodeJpeg(Buffer.from(data, 'base64'));
    return [8, 56].map((x) => (image.data[3 * (32 * 64 + x)] ?? 0) < 30);
  };
  t.same(await black(), [true, false], 'the left half');

  // A camera that shows nothing is taken back, which takes its time.
  daemon.configure({ ...config, camera: { ...camera, path: join(stateDir, 'nowhere') }, masks: [half(0.5)] });
  daemon.child.kill('SIGHUP');
  await until(() => /nowhere/.test(daemon.log), 'the change is under way');
  t.same(await black(), [true, true], 'both, while it is tried');
  await daemon.says(/is taken back: the camera delivered no frame/);
  const looks = async (wanted: readonly boolean[]): Promise<void> => {
    for (let left = 300; left > 0; left -= 1) {
      if (JSON.stringify(await black()) === JSON.stringify(wanted)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.same(await black(), wanted);
  };
  await looks([true, false]);

  daemon.configure({ ...config, masks: [half(0.5)] });
  daemon.child.kill('SIGHUP');
  await looks([false, true]);
  t.equal(await daemon.end(), 0);
});

t.test(
  'a SIGKILL: no process is left, the will is told, the next start goes on with its model and its numbers',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { stateDir, consumer, daemon, config } = await setUp(t);
    await consumer.until(() => answer(consumer) === 8, 'frames are detected');
    await daemon.call('model/use', { model: B.id });
    const below = processesBelow(daemon.child.pid ?? -1);
    await daemon.end('SIGKILL');
    await consumer.until((c) => c.last('availability')?.['state'] === 'offline', 'the last will');
    await until(() => !below.some(isAlive), 'its processes end with it');
    const highest = Math.max(...consumer.messages.map(({ json }) => Number(json['seq'] ?? 0)));
    const again = new DaemonProcess(stateDir, config);
    t.teardown(() => again.end('SIGKILL'));
    const before = consumer.messages.length;
    await until(
      () =>
        consumer.messages.slice(before).some(({ topic }) => topic === 'telemetry') && answer(consumer) === 30,
      'the model that was swapped in serves',
    );
    await until(
      () => consumer.messages.slice(before).some(({ json }) => Number(json['seq'] ?? 0) > highest),
      'numbers go on',
    );
    t.equal(await again.end(), 0);
    t.same(consumer.invalid, []);
  },
);

t.test('two daemons on one state folder: the second refuses, the first goes on', async (t) => {
  const stateDir = stateFolder(t);
  await installAll(stateDir, [A]);
  const config = { camera: { kind: 'replay', path: pictureFolder(join(stateDir, 'frames')), fps: 10 } };
  const first = new DaemonProcess(stateDir, config);
  t.teardown(() => first.end('SIGKILL'));
  await first.says(/warm/);
  const second = new DaemonProcess(stateDir, config);
  t.teardown(() => second.end('SIGKILL'));
  await until(() => second.child.exitCode !== null, 'the second ends', 60_000);
  t.equal(second.child.exitCode, 1);
  t.match(second.log, /in use by process \d+ \(bitlane run\)/);
  t.match(await first.call('model/list'), { active: A.id });
  t.equal(await first.end('SIGINT'), 0);
  t.notOk(existsSync(join(stateDir, 'control.sock')), 'the socket is gone with it');
});

t.test('the command line installs, lists, swaps and goes back while the daemon runs', async (t) => {
  const stateDir = stateFolder(t);
  await installAll(stateDir, [A]);
  const camera = { kind: 'replay', path: pictureFolder(join(stateDir, 'frames')), fps: 30 };
  const daemon = new DaemonProcess(stateDir, { camera, swap: { canaryFrames: 3, maxLatencyRatio: 100 } });
  t.teardown(() => daemon.end('SIGKILL'));
  await daemon.says(/warm/);
  const models = async (...args: string[]): Promise<Record<string, unknown>> => {
    const script = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
    const result = await runBounded(
      process.execPath,
      [script, 'models', ...args, '--config', daemon.configPath, '--json'],
      { deadlineMs: 120_000 },
    );
    return JSON.parse(result.stdout) as Record<string, unknown>;
  };
  const file = join(stateDir, 'b.onnx');
  writeFileSync(file, B.bytes);
  t.match(await models('import', file, '--head', 'yolox', '--names', CLASSES.join(',')), {
    id: B.id,
    active: false,
  });
  t.match(await models('list'), { active: A.id, models: { length: 2 } });
  t.match(await models('use', B.id.slice(0, 8)), { active: B.id, previous: A.id });
  t.match(await models('rollback'), { active: A.id });
  t.match(await models('use', 'nothing'), { error: { code: 'NO_SUCH_MODEL' } });
  t.equal(await daemon.end(), 0);
  t.match(
    await models('list'),
    { active: A.id, previous: B.id },
    'and without it the registry itself answers',
  );
  t.match(await models('use', B.id), { active: B.id, generation: 0 });
  t.match(await models('remove', B.id), { error: { code: 'BUSY' } }, 'what serves stays');
  await installAll(stateDir, [NAN]);
  t.match(await models('remove', NAN.id), { removed: NAN.id });
  t.match(await models('list'), { models: { length: 2 } });
});

t.test('a file that ends ends the daemon, with what it saw', async (t) => {
  const stateDir = stateFolder(t);
  await installAll(stateDir, [A]);
  const camera = {
    kind: 'replay',
    path: pictureFolder(join(stateDir, 'frames'), 25),
    pace: 'fast',
    loop: false,
  };
  const daemon = new DaemonProcess(stateDir, { camera }, { json: true });
  t.teardown(() => daemon.end('SIGKILL'));
  await until(() => daemon.child.exitCode !== null, 'it ends by itself', 60_000);
  t.equal(daemon.child.exitCode, 0);
  t.same(
    JSON.parse(daemon.out),
    { detected: 25, skipped: 0, tracks: 1, crossings: [] },
    'as fast as possible leaves no frame out',
  );
});

t.test('what keeps it from starting is one plain sentence', async (t) => {
  const stateDir = stateFolder(t);
  const none = new DaemonProcess(stateDir, { camera: { kind: 'replay', path: stateDir } });
  await until(() => none.child.exitCode !== null, 'it ends', 60_000);
  t.equal(none.child.exitCode, 2);
  t.match(none.log, /no model is installed in .*models import/);
  const bad = new DaemonProcess(stateDir, { camera: { kind: 'replay', path: stateDir }, lines: 3 });
  await until(() => bad.child.exitCode !== null, 'it ends', 60_000);
  t.equal(bad.child.exitCode, 2);
  t.match(bad.log, /^bitlane: .*lines/m);
  t.equal(readFileSync(bad.configPath, 'utf8').includes('lines: 3'), true);
});
