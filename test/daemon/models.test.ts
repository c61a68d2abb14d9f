import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { type Config, parseConfig } from '../../src/config/index.js';
import { findModel } from '../../src/daemon/installed.js';
import { ModelService, type ModelStep } from '../../src/daemon/models.js';
import type { FrameResult } from '../../src/detector/index.js';
import { Registry } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { tinyAt } from '../helpers/daemon.js';
import type { TinyDetector } from '../helpers/tinyModel.js';

const SIDE = 64;

const jpeg = encodeJpeg(
  { format: 'rgb24', width: SIDE, height: SIDE, data: new Uint8Array(3 * SIDE * SIDE).fill(90) },
  80,
);

const setUp = async (t: Tap, models: readonly TinyDetector[], change: object = {}) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'bitlane-models-'));
  const registry = new Registry({ stateDir });
  await registry.start();
  for (const model of models) await registry.install(model.bytes, model.manifest);
  const config: Config = parseConfig({
    stateDir,
    camera: { kind: 'replay', path: '/nowhere' },
    detector: { restartInitialMs: 10, restartMaxMs: 50, frameTimeoutMs: 20_000, startTimeoutMs: 30_000 },
    swap: { canaryFrames: 3, maxLatencyRatio: 100 },
    ...change,
  });
  const service = new ModelService({ registry, config, log: silentLog });
  const steps: ModelStep[] = [];
  const results: FrameResult[] = [];
  service.on('step', (step) => steps.push(step));
  service.on('result', ({ result }) => results.push(result));
  let seq = 0;
  const camera = setInterval(() => {
    const now = performance.now();
    service.offer({
      seq: seq++,
      receivedAtMs: now,
      wallMs: Date.now(),
      format: 'jpeg',
      width: SIDE,
      height: SIDE,
      data: jpeg,
    });
  }, 10);
  t.teardown(async () => {
    clearInterval(camera);
    await service.stop();
    registry.stop();
    // Not before: what is on its way to the disk is written until then.
    rmSync(stateDir, { recursive: true, force: true });
  });
  const saw = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  /** The left edge of the box in the newest answer. */
  const answer = (): number => Math.round(results.at(-1)?.detections[0]?.x1 ?? -1);
  return { registry, service, steps, results, saw, answer, config, stateDir };
};

t.test('serves the active model, swaps another in and goes back', async (t) => {
  const [a, b] = [tinyAt(8), tinyAt(30)];
  const { registry, service, steps, saw, answer } = await setUp(t, [a, b]);
  await service.start();
  await saw(() => answer() === 8);
  t.equal(service.status, 'serving');
  await service.use(b.id);
  t.equal(registry.active, b.id);
  t.equal(registry.previous, a.id);
  await saw(() => answer() === 30);
  t.same(
    steps.map(({ step }) => step),
    ['started', 'warm', 'requested', 'started', 'warm', 'canary', 'committed'],
  );
  t.equal(steps.at(-1)?.active, b.id);
  await service.use(b.id);
  t.equal(steps.length, 7, 'the model that serves already needs no swap');
  await service.rollback();
  await saw(() => answer() === 8);
  t.equal(registry.active, a.id);
});

t.test('a candidate that cannot serve is refused and the old one goes on', async (t) => {
  const [a, nan, crash] = [tinyAt(8), tinyAt(30, { nan: true }), tinyAt(40, { crashAbove: 0 })];
  const { registry, service, steps, results, saw, answer, stateDir } = await setUp(t, [a, nan, crash]);
  await service.start();
  await saw(() => answer() === 8);
  await t.rejects(service.use(nan.id), { code: 'SWAP_FAILED' });
  await t.rejects(service.use(crash.id), { code: 'SWAP_FAILED' });
  t.equal(registry.active, a.id, 'the registry says what serves');
  t.match(steps.at(-1), { step: 'failed', model: crash.id, active: a.id });
  t.ok(String(steps.at(-1)?.reason).length > 10, 'and why');
  await t.rejects(service.use('f'.repeat(64)), { code: 'NO_SUCH_MODEL' });
  writeFileSync(join(stateDir, 'models', nan.id, 'model.onnx'), 'altered');
  await t.rejects(service.use(nan.id), { code: 'BAD_MODEL' });
  const before = results.length;
  await saw(() => results.length > before + 5);
  t.ok(
    results.every(({ artifactId }) => artifactId === a.id),
    'no other model ever answered',
  );
});

