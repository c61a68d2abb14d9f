import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createFrameSource } from '../../src/camera/index.js';
import { cameraSchema } from '../../src/config/index.js';
import { silentLog } from '../../src/system/index.js';
import { decodeJpeg, encodeJpeg } from '../../src/vision/index.js';
import { until, watch } from './watch.js';

t.setTimeout(120_000);

const picture = (shade: number, width = 32, height = 32): Uint8Array =>
  encodeJpeg({ format: 'rgb24', width, height, data: new Uint8Array(width * height * 3).fill(shade) }, 90);
const replay = (path: string, more: Record<string, unknown> = {}) => {
  const config = { kind: 'replay', path, restartInitialMs: 10, restartMaxMs: 40, ...more };
  const source = createFrameSource(cameraSchema.parse(config), { log: silentLog });
  return { source, seen: watch(source) };
};
const shadeOf = (data: Uint8Array): number => Math.round((decodeJpeg(data).data[0] ?? 0) / 10) * 10;
const numbered = (folder: string, count: number): void => {
  for (let n = 1; n <= count; n += 1) writeFileSync(join(folder, `p${n}.jpg`), picture(10 * n));
};

t.test('fast: every picture once, in natural order, each only when the consumer is ready', async (t) => {
  const folder = t.testdir({});
  numbered(folder, 12);
  const { source, seen } = replay(folder, { pace: 'fast', loop: false });
  source.start();
  for (let n = 1; n <= 12; n += 1) {
    await until(`picture ${n}`, () => seen.frames.length === n);
    await new Promise((resolve) => setTimeout(resolve, 15));
    t.equal(seen.frames.length, n, 'no frame that nobody asked for');
    source.ready();
  }
  await until('the end', () => seen.ended === 1);
  t.equal(source.state, 'stopped');
  t.same(
    seen.frames.map((frame) => shadeOf(frame.data)),
    Array.from({ length: 12 }, (_, i) => 10 * (i + 1)),
  );
  t.match(source.counters, { received: 12, skipped: 0, bad: 0, restarts: 0 });
  await source.restart();
  await until('the first picture again', () => seen.frames.length === 13);
  t.equal(seen.frames[12]?.seq, 12);
  await source.stop();
});

t.test(
  'real time: nothing comes before its time, and every picture is delivered or counted as skipped',
  async (t) => {
    const folder = t.testdir({});
    numbered(folder, 20);
    const { source, seen } = replay(folder, { fps: 50, loop: false });
    source.start();
    await until('the end', () => seen.ended === 1);
    t.equal(source.counters.received, 20);
    t.equal(seen.frames.length + source.counters.skipped, 20);
    const first = seen.frames[0]?.receivedAtMs ?? 0;
    // Timers fire up to a millisecond early.
    t.ok(seen.frames.every((frame) => frame.receivedAtMs - first >= frame.seq * 20 - 2));
    await source.stop();
  },
);

t.test('pictures that are broken, of another size or unreadable are passed over and counted', async (t) => {
  const folder = t.testdir({});
  numbered(folder, 3);
  writeFileSync(join(folder, 'p1a.jpg'), 'no picture');
  writeFileSync(join(folder, 'p1b.jpg'), picture(50, 64, 32));
  mkdirSync(join(folder, 'p1c.jpg'));
  writeFileSync(join(folder, 'notes.txt'), 'ignored');
  const { source, seen } = replay(folder, { fps: 200, loop: false });
  source.start();
  await until('the end', () => seen.ended === 1);
  t.equal(source.counters.bad, 3);
  t.match(seen.bad.join('\n'), /p1a\.jpg does not start like a JPEG/);
  t.match(seen.bad.join('\n'), /64x32 where 32x32 came before/);
  t.match(seen.bad.join('\n'), /p1c\.jpg is no file/);
  t.equal(source.counters.received, 3);
  await source.stop();
});

t.test('what cannot be played is a problem that ends when it can', async (t) => {
  const folder = join(t.testdir({}), 'later');
  const { source, seen } = replay(folder, { fps: 200 });
  source.start();
  await until('a problem', () => seen.problems.some((message) => message.includes('is not there')));
  mkdirSync(folder);
  await until('another', () => seen.problems.some((message) => message.includes('holds no .jpg files')));
  writeFileSync(join(folder, 'p0.jpg'), 'broken');
  await until('a third', () =>
    seen.problems.some((message) => message.includes('holds no picture that can')),
  );
  numbered(folder, 2);
  await until('frames', () => seen.frames.length >= 3);
  t.equal(source.state, 'running');
  await source.stop();
  rmSync(folder, { recursive: true });
  const file = join(t.testdir({ 'film.avi': 'x' }), 'film.avi');
  const other = replay(file);
  other.source.start();
  await until('a problem', () => other.seen.problems.length >= 1);
  t.match(other.seen.problems[0], /neither a folder nor an \.mjpeg file/);
  await other.source.stop();
});
