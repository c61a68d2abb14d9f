// A stand-in for rpicam-vid that speaks its protocol: its options, raw buffers on stdout or a TCP connection, words on stderr.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What one run does: frames without end; N frames and then nothing, with or without the beginning of another; N frames and an
 * exit; another size than was asked for; frames, but only after a while; no camera at all.
 */
export type Plan =
  | 'steady'
  | `stall-after:${number}`
  | `torn-after:${number}`
  | `exit-after:${number}`
  | 'adjusted'
  | 'slow-start'
  | 'no-camera';

const script = String.raw`
// Not require or import: whether this file is a module depends on the folder that it lies in.
const { appendFileSync, existsSync, readFileSync } = process.getBuiltinModule('node:fs');
const { connect } = process.getBuiltinModule('node:net');
const flags = new Set(['nopreview', 'flush', 'hflip', 'vflip']);
const valued = new Set(['camera', 'codec', 'timeout', 'width', 'height', 'framerate', 'rotation', 'output']);
const options = {};
const words = process.argv.slice(2);
const fail = (text) => { process.stderr.write('ERROR: *** ' + text + ' ***\n'); process.exit(255); };
while (words.length > 0) {
  const name = words.shift().replace(/^--/, '');
  if (flags.has(name)) options[name] = true;
  else if (valued.has(name) && words.length > 0) options[name] = words.shift();
  else fail("unrecognised option '" + name + "'");
}
const log = process.env.STAND_IN_LOG;
const run = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').length : 0;
appendFileSync(log, JSON.stringify(process.argv.slice(2)) + '\n');
const plans = process.env.STAND_IN_PLANS.split(',');
const [plan, count] = (plans[Math.min(run, plans.length - 1)]).split(':');
if (plan === 'no-camera') fail('no cameras available');
if (options.codec !== 'yuv420' || options.timeout !== '0' || !options.nopreview) fail('not what the daemon wants');
const width = Number(options.width), height = Number(options.height);
const shown = plan === 'adjusted' ? width / 2 : width;
process.stderr.write('[0:00:01.0] [1]  INFO Camera camera.cpp:1205 configuring streams: (0) ' + shown + 'x' + height + '-YUV420/sYCC (1) 9x9-X\n');
const stride = Math.ceil(width / 64) * 64;
const picture = (n) => {
  const data = Buffer.alloc((stride * height * 3) / 2, 128);
  data.fill(n % 256, 0, stride * height);
  return data;
};
const start = (out) => {
  let n = 0;
  const next = () => {
    if (plan.endsWith('after') && n === Number(count)) {
      if (plan === 'exit-after') process.exit(3);
      if (plan === 'torn-after') return out.write(picture(n).subarray(0, 1000), () => setTimeout(() => process.exit(0), 1000));
      return setInterval(() => {}, 1000);
    }
    const data = picture(n);
    n += 1;
    const more = () => setTimeout(next, 1000 / Number(options.framerate));
    if (out.write(data)) more(); else out.once('drain', more);
  };
  out.on('error', () => process.exit(255));
  next();
};
const net = /^tcp:\/\/([0-9.]+):([0-9]+)$/.exec(options.output);
if (options.output === '-') start(process.stdout);
else if (net) setTimeout(() => {
  const socket = connect(Number(net[2]), net[1], () => start(socket));
  socket.on('error', () => process.exit(255));
}, plan === 'slow-start' ? 2000 : 0);
else fail('bad output');
`;

export interface StandIn {
  /** For `createFrameSource`: a PATH with the stand-in first. */
  readonly environment: NodeJS.ProcessEnv;
  /** The arguments of every run so far. */
  runs(): string[][];
}

/** Puts the stand-in into `folder` as `name`; run number i follows `plans[i]`, the last one for all that come after. */
export const standIn = (
  folder: string,
  plans: readonly Plan[],
  mark: string,
  name = 'rpicam-vid',
): StandIn => {
  const path = join(folder, name);
  writeFileSync(path, `#!${process.execPath}\n${script}`);
  chmodSync(path, 0o755);
  const log = join(folder, 'runs.log');
  return {
    environment: {
      ...process.env,
      PATH: `${folder}:/usr/bin:/bin`,
      STAND_IN_LOG: log,
      STAND_IN_PLANS: plans.join(','),
      CAMERA_TEST_MARK: mark,
    },
    runs: () =>
      readFileSync(log, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as string[]),
  };
};
