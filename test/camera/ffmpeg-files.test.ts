import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { createFrameSource } from '../../src/camera/index.js';
import { cameraSchema } from '../../src/config/index.js';
import { silentLog } from '../../src/system/index.js';
import { until, watch } from './watch.js';

t.setTimeout(240_000);

const present = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'ffmpeg')));
const skip = present ? false : 'ffmpeg is not installed';
const open = (input: string, more: Record<string, unknown> = {}) => {
  const config = {
    kind: 'ffmpeg',
    input,
    width: 320,
    height: 240,
    restartInitialMs: 10,
    restartMaxMs: 40,
    ...more,
  };
  const source = createFrameSource(cameraSchema.parse({ stallTimeoutMs: 20_000, ...config }), {
    log: silentLog,
  });
  return { source, seen: watch(source) };
};
const film = (folder: string, frames: number): string => {
  const path = join(folder, 'a film: 1.mkv');
  execFileSync('ffmpeg', [
    ...['-nostdin', '-loglevel', 'error', '-f', 'lavfi', '-i', 'testsrc=size=160x120:rate=30'],
    ...['-frames:v', String(frames), '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', `file:${path}`],
  ]);
  return path;
};

t.test('fast: every frame of a file, each when the consumer is ready, then the end', { skip }, async (t) => {
  const { source, seen } = open(film(t.testdir({}), 12), { pace: 'fast' });
  source.start();
  for (let n = 1; n <= 12; n += 1) {
    await until(`frame ${n}`, () => seen.frames.length === n);
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(seen.frames.length, n, 'no frame that nobody asked for');
    source.ready();
  }
  await until('the end', () => seen.ended === 1);
  t.match(source.counters, { received: 12, skipped: 0, bad: 0, restarts: 0 });
  t.equal(new Set(seen.frames.map((frame) => Buffer.from(frame.data).toString('base64'))).size, 12);
  await source.stop();
});

t.test('real time: a file ends, and fps takes as many frames as it says', { skip }, async (t) => {
  const { source, seen } = open(film(t.testdir({}), 30), { fps: 10 });
  source.start();
  await until('the end', () => seen.ended === 1);
  const { received } = source.counters;
  t.ok(received >= 9 && received <= 12, `${received} of about 10`);
  await source.stop();
});

t.test('a file that is missing, no video or a list of other files is a problem', { skip }, async (t) => {
  const folder = t.testdir({});
  const path = film(folder, 2);
  writeFileSync(join(folder, 'list.txt'), `ffconcat version 1.0\nfile '${path}'\n`);
  writeFileSync(
    join(folder, 'list.m3u8'),
    `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${path}\n#EXT-X-ENDLIST\n`,
  );
  for (const name of ['missing.mkv', 'list.txt', 'list.m3u8']) {
    const { source, seen } = open(join(folder, name), { pace: 'fast' });
    source.start();
    await until('problems', () => seen.problems.length >= 2);
    t.match(seen.problems[0], /^ffmpeg ended with exit code \d+: ./, `${name}: ${seen.problems[0]}`);
    t.equal(seen.frames.length, 0);
    await source.stop();
  }
});

t.test('the password of a camera is in no message', { skip }, async (t) => {
  // A camera that answers nonsense, so that ffmpeg complains about the address that it was given.
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const folder = t.testdir({ password: 'gehe/im §1\nsecond line\n' });
  const { source, seen } = open(`rtsp://admin@127.0.0.1:${port}/stream`, {
    passwordFile: join(folder, 'password'),
  });
  source.start();
  await until('problems', () => seen.problems.length >= 2);
  t.match(seen.problems[0], /^ffmpeg ended with exit code \d+: .*404/);
  t.notMatch(seen.problems.join('\n'), /gehe|im%20|admin/);
  await source.stop();
  const missing = open(`rtsp://admin@127.0.0.1:${port}/stream`, { passwordFile: join(folder, 'none') });
  missing.source.start();
  await until('a problem', () => missing.seen.problems.length >= 1);
  t.match(missing.seen.problems[0], /password file .*none cannot be read/);
  await missing.source.stop();
});

t.test('without ffmpeg there is a plain sentence', async (t) => {
  const config = cameraSchema.parse({ kind: 'ffmpeg', input: '/nowhere.mp4', restartInitialMs: 10 });
  const source = createFrameSource(config, { log: silentLog, environment: { PATH: '/nonexistent' } });
  const seen = watch(source);
  source.start();
  await until('a problem', () => seen.problems.length >= 1);
  t.equal(seen.problems[0], 'ffmpeg is not on the PATH: install ffmpeg');
  await source.stop();
});
