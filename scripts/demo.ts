// The whole story on a simulated road: the daemon detects, counts, keeps hard examples, finds its confusions, adapts, swaps.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { stringify } from 'yaml';
import { z } from 'zod';
import { asBitlaneError, BitlaneError, messageOf } from '../src/errors.js';
import { type Manifest, Registry } from '../src/registry/index.js';
import { hasExited, packageRoot, runBounded, stopChild, writeFileAtomic } from '../src/system/index.js';
import { Listener } from './demo/listener.js';

const USAGE = `Usage: npm run demo -- [--state DIR] [--model DIR] [--watch SECONDS] [--go-on] [--check]

Runs bitlane on a simulated road with the model that ships, and lets it adapt once. About five minutes.
  --state DIR      where model, store, pictures and configuration go (default: state/demo in this folder)
  --model DIR      another artifact of the ten types
  --watch SECONDS  how long it watches before it adapts (default 60)
  --go-on          let the daemon run on afterwards, until Ctrl-C
  --check          one JSON document on stdout; fail where a part of the story is missing`;

const cliScript = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
const DEVICE = 'demo';
const PICTURES = { tuning: 160, validation: 160 } as const;
/** Of the FP32 file. */
const BYTES_RATIO = 0.16;
const MINUTES = 10;

const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const tell = (text: string): void => say(`${seconds().toFixed(0).padStart(4)} s  ${text}`);
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

const cli = async (args: readonly string[], deadlineMs: number): Promise<string> => {
  const { code, stdout, stderr } = await runBounded(process.execPath, [cliScript, ...args], { deadlineMs });
  if (code !== 0)
    throw new BitlaneError('INTERNAL', stderr.trim().replace(/^bitlane: /, '') || args.join(' '));
  return stdout;
};

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** The artifact that ships. */
const shippedModel = (): string => {
  const models = join(packageRoot, 'models');
  const name = readdirSync(models).find((entry) => existsSync(join(models, entry, 'manifest.json')));
  if (name === undefined)
    throw new BitlaneError('NO_SUCH_MODEL', 'models/ holds no artifact: give one with --model');
  return join(models, name);
};

const waitFor = async (
  isThere: () => boolean,
  daemon: ChildProcess,
  what: string,
  limitS: number,
): Promise<void> => {
  const end = seconds() + limitS;
  while (!isThere()) {
    if (hasExited(daemon)) throw new BitlaneError('INTERNAL', `the daemon ended before ${what}`);
    if (seconds() > end) throw new BitlaneError('TIMEOUT', `after ${limitS} s there is still not ${what}`);
    await pause(100);
  }
};

const top = (counts: ReadonlyMap<string, number>, most: number): string =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');

const per = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Shows how far the adapter is until it is done. */
const follow = async (listener: Listener, daemon: ChildProcess, limitS: number): Promise<void> => {
  const bar = new SingleBar({
    format: '        {step} [{bar}] {value}/{total}',
    stream: process.stderr,
    hideCursor: true,
  });
  let shown = '';
  const isBusy = (): boolean => !['idle', 'watching'].includes(listener.adapt?.status ?? 'idle');
  const end = seconds() + limitS;
  try {
    while (isBusy()) {
      if (hasExited(daemon)) throw new BitlaneError('INTERNAL', 'the daemon ended while it adapted');
      if (seconds() > end) throw new BitlaneError('TIMEOUT', `the adaptation takes longer than ${limitS} s`);
      const { step, done, all } = listener.adapt ?? { step: null, done: 0, all: 0 };
      if (step !== null && process.stderr.isTTY) {
        if (step !== shown) {
          if (shown !== '') bar.stop();
          bar.start(Math.max(1, all), done, { step });
        } else bar.update(done, { step });
      } else if (step !== null && step !== shown) tell(`  ${step}`);
      shown = step ?? shown;
      await pause(250);
    }
  } finally {
    if (process.stderr.isTTY && shown !== '') bar.stop();
  }
};

/** What `bitlane adapt history ID --json` says of the file that was made. */
const recordSchema = z.looseObject({ modelBytes: z.number().nullable() });

interface Story {
  readonly firstDetectionS: number;
  readonly tracks: number;
  readonly counted: number;
  readonly examples: number;
  readonly confused: readonly string[];
  readonly outcome: string;
  readonly reason: string;
  readonly swapS: number | null;
  /** Of the candidate `null` where none was made. */
  readonly modelBytes: readonly [before: number, after: number | null];
  readonly frames: {
    readonly received: number;
    readonly detected: number;
    readonly skipped: number;
    readonly lost: number;
  };
  readonly report: string;
}

