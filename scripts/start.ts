// The first run: fetches a model, imports it, writes a configuration and starts the daemon on pictures or a video.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { stringify } from 'yaml';
import { asBitlaneError, BitlaneError, messageOf } from '../src/errors.js';
import { packageRoot, runBounded, writeFileAtomic } from '../src/system/index.js';
import { sharedData } from './test-data.js';
import { COCO_CLASSES, fetchFile, isThere, localCopy, YOLOX_NANO } from './yolox-nano.js';

const USAGE = `Usage: bash scripts/start.sh [--mqtt URL | --port N] [--state DIR] [--once] [FOLDER|VIDEO]

Runs bitlane on a folder of .jpg pictures or a video of a road, with YOLOX-nano.
  --mqtt URL   publish to this broker (mqtt://localhost:1883); without it a broker of its own runs, for this machine only
  --port N     port of that broker (default: 1883)
  --state DIR  where model, store and configuration go (default: state/ in this folder)
  --once       stop at the end instead of beginning again`;

const cliScript = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
const say = (text: string): void => void process.stderr.write(`${text}\n`);

const getModel = async (folder: string): Promise<string> => {
  const local = localCopy();
  if (local !== undefined) return local;
  const target = join(folder, 'yolox_nano.onnx');
  if (await isThere(YOLOX_NANO, target)) return target;
  const bar = new SingleBar({ format: 'YOLOX-nano [{bar}] {value}/{total} bytes', stream: process.stderr });
  say(`Fetching YOLOX-nano (${YOLOX_NANO.licence}) from ${YOLOX_NANO.url}`);
  bar.start(YOLOX_NANO.bytes, 0);
  try {
    await fetchFile(YOLOX_NANO, target, (bytes) => bar.update(bytes));
  } catch (error) {
    if (!(error instanceof BitlaneError) || error.code !== 'UNREACHABLE') throw error;
    throw new BitlaneError('UNREACHABLE', `${error.message}: ${target}`, { cause: error });
  } finally {
    bar.stop();
  }
  return target;
};

const importModel = async (model: string, state: string): Promise<void> => {
  const names = join(state, 'coco.names');
  writeFileSync(names, `${COCO_CLASSES.join('\n')}\n`);
  const result = await runBounded(
    process.execPath,
    [
      cliScript,
      'models',
      'import',
      model,
      '--head',
      'yolox',
      '--names',
      names,
      '--name',
      'yolox-nano',
      '--colour',
      'bgr',
      '--letterbox',
      'top-left',
      '--licence',
      YOLOX_NANO.licence,
      '--source',
      YOLOX_NANO.url,
      '--state',
      state,
    ],
    { deadlineMs: 120_000 },
  );
  if (result.code !== 0) {
    throw new BitlaneError(
      'BAD_MODEL',
      result.stderr.trim().replace(/^bitlane: /, '') || 'the model could not be imported',
    );
  }
};

const isFolderOfPictures = (path: string): boolean =>
  statSync(path).isDirectory() && readdirSync(path).some((name) => /\.jpe?g$/i.test(name));

const cameraFor = async (frames: string | undefined, loop: boolean): Promise<Record<string, unknown>> => {
  const path = frames ?? sharedData('junction-frames');
  if (path === undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      'say what to watch: bash scripts/start.sh FOLDER (of .jpg pictures) or VIDEO (needs ffmpeg)',
    );
  }
  if (!existsSync(path)) throw new BitlaneError('BAD_USAGE', `${path} does not exist`);
  const full = resolve(path);
  if (statSync(full).isDirectory()) {
    if (!isFolderOfPictures(full)) throw new BitlaneError('BAD_USAGE', `${path} holds no .jpg pictures`);
    return { kind: 'replay', path: full, fps: 30, loop };
  }
  if (['.mjpeg', '.mjpg'].includes(extname(full).toLowerCase())) {
    return { kind: 'replay', path: full, fps: 30, loop };
  }
  const probe = await runBounded(
    'ffprobe',
    ['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'stream=width', '-of', 'csv=p=0', full],
    { deadlineMs: 30_000 },
  );
  if (probe.outcome === 'missing') {
    throw new BitlaneError('UNSUPPORTED', 'a video needs ffmpeg: apt install ffmpeg');
  }
  if (probe.code !== 0 || probe.stdout.trim() === '') {
    throw new BitlaneError('BAD_USAGE', `${path} is no video that ffmpeg can read`);
  }
  return { kind: 'ffmpeg', input: full, width: 1280, height: 720, loop };
};

const parse: typeof parseArgs = (config) => {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new BitlaneError('BAD_USAGE', messageOf(error).split('. ')[0] ?? '', { cause: error });
  }
};

const main = async (): Promise<number> => {
  const { values, positionals } = parse({
    allowPositionals: true,
    options: {
      mqtt: { type: 'string' },
      port: { type: 'string', default: '1883' },
      state: { type: 'string' },
      once: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  if (positionals.length > 1) throw new BitlaneError('BAD_USAGE', 'one folder or video at a time');
  const state = resolve(values.state ?? join(packageRoot, 'state'));
  const camera = await cameraFor(positionals[0], !values.once);
  mkdirSync(state, { recursive: true });
  await importModel(await getModel(join(state, 'downloads')), state);
  const config = join(state, 'bitlane.yaml');
  if (existsSync(config))
    say(`${config} is written anew: a configuration of your own goes to "bitlane run --config".`);
  writeFileAtomic(
    config,
    stringify({
      device: 'first-run',
      stateDir: state,
      runtimeDir: join(state, 'run'),
      camera,
      lines: [{ name: 'middle', from: [0, 0.55], to: [1, 0.55], forward: 'away', backward: 'towards' }],
      counting: { intervals: [10, 60] },
      mqtt: values.mqtt === undefined ? { embeddedPort: Number(values.port) } : { url: values.mqtt },
    }),
  );
  say(`Configuration: ${config}. Ctrl-C stops.`);
  const child = spawn(process.execPath, [cliScript, 'run', '--config', config], { stdio: 'inherit' });
  // Ctrl-C reaches the whole group; the daemon stops in order and this waits for it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
};

try {
  process.exitCode = await main();
} catch (thrown) {
  const error = asBitlaneError(thrown);
  say(`start: ${error.message}${error.code === 'BAD_USAGE' ? `\n\n${USAGE}` : ''}`);
  process.exitCode = error.isInputError ? 2 : 1;
}
