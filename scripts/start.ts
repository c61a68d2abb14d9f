// The first run: the daemon on a simulated road with the model that ships; or on pictures or a video, with a model that is fetched.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { stringify } from 'yaml';
import { mqttSchema } from '../src/config/index.js';
import { asBitlaneError, BitlaneError, messageOf } from '../src/errors.js';
import { packageRoot, runBounded, writeFileAtomic } from '../src/system/index.js';
import { runDemo } from './demo/demo.js';
import { shippedModel } from './demo/place.js';
import { COCO_CLASSES, fetchFile, isThere, localCopy, YOLOX_NANO } from './yolox-nano.js';

const USAGE = `Usage: bash scripts/start.sh [--mqtt URL | --port N] [--state DIR] [--once] [FOLDER|VIDEO]

Runs bitlane on a simulated road with the model that ships, and tells its story: what it confuses, how it adapts, the swap.
With a folder of .jpg pictures or a video of a road: on that, with YOLOX-nano.
  --mqtt URL   publish to this broker (mqtt://localhost:1883); without it a broker of its own runs, for this machine only
  --port N     port of that broker (default: 1883)
  --state DIR  where model, store and configuration go (default: state/ in this folder)
  --once       stop at the end of the story, the pictures or the video, instead of going on`;

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

const cameraFor = async (path: string, loop: boolean): Promise<Record<string, unknown>> => {
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

/** How long the road is watched before the story goes on. */
const WATCH_S = 60;

/** By the rule of the configuration that it goes into. */
const checkBroker = (url: string | undefined): void => {
  const { error } = mqttSchema.safeParse({ url });
  if (error === undefined) return;
  const rules = error.issues.map(({ message }) => message).join('; ');
  throw new BitlaneError('BAD_USAGE', `--mqtt ${url ?? ''}: ${rules}`);
};

const portOf = (text: string): number => {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new BitlaneError('BAD_USAGE', `--port takes a number from 1 to 65535, not ${text}`);
  }
  return port;
};

/** @throws BitlaneError `BAD_USAGE` where something listens there already */
const checkFree = (port: number): Promise<void> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once('error', () =>
      fail(
        new BitlaneError(
          'BAD_USAGE',
          `port ${port} is taken: give another one with --port, or publish to the broker there with --mqtt mqtt://127.0.0.1:${port}`,
        ),
      ),
    );
    server.listen(port, '127.0.0.1', () => server.close(() => done()));
  });

const main = async (): Promise<number> => {
  const { values, positionals } = parse({
    allowPositionals: true,
    options: {
      mqtt: { type: 'string' },
      port: { type: 'string' },
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
  if (values.mqtt !== undefined && values.port !== undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      '--port is of the broker that runs here: give it or --mqtt, not both',
    );
  }
  checkBroker(values.mqtt);
  const port = portOf(values.port ?? '1883');
  if (values.mqtt === undefined) await checkFree(port);
  const [path] = positionals;
  if (path === undefined) {
    await runDemo({
      state: join(state, 'demo'),
      model: shippedModel(),
      watchS: WATCH_S,
      mqtt: values.mqtt,
      port,
      goOn: !values.once,
    });
    return 0;
  }
  const camera = await cameraFor(path, !values.once);
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
      mqtt: values.mqtt === undefined ? { embeddedPort: port } : { url: values.mqtt },
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
