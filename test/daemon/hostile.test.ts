// A running daemon under everything that is malformed: commands, configurations, models and frames at once.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { messageOf } from '../../src/errors.js';
import { Consumer } from '../helpers/consumer.js';
import { DaemonProcess, installAll, pictureFolder, stateFolder, tinyAt } from '../helpers/daemon.js';
import { scaled } from '../helpers/fuzz.js';
import { skipWithoutMosquitto, startBroker } from '../helpers/mosquitto.js';

t.setTimeout(scaled(240_000));

const COMMANDS = scaled(1_000);
const CONFIGURATIONS = scaled(1_000);
const MODELS = scaled(200);
const PICTURES = scaled(100);

const A = tinyAt(8);

t.test(
  'one answer or report for each, the model, the configuration and the counts stay',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const stateDir = stateFolder(t);
    await installAll(stateDir, [A]);
    const broker = await startBroker();
    t.teardown(() => broker.remove());
    const consumer = await Consumer.open(broker.url);
    t.teardown(() => consumer.close());
    const frames = pictureFolder(join(stateDir, 'frames'), 8);
    const daemon = new DaemonProcess(stateDir, {
      camera: { kind: 'replay', path: frames, fps: 60 },
      counting: { intervals: [1] },
      mqtt: { url: broker.url, reconnectInitialMs: 20, reconnectMaxMs: 100 },
      telemetry: { frames: true, framesEveryMs: 0, healthEverySeconds: 1 },
    });
    t.teardown(() => daemon.end('SIGKILL'));
    await consumer.until((c) => c.on('telemetry').length > 3, 'frames are detected');
    await consumer.send('config/desired', '{"version":1,"changes":{"site":"before"}}');
    await consumer.until((c) => c.last('config/reported')?.['status'] === 'applied', 'version 1');
    const pid = (await daemon.call('model/list')) as { active: string };
    t.equal(pid.active, A.id);

    const name = fc.constantFrom(
      'model/use',
      'model/rollback',
      'log/level',
      'snapshot',
      'camera',
      'model/',
      'x',
    );
    const wrong = fc.oneof(
      fc.json({ maxDepth: 3 }),
      fc.string(),
      fc
        .record({ model: fc.oneof(fc.string(), fc.integer(), fc.constant('../../etc/passwd')) })
        .map((v) => JSON.stringify(v)),
      fc.record({ level: fc.string(), width: fc.double() }).map((v) => JSON.stringify(v)),
    );
    const answersTo = (): number => consumer.messages.filter(({ topic }) => topic.startsWith('res/')).length;
    let sent = 0;
    for (const [command, payload] of fc.sample(fc.tuple(name, wrong), COMMANDS)) {
      // `{}` and nothing at all are sound requests for some commands.
      if (command === 'camera' || command === 'model/') continue;
      sent += 1;
      await consumer.send(`cmd/${command}`, payload);
    }
    await consumer.until(() => answersTo() >= sent, 'every command is answered');
    t.equal(answersTo(), sent, 'with one answer each');

    const change = fc.oneof(
      fc.json({ maxDepth: 4 }),
      fc
        .record({
          version: fc.oneof(fc.integer(), fc.double(), fc.string()),
          changes: fc.dictionary(
            fc.constantFrom('camera', 'detector', 'mqtt', 'stateDir', 'lines', '__proto__', 'x'),
            fc.jsonValue({ maxDepth: 2 }),
            { minKeys: 1 },
          ),
        })
        .map((value) => JSON.stringify(value)),
    );
    let reports = 0;
    for (const payload of fc.sample(change, CONFIGURATIONS)) {
      await consumer.send('config/desired', payload);
      reports += 1;
    }
    await consumer.send('config/desired', '{"version":1,"changes":{"site":"before"}}');
    await consumer.until((c) => c.last('config/reported')?.['status'] === 'applied', 'version 1 is in force');
    t.equal(consumer.last('config/reported')?.['active_version'], 1);
    t.ok(reports >= CONFIGURATIONS);

    const broken = fc
      .tuple(fc.nat(A.bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), fc.boolean())
      .map(([at, mask, cut, manifest]) => ({
        model: cut
          ? A.bytes.subarray(0, at)
          : A.bytes.map((byte, index) => (index === at && !manifest ? byte ^ mask : byte)),
        manifest: manifest ? JSON.stringify(A.manifest).slice(0, at % 300) : JSON.stringify(A.manifest),
      }));
    const folder = join(stateDir, 'broken');
    mkdirSync(folder);
    let refused = 0;
    for (const { model, manifest } of fc.sample(broken, MODELS)) {
      writeFileSync(join(folder, 'model.onnx'), model);
      writeFileSync(join(folder, 'manifest.json'), manifest);
      try {
        await daemon.call('model/install', { folder });
        t.fail('a broken model was installed');
      } catch (error) {
        refused += 1;
        if (/[\n\r]/.test(messageOf(error))) t.fail(`not one sentence: ${messageOf(error)}`);
      }
    }
    t.equal(refused, MODELS);

    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 500 }),
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Uint8Array.of(0xff, 0xd8, 0xff, ...bytes, 0xff, 0xd9)),
    );
    for (const [index, bytes] of fc.sample(noise, PICTURES).entries()) {
      writeFileSync(join(frames, 'next'), bytes);
      renameSync(join(frames, 'next'), join(frames, `z${index % 20}.jpg`));
    }
    const detectedBefore = consumer.on('telemetry').length;
    await daemon.call('camera/restart');
    await consumer.until(
      (c) => Number((c.last('health')?.['frames'] as { bad: number }).bad) > 0,
      'bad frames are counted',
    );
    await consumer.until((c) => c.on('telemetry').length > detectedBefore + 20, 'good frames go on');

    t.match(await daemon.call('model/list'), { active: A.id, models: { length: 1 } });
    t.equal(consumer.last('availability')?.['state'], 'online');
    t.equal(consumer.on('availability').length, 1, 'it never went away');
    t.same(consumer.invalid, []);
    t.equal(await daemon.end(), 0);
  },
);
