// Hard examples through the whole daemon: from the camera to the message, the command, the command line.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openDataSet } from '../../src/evaluation/index.js';
import { decodeJpeg } from '../../src/vision/index.js';
import { json, run, runMany } from '../cli/lines.js';
import { Consumer } from '../helpers/consumer.js';
import { CLASSES, DaemonProcess, installAll, pictureFolder, stateFolder } from '../helpers/daemon.js';
import { skipWithoutMosquitto, startBroker, until } from '../helpers/mosquitto.js';
import { tinyDetector } from '../helpers/tinyModel.js';

t.setTimeout(240_000);

interface Listed {
  readonly total: number;
  readonly examples: readonly { readonly id: string; readonly pair: string }[];
}

t.test(
  'a vehicle that the model cannot tell: stored, told, labelled, exported, purged',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const stateDir = stateFolder(t);
    const place = { x1: 20, y1: 20, x2: 44, y2: 44 };
    const unsure = tinyDetector({
      head: 'yolox',
      classes: CLASSES,
      boxes: [
        { ...place, classId: 0, score: 0.6 },
        { ...place, classId: 1, score: 0.55 },
      ],
    });
    await installAll(stateDir, [unsure]);
    const broker = await startBroker();
    t.teardown(() => broker.remove());
    const consumer = await Consumer.open(broker.url);
    t.teardown(() => consumer.close());
    const config = {
      camera: { kind: 'replay', path: pictureFolder(join(stateDir, 'frames')), fps: 30 },
      swap: { canaryFrames: 3, maxLatencyRatio: 100 },
      tracking: { minHits: 1, maxLostMs: 100 },
      mqtt: { url: broker.url, reconnectInitialMs: 20, reconnectMaxMs: 100 },
      examples: { flushSeconds: 0.2, reserveMb: 0, stableFrames: 2, stableShare: 0.5 },
      confusions: { publishSeconds: 1, pinned: [['car', 'truck']], banned: [['car', 'lorry']] },
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
    };
    const daemon = new DaemonProcess(stateDir, config);
    t.teardown(() => daemon.end('SIGKILL'));
    await daemon.says(/running/);
    const count = async (): Promise<Listed> => (await daemon.call('examples/list')) as Listed;
    await consumer.until((c) => Number(c.last('health')?.['fps'] ?? 1) > 0, 'it runs');
    await until(() => /watching|warm|running/.test(daemon.log), 'the model serves', 60_000);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    t.match(daemon.log, /confusions\.banned names what the model that serves does not know.*lorry/);
    t.notMatch(daemon.log, /confusions\.pinned names/);
    // Nothing is seen any more: the track ends.
    daemon.configure({ ...config, detector: { scoreThreshold: 0.95 } });
    daemon.child.kill('SIGHUP');
    await consumer.until((c) => c.on('event/example').length > 0, 'the example is told');
    t.match(consumer.last('event/example'), {
      reason: 'margin',
      class: 'car',
      rival: 'truck',
      presumed_class: 'car',
      source: 'track',
      model: unsure.id,
    });
    const { total, examples } = await count();
    t.equal(total, 1);
    const id = examples[0]?.id ?? '';
    t.match(examples[0], { pair: 'car:truck', label: null });

    await t.rejects(daemon.call('examples/show', { example: id }), { message: /telemetry.snapshots/ });
    const { data } = (await daemon.call('examples/picture', { example: id })) as { data: string };
    const picture = decodeJpeg(Buffer.from(data, 'base64'));
    t.ok(picture.width >= 24 && picture.width < 64);
    t.ok((picture.data[0] ?? 255) < 30, 'the mask is black');
    t.ok((picture.data[3 * (picture.width - 1)] ?? 0) > 40, 'the rest is the picture');

    await consumer.send('cmd/examples/label', JSON.stringify({ example: id, class: 'lorry' }));
    await consumer.until((c) => c.on('res/examples/label').length === 1, 'the label is answered');
    t.match(consumer.last('res/examples/label'), { ok: false, error: { message: /no class of the model/ } });
    await consumer.send('cmd/examples/label', JSON.stringify({ example: id, class: 'Truck' }));
    await consumer.until((c) => c.on('res/examples/label').length === 2, 'the label is answered');
    t.match(consumer.last('res/examples/label'), { ok: true, result: { label: { class: 'truck' } } });
    await consumer.until(
      (c) => JSON.stringify(c.last('confusions')).includes('"operator":{"observations":1'),
      "the operator's word is in the confusions",
    );
    t.match(consumer.last('confusions'), {
      pairs: [{ a: 'car', b: 'truck', critical: true, because: 'pinned' }],
    });

    const path = ['--config', daemon.configPath, '--json'];
    const listed = await run('examples', 'list', '--labelled', ...path);
    t.match(json(listed.stdout), { total: 1, examples: [{ id, label: { class: 'truck' } }] });
    const out = join(stateDir, 'asked');
    const exported = await run('examples', 'export', '--out', out, ...path);
    t.match(json(exported.stdout), { pictures: 1, classes: ['truck'] }, exported.stderr);
    t.same(consumer.invalid, [], 'every message fits its schema');

    t.equal(await daemon.end(), 0);
    const confusions = await run('examples', 'confusions', ...path);
    t.match(json(confusions.stdout), { sources: { operator: { observations: 1 } } });
    const shown = await run('examples', 'show', id, '--out', join(stateDir, 'x.jpg'), ...path);
    t.match(json(shown.stdout), { id, reason: 'margin' });
    t.same(readFileSync(join(stateDir, 'x.jpg')), Buffer.from(data, 'base64'));
    t.match(json((await run('examples', 'label', id, '--none', ...path)).stdout), { label: { class: null } });
    t.match(json((await run('examples', 'label', id, 'car', ...path)).stdout), { label: { class: 'car' } });
    const coco = join(stateDir, 'coco');
    await run('examples', 'export', '--out', coco, '--layout', 'coco', '--crops', ...path);
    t.same(openDataSet(coco).classes, ['car']);
    t.match(
      (await run('examples', 'list', '--config', daemon.configPath)).stdout,
      new RegExp(`${id} +margin`),
    );
    t.match(json((await run('examples', 'purge', '--all', ...path)).stdout), { removed: 0 });
    t.match(json((await run('examples', 'purge', id, ...path)).stdout), { removed: 1 });
    t.same(readdirSync(join(stateDir, 'examples')), []);
  },
);

t.test('bad command lines get one sentence and exit code 2', async (t) => {
  const state = stateFolder(t);
  const cases = [
    [['list'], /no daemon has run there yet/],
    [['list', '--pair', 'car'], /--pair takes two classes/],
    [['list', '--labelled', '--unlabelled'], /exclude each other/],
    [['show', '../../etc/passwd'], /is no id of an example/],
    [['label', '20260504-081457-4f1c2a'], /name the class, or --none, or --clear/],
    [['label', '20260504-081457-4f1c2a', 'car', '--box', '1,2,3'], /--box takes x1,y1,x2,y2/],
    [['purge'], /name examples, --pair, --older-than or --all/],
    [['export', '--out', join(state, 'x'), '--layout', 'voc'], /--layout takes yolo, coco/],
    [['export', '--out', join(state, 'x'), '--sources', 'me'], /--sources takes operator, track, teacher/],
  ] as const;
  const printed = await runMany(
    state,
    cases.map(([args]) => ['examples', ...args, '--state', state]),
  );
  for (const [index, { code, stderr }] of printed.entries()) {
    t.equal(code, 2, (cases[index]?.[0] ?? []).join(' '));
    t.match(stderr, cases[index]?.[1] ?? /never/);
  }
});
