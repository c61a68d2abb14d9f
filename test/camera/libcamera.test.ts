import { randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createFrameSource } from '../../src/camera/index.js';
import { cameraSchema } from '../../src/config/index.js';
import { silentLog } from '../../src/system/index.js';
import { type Plan, standIn, type StandIn } from './stand-in-rpicam-vid.js';
import { marked, until, watch } from './watch.js';

t.setTimeout(280_000);

const drivers = ['auto', 'node-libcamera'] as const;
type DriverName = (typeof drivers)[number];
const times = { stallTimeoutMs: 20_000, restartInitialMs: 10, restartMaxMs: 40 };
const configOf = (driver: DriverName, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...{ kind: 'libcamera', driver, width: 128, height: 64, fps: 100 },
  ...times,
  ...more,
});

interface Setup {
  readonly driver: DriverName;
  readonly plans?: readonly Plan[];
  readonly program?: string;
  readonly more?: Record<string, unknown>;
}
const rig = (t: Test, { driver, plans = ['steady'], program = 'rpicam-vid', more = {} }: Setup) => {
  const mark = randomUUID();
  const camera: StandIn = standIn(t.testdir({}), plans, mark, program);
  const config = cameraSchema.parse(configOf(driver, more));
  const source = createFrameSource(config, { log: silentLog, environment: camera.environment });
  t.teardown(() => source.stop());
  return { mark, camera, source, seen: watch(source) };
};

for (const driver of drivers) {
  t.test(`${driver}: what the camera program says is told`, async (t) => {
    const { source, seen } = rig(t, { driver, plans: ['no-camera'] });
    source.start();
    await until('problems', () => seen.problems.length >= 2);
    t.match(seen.problems[0], /ended with exit code \d+: ERROR: \*\*\* no cameras available \*\*\*$/);
    t.equal(source.state === 'running', false);
  });

  t.test(`${driver}: the older name of the program is found too`, async (t) => {
    const { source, seen } = rig(t, { driver, program: 'libcamera-vid' });
    source.start();
    await until('frames', () => seen.frames.length >= 2);
    t.same(seen.problems, []);
  });

  t.test(`${driver}: a camera program that is not there is a problem, not an exception`, async (t) => {
    const { source, seen } = rig(t, { driver, program: 'something-else' });
    source.start();
    await until('problems', () => seen.problems.length >= 2);
    t.match(seen.problems[0], 'rpicam-vid is not on the PATH: install rpicam-apps');
  });

  t.test(`${driver}: a width whose rows could be padded is cut out of one that is not`, async (t) => {
    const { source, seen, camera } = rig(t, { driver, more: { width: 90 } });
    source.start();
    await until('frames', () => seen.frames.length >= 3);
    t.same(source.size, { width: 90, height: 64 });
    t.equal(camera.runs()[0]?.join(' ').includes('--width 128 '), true);
    for (const frame of seen.frames) {
      const luma = frame.data.subarray(0, 90 * 64);
      if (frame.data.length !== (90 * 64 * 3) / 2 || luma.some((byte) => byte !== luma[0])) {
        t.fail(`frame ${frame.seq} holds something else`);
      }
    }
  });

  t.test(`${driver}: no process outlives a daemon that is killed`, async (t) => {
    const mark = randomUUID();
    const { environment } = standIn(t.testdir({}), ['steady'], mark);
    const path = (name: string): string =>
      JSON.stringify(new URL(`../../src/${name}/index.js`, import.meta.url).href);
    const code = `
      import { createFrameSource } from ${path('camera')};
      import { cameraSchema } from ${path('config')};
      import { silentLog } from ${path('system')};
      const source = createFrameSource(cameraSchema.parse(${JSON.stringify(configOf(driver))}), { log: silentLog });
      source.once('frame', () => process.stdout.write('frame'));
      source.start();`;
    const daemon = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(daemon.stdout, 'data');
    t.ok(marked(mark).length >= 2, 'the camera program runs');
    daemon.kill('SIGKILL');
    await until('every process to end', () => marked(mark).length === 0);
    t.same(marked(mark), []);
  });
}

t.test('a size that the camera changed is told and no frame is taken for one', async (t) => {
  const { source, seen } = rig(t, { driver: 'auto', plans: ['adjusted', 'steady'] });
  source.start();
  await until('frames', () => seen.frames.length >= 1);
  t.match(seen.problems, ['the camera delivers 64x64 where 128x64 was asked for: choose a size that it has']);
});

t.test('node-libcamera: only its own camera program may connect', async (t) => {
  const { source, seen, camera } = rig(t, { driver: 'node-libcamera', plans: ['slow-start'] });
  source.start();
  const runs = (): string[][] => {
    try {
      return camera.runs();
    } catch {
      return [];
    }
  };
  await until('the camera program', () => runs().length === 1);
  const port = Number(/:([0-9]+)$/.exec(runs()[0]?.at(-1) ?? '')?.[1]);
  const stranger = connect(port, '127.0.0.1');
  stranger.on('error', () => undefined);
  stranger.write(Buffer.alloc(500, 7));
  await new Promise((resolve) => stranger.once('close', resolve));
  t.equal(seen.frames.length, 0);
  await until('frames', () => seen.frames.length >= 3);
  t.ok(
    seen.frames.every((frame) => frame.data.at(-1) === 128),
    'its bytes are in no frame',
  );
  t.same(seen.problems, []);
});

t.test('node-libcamera: its private folder goes with it', async (t) => {
  const { source, seen } = rig(t, { driver: 'node-libcamera' });
  const before = process.env['TMPDIR'];
  const folder = mkdtempSync(join(tmpdir(), 'camera-test-'));
  process.env['TMPDIR'] = folder;
  try {
    source.start();
    await until('frames', () => seen.frames.length >= 1);
    t.match(readdirSync(folder), [/^bitlane-libcamera-/]);
    await source.stop();
    t.same(readdirSync(folder), []);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(folder, { recursive: true, force: true });
  }
});