t.test('a detector that is killed is started again', async (t) => {
  const a = tinyAt(8);
  const { service, results, saw } = await setUp(t, [a]);
  await service.start();
  await saw(() => results.length > 3);
  for (let kill = 1; kill <= 2; kill += 1) {
    const { pid } = service;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await saw(() => service.restarts === kill && service.pid !== undefined && service.pid !== pid);
    const before = results.length;
    await saw(() => results.length > before + 3);
  }
  t.equal(service.status, 'serving');
  const { received, done, dropped, skipped, lost } = service.counters;
  t.ok(received - done - dropped - skipped - lost <= 3, 'every frame is accounted for');
});

t.test('two starts that fail go back to the model before', async (t) => {
  const [good, bad] = [tinyAt(8), tinyAt(30, { crashAbove: -1 })];
  const { registry, service, steps, saw, answer } = await setUp(t, [good, bad]);
  await registry.activate(bad.id);
  await service.start();
  await saw(() => answer() === 8);
  t.equal(registry.active, good.id);
  t.equal(steps.filter(({ step }) => step === 'failed').length, 2);
  t.match(
    steps.find(({ step }) => step === 'rolled-back'),
    { model: bad.id, active: good.id },
  );
});

t.test('a model that crashes on every frame is left for the one before', async (t) => {
  const [good, bad] = [tinyAt(8), tinyAt(30, { crashAbove: 50 })];
  const { registry, service, saw, answer, steps } = await setUp(t, [good, bad]);
  await registry.activate(bad.id);
  await service.start();
  await saw(() => answer() === 8);
  t.equal(registry.active, good.id);
  t.ok(steps.some(({ step }) => step === 'rolled-back'));
});

t.test('changed settings of the detector are taken up by a swap to the same model', async (t) => {
  const a = tinyAt(8);
  const { service, config, saw, answer, results, registry } = await setUp(t, [a]);
  await service.start();
  await saw(() => answer() === 8);
  await service.configure({ ...config, detector: { ...config.detector, scoreThreshold: 0.95 } });
  const before = results.length;
  await saw(() => results.length > before + 3);
  t.equal(results.at(-1)?.detections.length, 0, 'the new threshold holds');
  t.equal(registry.active, a.id);
  t.equal(registry.previous, null);
});

t.test('settings that were refused do not come into force later', async (t) => {
  const a = tinyAt(8);
  const swap = { canaryFrames: 3, maxLatencyRatio: 100, minAgreement: 0.9 };
  for (const [mode, bad] of [
    // It finds nothing; it cannot start.
    ['side-by-side', { scoreThreshold: 0.95 }],
    ['stop-then-start', { startTimeoutMs: 1 }],
  ] as const) {
    const { service, config, saw, answer, results } = await setUp(t, [a], { swap: { ...swap, mode } });
    await service.start();
    await saw(() => answer() === 8);
    const changed = { ...config, detector: { ...config.detector, ...bad } };
    await t.rejects(service.configure(changed), { code: 'SWAP_FAILED' }, mode);
    await t.rejects(service.configure(changed), { code: 'SWAP_FAILED' }, 'nor is it taken for accepted now');
    const seen = results.length;
    await saw(() => results.length > seen + 3);
    t.equal(answer(), 8, mode);
    const { pid, restarts } = service;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await saw(() => service.restarts > restarts && service.pid !== undefined && service.pid !== pid);
    const before = results.length;
    await saw(() => results.length > before + 3);
    t.equal(answer(), 8, 'a restart takes what was in force');
    await service.stop();
  }
});

t.test('a model that is chosen while another one starts is the one that serves', async (t) => {
  const [a, b] = [tinyAt(8), tinyAt(30)];
  const { registry, service, results, saw, answer } = await setUp(t, [a, b]);
  await service.start();
  await service.use(b.id);
  t.equal(registry.active, b.id);
  await saw(() => answer() === 30);
  t.equal(service.artifact?.id, b.id);
  const before = results.length;
  await saw(() => results.length > before + 3);
  t.ok(
    results.every(({ artifactId }) => artifactId === b.id),
    'the other one never did',
  );
});

t.test('nothing installed: a sentence that says what to do', async (t) => {
  const { service } = await setUp(t, []);
  await t.rejects(service.start(), { code: 'NO_SUCH_MODEL', message: /models import/ });
});

t.test('models are found by id, by its beginning, by name; not by what is not clear', async (t) => {
  const [a, b] = [tinyAt(8), tinyAt(30)];
  const twin = tinyAt(50, { name: 'tiny-8' });
  const { registry } = await setUp(t, [a, b, twin]);
  t.equal(await findModel(registry, b.id), b.id);
  t.equal(await findModel(registry, b.id.slice(0, 8)), b.id);
  t.equal(await findModel(registry, 'tiny-30'), b.id);
  await t.rejects(findModel(registry, 'tiny-8'), { code: 'NO_SUCH_MODEL', message: /2 models/ });
  await t.rejects(findModel(registry, 'nothing'), { code: 'NO_SUCH_MODEL' });
});
