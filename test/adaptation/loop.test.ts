// The whole loop in the supervisor, with real processes: from a command to a model that serves, is watched, and goes back.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import t, { type Test as Tap } from 'tap';
import { z } from 'zod';
import { AdaptationService, type LoopEvents, readHistory, reportPath } from '../../src/adaptation/index.js';
import { type Config, parseConfig } from '../../src/config/index.js';
import { ModelService } from '../../src/daemon/models.js';
import type { FrameResult } from '../../src/detector/index.js';
import { readArtifactFolder, Registry } from '../../src/registry/index.js';
import { openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { makeFixture } from '../significance/fixture.js';
import { SIDE } from '../significance/nets.js';

const root = t.testdir();
const fixture = await makeFixture(join(root, 'fixture'));
const pictures = await Promise.all(
  fixture.pictures.map(({ path }) => sharp(path).removeAlpha().jpeg({ quality: 95 }).toBuffer()),
);

/** A supervisor without camera and broker: frames come from a timer. */
const setUp = async (
  t: Tap,
  adaptation: object,
  stateDir = mkdtempSync(join(tmpdir(), 'bitlane-loop-')),
  critical: readonly (readonly [string, string])[] = [
    ['bus', 'car'],
    ['car', 'truck'],
  ],
) => {
  const registry = new Registry({ stateDir });
  await registry.start();
  await registry.installFolder(fixture.home);
  const config: Config = parseConfig({
    stateDir,
    camera: { kind: 'replay', path: '/nowhere' },
    detector: { spinning: false, scoreThreshold: 0.05 },
    swap: { canaryFrames: 3, maxLatencyRatio: 100 },
    adaptation: {
      data: { path: fixture.data },
      pictures: 3,
      calibrationPictures: 2,
      minPictures: 1,
      minObjects: 1,
      maxDrop: 1,
      minAgreement: 0,
      canaryFrames: 20,
      memoryMb: 4_000,
      ...adaptation,
    },
  });
  const store = openStore(join(stateDir, 'bitlane.db'));
  const models = new ModelService({ registry, config, log: silentLog });
  const device = { throttled: false };
  const loop = new AdaptationService({
    stateDir,
    config: () => config,
    registry,
    serving: models,
    store,
    critical: () => critical,
    throttled: () => Promise.resolve(device.throttled),
    log: silentLog,
    nice: 0,
    tickMs: 100,
  });
  const events: LoopEvents['event'][] = [];
  const states: LoopEvents['state'][] = [];
  const results: FrameResult[] = [];
  loop.on('event', (event) => events.push(event));
  loop.on('state', (state) => states.push(state));
  models.on('step', (step) => loop.step(step));
  models.on('result', ({ result }) => {
    results.push(result);
    loop.result(result);
  });
  let seq = 0;
  const camera = setInterval(() => {
    models.offer({
      seq,
      receivedAtMs: performance.now(),
      wallMs: Date.now(),
      format: 'jpeg',
      width: SIDE,
      height: SIDE,
      data: pictures[seq++ % pictures.length] ?? new Uint8Array(),
    });
  }, 20);
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    clearInterval(camera);
    await loop.stop();
    await models.stop();
    store.close();
    registry.stop();
  };
  t.teardown(async () => {
    await stop();
    rmSync(stateDir, { recursive: true, force: true });
  });
  await models.start();
  while (results.length === 0) await sleep(10);
  loop.start();
  const saw = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await sleep(20);
  };
  return { stateDir, registry, models, loop, events, states, results, saw, stop, device };
};

t.test('a command begins it; what comes out serves, is watched and stands in the history', async (t) => {
  const { loop, models, events, states, saw, registry, stateDir } = await setUp(t, {
    budget: { averageBits: 4 },
    watch: { seconds: 5 },
  });
  const { id, parent } = await loop.begin('command');
  t.equal(parent, fixture.id);
  await t.rejects(loop.begin('command'), { code: 'BUSY', message: /cancel it first/ });
  await saw(() => loop.state.status === 'watching');
  t.match(loop.state, { adaptation: id, trigger: 'command', started_at: String });
  const candidate = models.artifact?.id ?? '';
  t.not(candidate, fixture.id);
  t.equal(registry.active, candidate);
  t.equal(registry.previous, fixture.id);
  await saw(() => loop.state.status === 'idle');
  const [record] = readHistory(stateDir, 5);
  t.match(record, {
    id,
    outcome: 'committed',
    trigger: 'command',
    parent: fixture.id,
    baseline: fixture.id,
    candidate,
    worth: { by: 'labels', pictures: 3 },
    canary: { frames: 20 },
    live: { after: { nonFinite: 0 } },
  });
  t.ok((record?.canary?.p95Ms ?? 0) > 0);
  t.ok((record?.canary?.memoryMb ?? 0) > 10, 'as the kernel accounts it');
  t.ok((record?.canary?.bothMb ?? 0) > (record?.canary?.memoryMb ?? 0));
  t.ok((record?.averageBits ?? 9) <= 4.0001);
  t.match(readFileSync(reportPath(stateDir, id), 'utf8'), /<svg/);
  t.same(
    events.map(({ step }) => step),
    ['adapting', 'adapted'],
  );
  t.match(events[1], {
    model: candidate,
    adaptation: { id, outcome: 'committed' },
    figures: { average_bits: Number },
  });
  const seen = new Set(states.map(({ status }) => status));
  for (const status of ['running', 'deploying', 'watching', 'idle'] as const) t.ok(seen.has(status), status);
  t.notOk(existsSync(join(stateDir, 'adaptation', 'job')), 'the job is done');
  // Once more: the FP32 model is adapted, not what was made of it.
  t.match(await loop.begin('command', { budget: { averageBits: 5 } }), { parent: fixture.id });
  await t.rejects(loop.begin('drift'), { code: 'BUSY' });
  t.type(await loop.cancel(), 'string');
  t.equal(readHistory(stateDir, 1)[0]?.outcome, 'cancelled');
  t.equal(models.artifact?.id, candidate, 'what serves stays');
  await t.rejects(loop.cancel(), { code: 'BAD_COMMAND' });
});