/** What is missing in a story, in plain sentences. */
const missing = (story: Story): string[] => [
  ...(story.firstDetectionS <= 30
    ? []
    : [`the first vehicle was tracked after ${story.firstDetectionS.toFixed(0)} s`]),
  ...(story.counted > 0 ? [] : ['nothing was counted']),
  ...(story.examples > 0 ? [] : ['no hard example was kept']),
  ...(story.confused.length > 0 ? [] : ['no confusion was observed']),
  ...(story.outcome === 'committed' ? [] : [`the adaptation was ${story.outcome}: ${story.reason}`]),
  ...(story.swapS !== null && story.swapS <= 60 * MINUTES ? [] : [`no swap within ${MINUTES} minutes`]),
  ...(story.frames.lost === 0 ? [] : [`${story.frames.lost} frames were lost`]),
];

const play = async (listener: Listener, daemon: ChildProcess, place: Place): Promise<Story> => {
  const { state, watchS, config, parentBytes } = place;
  await waitFor(
    () => listener.tracks > 0 || (listener.health?.frames.detected ?? 0) > 0,
    daemon,
    'a detected frame',
    60,
  );
  const firstDetectionS = seconds();
  tell('frames come in, and vehicles are detected');
  await waitFor(() => listener.tracks > 0, daemon, 'a vehicle that went by', 60);
  tell(`it watches the road for ${watchS} s`);
  const until = seconds() + watchS;
  await waitFor(
    () => seconds() > until && listener.counts.size > 0 && listener.examples.size > 0,
    daemon,
    'a hard example',
    240,
  );
  const sum = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);
  tell(`${listener.tracks} vehicles; across the line went ${top(listener.counts, 6)}`);
  tell(`${sum(listener.examples)} hard examples kept: ${top(listener.examples, 4)}`);
  const confused = [...listener.pairs].sort((a, b) => b.rate * b.support - a.rate * a.support).slice(0, 4);
  for (const { a, b, rate, support } of confused) {
    tell(`  ${a} and ${b} are taken for each other ${per(rate)} of the time, of ${support.toFixed(0)} seen`);
  }
  tell('it adapts: which layers tell these types apart, and who gets the bits');
  await listener.command('adapt/start', {});
  await waitFor(() => !['idle', undefined].includes(listener.adapt?.status), daemon, 'an adaptation', 30);
  await follow(listener, daemon, 60 * MINUTES);
  await waitFor(
    () => listener.adapt?.status === 'idle' || listener.adapt?.status === 'watching',
    daemon,
    'an end',
    30,
  );
  const committed = listener.models.find(({ step, generation }) => step === 'committed' && generation > 1);
  const swapS = committed === undefined ? null : seconds();
  if (swapS !== null) tell('the adapted model serves; the old one is gone. It is watched for a while');
  await waitFor(
    () => listener.adapt?.status === 'idle' && listener.adapt.last !== null,
    daemon,
    'a verdict',
    120,
  );
  const { last } = listener.adapt ?? {};
  const report = join(state, 'adaptation.html');
  const history = await cli(
    ['adapt', 'history', last?.adaptation ?? '', '--config', config, '--report', report, '--json'],
    60_000,
  );
  const seen = listener.health?.frames ?? { received: 0, detected: 0, skipped: 0, bad: 0 };
  const { modelBytes } = recordSchema.parse(JSON.parse(history));
  return {
    firstDetectionS,
    tracks: listener.tracks,
    counted: sum(listener.counts),
    examples: sum(listener.examples),
    confused: confused.map(({ a, b }) => `${a}:${b}`),
    outcome: last?.outcome ?? 'unknown',
    reason: last?.reason ?? '',
    swapS,
    modelBytes: [parentBytes, modelBytes],
    frames: {
      received: seen.received,
      detected: seen.detected,
      skipped: seen.skipped,
      // One may be on its way when health is told.
      lost: Math.max(0, seen.received - seen.detected - seen.skipped - seen.bad - 2),
    },
    report,
  };
};

interface Place {
  readonly state: string;
  readonly config: string;
  readonly watchS: number;
  readonly parentBytes: number;
}

