import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type FrameResult, Generation, type GenerationOptions } from '../../src/detector/index.js';
import { silentLog } from '../../src/system/index.js';
import type { Frame } from '../../src/vision/index.js';

const script = join(import.meta.dirname, 'stand-in.js');

const generation = (mode: string, options: Partial<GenerationOptions> = {}): Generation =>
  new Generation({
    number: 3,
    artifactId: 'a'.repeat(64),
    classes: ['car', 'bus', 'truck'],
    script,
    args: [mode],
    startTimeoutMs: 20_000,
    frameTimeoutMs: 20_000,
    graceMs: 200,
    log: silentLog,
    ...options,
  });

const frame = (seq: number, width = 64, height = 48): Frame => ({
  seq,
  receivedAtMs: performance.now(),
  wallMs: Date.now(),
  format: 'rgb24',
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(seq % 256),
});

const isAlive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

const failureOf = (target: Generation): Promise<{ message: string; framesLost: number }> =>
  new Promise((resolve) => target.on('failed', resolve));

const wanted = async (target: Generation): Promise<void> => {
  if (!target.wants) await new Promise<undefined>((resolve) => target.once('want', resolve));
};

t.test('frames go in, results come back with their generation', async (t) => {
  const target = generation('serve');
  t.teardown(() => target.stop());
  await target.start();
  t.equal(target.state, 'ready');
  for (const seq of [5, 6, 900]) {
    await wanted(target);
    const result = new Promise<FrameResult>((resolve) => target.once('result', resolve));
    const sent = frame(seq, 1280, 720);
    t.equal(target.offer(sent), true);
    t.equal(target.offer(frame(seq + 1)), false, 'only as many frames as were wanted');
    const sum = sent.data.reduce((total, value) => total + value, 0);
    t.match(await result, {
      generation: 3,
      artifactId: 'a'.repeat(64),
      frame: { seq, width: 1280, height: 720 },
      detections: [{ x1: 0, y1: 0, x2: 1280, y2: sum % 1000, classId: 2, score: 0.5 }],
    });
  }
  t.equal(target.inFlight, 0);
});

t.test('a process that cannot start is refused and gone', async (t) => {
  for (const [mode, rule] of [
    ['exit-early', /ended \(exit code 7\)/],
    ['refuse', /no output called boxes/],
    ['babble', /breaks the protocol/],
  ] as const) {
    const target = generation(mode);
    await t.rejects(target.start(), { code: 'DETECTOR_FAILED', message: rule });
    t.equal(isAlive(target.pid), false, `${mode}: nothing is left`);
  }
  const late = generation('silent', { startTimeoutMs: 300 });
  await t.rejects(late.start(), { message: /not ready after 300 ms/ });
  t.equal(isAlive(late.pid), false);
});

t.test('a process that fails while serving says so once, with the frames that are lost', async (t) => {
  for (const [mode, rule] of [
    ['crash', /exit code 9/],
    ['hang', /frame 1 was not done after 300 ms/],
    ['wrong-frame', /answered frame 2, which it does not hold/],
  ] as const) {
    const target = generation(mode, mode === 'hang' ? { frameTimeoutMs: 300 } : {});
    let failures = 0;
    target.on('failed', () => (failures += 1));
    await target.start();
    await wanted(target);
    const failure = failureOf(target);
    target.offer(frame(1));
    const { message, framesLost } = await failure;
    t.match(message, rule);
    t.equal(framesLost, 1);
    await target.stop();
    t.equal(isAlive(target.pid), false);
    t.equal(failures, 1);
  }
});

t.test('a frame that cannot be decoded is dropped, and the process goes on', async (t) => {
  const target = generation('drop');
  t.teardown(() => target.stop());
  await target.start();
  for (const seq of [1, 2]) {
    await wanted(target);
    const dropped = new Promise((resolve) => target.once('dropped', resolve));
    target.offer(frame(seq));
    t.same(await dropped, { seq, reason: 'torn' });
  }
});

t.test('stop is bounded, also for a process that ignores SIGTERM', async (t) => {
  const target = generation('stubborn');
  await target.start();
  await Promise.all([target.stop(), target.stop()]);
  t.equal(isAlive(target.pid), false);
  t.equal(target.state, 'ended');
});

t.test('a supervisor that is killed takes its detector with it', async (t) => {
  const code = `
    import { pathToFileURL } from 'node:url';
    const { Generation } = await import(pathToFileURL(process.argv[1]).href);
    const { silentLog } = await import(pathToFileURL(process.argv[2]).href);
    const target = new Generation({ number: 1, artifactId: 'b', classes: ['car'], script: process.argv[3], args: ['stubborn'],
      startTimeoutMs: 20000, frameTimeoutMs: 20000, graceMs: 200, log: silentLog });
    await target.start();
    console.log(target.pid);
    setInterval(() => {}, 1000);`;
  const source = join(import.meta.dirname, '..', '..', 'src');
  const owner = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      code,
      join(source, 'detector/index.js'),
      join(source, 'system/index.js'),
      script,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => owner.kill('SIGKILL'));
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  t.equal(isAlive(pid), true);
  owner.kill('SIGKILL');
  for (let waits = 0; isAlive(pid) && waits < 600; waits += 1) await sleep(50);
  t.equal(isAlive(pid), false);
});
