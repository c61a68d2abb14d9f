import t from 'tap';
import {
  checkOptions,
  judgeSize,
  streamWidth,
  videoArguments,
  videoOptions,
} from '../../src/camera/drivers/libcamera-options.js';
import { ffmpegArguments } from '../../src/camera/drivers/ffmpeg-arguments.js';
import { type CameraConfigOf, cameraSchema } from '../../src/config/index.js';

const pi = (more: Record<string, unknown> = {}): CameraConfigOf<'libcamera'> =>
  cameraSchema.parse({ kind: 'libcamera', ...more }) as CameraConfigOf<'libcamera'>;
/** What the configuration would have refused, the driver refuses too. */
const unchecked = (input: string): CameraConfigOf<'ffmpeg'> => ({ ...ffmpeg('film.mp4'), input });
const ffmpeg = (input: string, more: Record<string, unknown> = {}): CameraConfigOf<'ffmpeg'> =>
  cameraSchema.parse({ kind: 'ffmpeg', input, ...more }) as CameraConfigOf<'ffmpeg'>;

t.test('rpicam-vid is asked for raw frames without row padding', async (t) => {
  t.equal(
    videoArguments(videoOptions(pi(), '-')).join(' '),
    '--camera 0 --codec yuv420 --timeout 0 --nopreview --width 1280 --height 720 --framerate 30 --flush --output -',
  );
  const turned = pi({
    camera: 1,
    rotation: 180,
    hflip: true,
    vflip: true,
    fps: 29.97,
    width: 1296,
    height: 972,
  });
  t.equal(
    videoArguments(videoOptions(turned, 'tcp://127.0.0.1:4000')).join(' '),
    '--camera 1 --codec yuv420 --timeout 0 --nopreview --width 1408 --height 972 --framerate 29.97 ' +
      '--rotation 180 --hflip --vflip --flush --output tcp://127.0.0.1:4000',
  );
  for (let width = 64; width <= 4096; width += 2) {
    const asked = streamWidth(width);
    if (asked % 128 !== 0 || asked < width || asked - width >= 128) t.fail(`${width} -> ${asked}`);
  }
  t.equal(streamWidth(1920), 1920);
});

t.test('no value that a shell would read gets to node-libcamera', async (t) => {
  for (const value of [
    '1; reboot',
    '$(id)',
    '`id`',
    '1 2',
    '',
    '-x',
    'tcp://127.0.0.1:1;',
    'a\nb',
    '--help',
    '1e9',
  ]) {
    t.throws(() => checkOptions({ width: value }), { code: 'CAMERA_FAILED' }, JSON.stringify(value));
  }
  t.throws(() => checkOptions({ 'width;x': '1' }), { code: 'CAMERA_FAILED' });
  t.throws(() => videoOptions(pi(), 'tcp://192.168.0.1:80'), { code: 'CAMERA_FAILED' });
});

t.test('a size that libcamera changed is noticed', async (t) => {
  const line = (size: string): string =>
    `[1:2:3.4] [5]  INFO Camera camera.cpp:1205 configuring streams: (0) ${size}-YUV420/sYCC (1) 2304x1296-X`;
  t.equal(judgeSize(pi())(line('1280x720')), undefined);
  t.match(judgeSize(pi())(line('640x480')), /delivers 640x480 where 1280x720 was asked for/);
  t.equal(judgeSize(pi())('something else'), undefined);
});

/** The argument after `flag`. */
const after = (args: readonly string[], flag: string): string | undefined => args[args.indexOf(flag) + 1];

t.test('ffmpeg: a network camera', async (t) => {
  const config = ffmpeg('rtsp://admin@10.0.0.7/stream1', {
    stallTimeoutMs: 4_000,
    rtspTransport: 'udp',
    fps: 10,
  });
  const args = ffmpegArguments(config, 'p@ss/w:rd%?#');
  t.equal(after(args, '-rtsp_transport'), 'udp');
  t.equal(after(args, '-timeout'), '4000000');
  t.equal(after(args, '-i'), 'rtsp://admin:p%40ss%2Fw%3Ard%25%3F%23@10.0.0.7/stream1');
  t.equal(after(args, '-protocol_whitelist'), 'rtsp,rtp,udp,tcp,tls');
  t.match(
    after(args, '-vf'),
    /^fps=10,scale=1280:720:.*out_color_matrix=bt601:out_range=full,format=yuv420p$/,
  );
  t.ok(args.includes('-nostdin'));
  t.notOk(args.includes('-re'));
  t.same(args.slice(-5), ['-f', 'rawvideo', '-pix_fmt', 'yuv420p', 'pipe:1']);
  t.throws(() => ffmpegArguments(ffmpeg('rtsp://10.0.0.7/1'), 'x'), { message: /names no user/ });
  t.throws(() => ffmpegArguments(unchecked('rtsp://a@[broken/1'), 'x'), { message: /no valid address/ });
});

t.test('ffmpeg: files, devices and what is refused', async (t) => {
  const file = ffmpegArguments(ffmpeg('a: strange, name.mp4', { loop: true }));
  t.equal(after(file, '-i'), 'file:a: strange, name.mp4');
  t.equal(after(file, '-protocol_whitelist'), 'file');
  t.notMatch(after(file, '-format_whitelist'), /hls|concat|dash|sdp|image2|lavfi/);
  t.equal(after(file, '-stream_loop'), '-1');
  t.ok(file.includes('-re'));
  const fast = ffmpegArguments(ffmpeg('film.mp4', { pace: 'fast' }));
  t.notOk(fast.includes('-re'));
  t.notOk(fast.includes('-stream_loop'));
  for (const trick of ['concat:/etc/passwd|a', 'pipe:0', 'data:,x', 'subfile,,start,0,,:/etc/passwd']) {
    t.equal(after(ffmpegArguments(ffmpeg(trick)), '-i'), `file:${trick}`);
  }
  const device = ffmpegArguments(ffmpeg('/dev/video0', { width: 640, height: 480, fps: 15 }));
  t.same(device.slice(device.indexOf('-f'), device.indexOf('-i') + 2), [
    ...['-f', 'v4l2', '-framerate', '15', '-video_size', '640x480', '-i', '/dev/video0'],
  ]);
  t.notMatch(after(ffmpegArguments(ffmpeg('https://cam/a.m3u8')), '-protocol_whitelist'), /file|pipe|data/);
  t.throws(() => ffmpegArguments(unchecked('udp://0.0.0.0:1')), {
    code: 'CAMERA_FAILED',
    message: /scheme "udp"/,
  });
});