const install = async (model: string, stateDir: string): Promise<Manifest> => {
  const registry = new Registry({ stateDir, purpose: 'the demo' });
  await registry.start();
  try {
    const artifact = await registry.installFolder(model);
    await registry.activate(artifact);
    return artifact.manifest;
  } finally {
    registry.stop();
  }
};

const prepare = async (state: string, model: string, watchS: number, port: number): Promise<Place> => {
  rmSync(state, { recursive: true, force: true });
  mkdirSync(state, { recursive: true });
  const manifest = await install(model, state);
  tell('pictures of this road, with labels, are drawn: what it adapts to and is judged on');
  const pictures = PICTURES.tuning + PICTURES.validation;
  await cli(
    ['scene', '--out', join(state, 'road'), '--pictures', String(pictures), '--seed', '71', '--json'],
    120_000,
  );
  const config = join(state, 'bitlane.yaml');
  writeFileAtomic(
    config,
    stringify({
      device: DEVICE,
      stateDir: state,
      runtimeDir: join(state, 'run'),
      camera: { kind: 'scene', fps: 15 },
      mqtt: { embeddedPort: port },
      telemetry: { healthEverySeconds: 2 },
      lines: [{ name: 'middle', from: [0, 0.55], to: [1, 0.55], forward: 'away', backward: 'towards' }],
      counting: { intervals: [10] },
      examples: { flushSeconds: 2, reserveMb: 0 },
      confusions: { publishSeconds: 5 },
      adaptation: {
        budget: { modelBytes: Math.round(BYTES_RATIO * manifest.modelBytes) },
        data: { path: join(state, 'road'), tuning: 'train', validation: 'val' },
        pictures: PICTURES.tuning,
        calibrationPictures: 48,
        watch: { seconds: 10 },
      },
    }),
  );
  return { state, config, watchS, parentBytes: manifest.modelBytes };
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      state: { type: 'string', default: join(packageRoot, 'state', 'demo') },
      model: { type: 'string' },
      watch: { type: 'string', default: '60' },
      'go-on': { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  const watchS = Number(values.watch);
  if (!(watchS >= 1 && watchS <= 3600))
    throw new BitlaneError('BAD_USAGE', '--watch takes 1 to 3600 seconds');
  const port = await freePort();
  const place = await prepare(resolve(values.state), values.model ?? shippedModel(), watchS, port);
  const daemon = spawn(process.execPath, [cliScript, 'run', '--config', place.config], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const listener = new Listener(DEVICE);
  const end = (): void => void stopChild(daemon, 20_000).then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  try {
    tell(`the daemon starts; its broker is mqtt://127.0.0.1:${port}`);
    let isOpen = false;
    for (const limit = seconds() + 30; !isOpen;) {
      isOpen = await listener.open(`mqtt://127.0.0.1:${port}`).then(
        () => true,
        () => false,
      );
      if (!isOpen && seconds() > limit) throw new BitlaneError('TIMEOUT', 'the broker does not answer');
      if (!isOpen) await pause(300);
    }
    const story = await play(listener, daemon, place);
    const problems = missing(story);
    const { frames, modelBytes, report } = story;
    tell(`${story.outcome}: ${story.reason}`);
    const [before, after] = modelBytes;
    if (after !== null) tell(`the model takes ${after} bytes, ${per(after / before)} of before`);
    tell(
      `${frames.received} frames: ${frames.detected} detected, ${frames.skipped} skipped for newer ones, ${frames.lost} lost`,
    );
    tell(`what changed, in pictures: ${report}`);
    for (const problem of problems) tell(`MISSING: ${problem}`);
    if (values.check) process.stdout.write(`${JSON.stringify({ ...story, problems })}\n`);
    if (values['go-on']) {
      tell(`it goes on; Ctrl-C ends it. Listen with: mosquitto_sub -p ${port} -v -t 'bitlane/#'`);
      await new Promise((done) => daemon.once('exit', done));
    }
    return problems.length > 0 && values.check ? 1 : 0;
  } finally {
    await listener.close();
    await stopChild(daemon, 20_000);
  }
};

try {
  process.exitCode = await main();
} catch (thrown) {
  const error = asBitlaneError(thrown);
  say(`demo: ${messageOf(error)}${error.code === 'BAD_USAGE' ? `\n\n${USAGE}` : ''}`);
  process.exitCode = error.isInputError ? 2 : 1;
}