t.test('a supervisor that was stopped in the middle takes the job up again', async (t) => {
  const first = await setUp(t, { budget: { averageBits: 4 }, watch: { seconds: 600 } });
  const { id } = await first.loop.begin('command');
  await first.saw(() => first.loop.state.step === 'measuring');
  await first.stop();
  const copy = mkdtempSync(join(tmpdir(), 'bitlane-loop-'));
  cpSync(first.stateDir, copy, { recursive: true });
  const second = await setUp(t, { budget: { averageBits: 4 }, watch: { seconds: 600 } }, copy);
  t.equal(second.loop.state.adaptation, id);
  await second.saw(() => second.loop.state.status === 'watching');
  t.match(readHistory(copy, 1)[0], { id, outcome: 'committed' });
  const candidate = second.models.artifact?.id;
  t.comment('a model that crashes while it is watched goes at once');
  const { pid } = second.models;
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await second.saw(() => second.models.artifact?.id === fixture.id && second.models.status === 'serving');
  t.match(readHistory(copy, 1)[0], { id, outcome: 'rolled-back', reason: /SIGKILL/, candidate });
  t.match(second.events.at(-1), { step: 'rolled-back', model: candidate, reason: /SIGKILL/ });
  t.equal(second.registry.active, fixture.id);
});

t.test('what cannot be done is refused or ends with a reason', async (t) => {
  const { manifest } = await readArtifactFolder(fixture.home);
  const most = 1 + Math.ceil(manifest.modelBytes / 16);
  const { loop, models, saw, stateDir } = await setUp(t, { budget: { modelBytes: most } });
  const refused: readonly (readonly [Parameters<typeof loop.begin>[1], RegExp])[] = [
    [{ pairs: [['car', 'spaceship']] }, /"spaceship" is no class .*: .*truck/],
    [{ pairs: [['car', 'Car']] }, /car:Car must name two classes/],
    [{ budget: { modelBytes: 100 } }, /modelBytes 100 cannot be met: .* more than \d+ bytes/],
  ];
  for (const [asked, message] of refused) {
    await t.rejects(loop.begin('command', asked), { code: 'BAD_COMMAND', message });
    t.equal(loop.state.status, 'idle');
  }
  await loop.begin('command');
  await saw(() => loop.state.status === 'idle');
  t.match(readHistory(stateDir, 1)[0], { outcome: 'failed', reason: /no allocation is within the budget/ });
  t.equal(models.artifact?.id, fixture.id);
  const none = await setUp(t, { data: undefined });
  await none.loop.begin('command');
  await none.saw(() => none.loop.state.status === 'idle');
  t.match(readHistory(none.stateDir, 1)[0], {
    outcome: 'failed',
    reason: /0 hard examples are too few/,
  });
});

t.test('a site that turns to another pair is adapted to again, by itself', async (t) => {
  const settings = { enabled: true, everyDays: 0.01, budget: { averageBits: 4 }, watch: { seconds: 5 } };
  const first = await setUp(t, { ...settings, enabled: false }, undefined, [['bus', 'car']]);
  await first.loop.begin('command');
  await first.saw(() => first.loop.state.last !== null && first.loop.state.status === 'idle');
  await first.stop();
  // As long ago as a drift has to wait for.
  const store = openStore(join(first.stateDir, 'bitlane.db'));
  const known = store.keyValue.get('adaptation', z.looseObject({ lastEndMs: z.number() }));
  store.keyValue.set('adaptation', { ...known, lastEndMs: (known?.lastEndMs ?? 0) - 90_000 });
  store.close();
  const copy = mkdtempSync(join(tmpdir(), 'bitlane-loop-'));
  cpSync(first.stateDir, copy, { recursive: true });
  const second = await setUp(t, settings, copy, [['car', 'truck']]);
  await second.saw(() => second.loop.history(5).length === 2 && second.loop.state.status === 'idle');
  const [young, old] = readHistory(copy, 5);
  t.match(old, { trigger: 'command', outcome: 'committed', pairs: [['bus', 'car']] });
  t.match(young, { trigger: 'drift', outcome: 'committed', pairs: [['car', 'truck']] });
  // The artifact may well be the same one: so small a network has few ways to spend its bits.
  t.notSame(young?.significant, old?.significant, 'another map');
  for (const record of [young, old]) {
    t.match(readFileSync(reportPath(copy, record?.id ?? ''), 'utf8'), /Which layers tell them apart/);
  }
});
