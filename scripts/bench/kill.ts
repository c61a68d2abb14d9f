// SIGKILL of the whole daemon at random moments, the broker away half of the time, and of the adapter: `npm run bench:kill -- --json`.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SingleBar } from 'cli-progress';
import { connect, type MqttClient } from 'mqtt';
import { type Artifact, createManifest, Registry } from '../../src/registry/index.js';
import { packageRoot, spawnOwned } from '../../src/system/index.js';
import { callDaemon } from '../../src/telemetry/index.js';
import { type Broker, startBroker } from '../../test/helpers/mosquitto.js';
import { randomFrom } from '../../test/tracking/traffic.js';
import { killAdapter } from './kill-adapter.js';
import { census, countOption, dataPath, type Figure, printReport, runBench, readOptions } from './lib.js';
import { nanoArtifact, twinOf } from './nano.js';

const values = readOptions({
  json: { type: 'boolean', default: false },
  model: { type: 'string' },
  frames: { type: 'string' },
  kills: { type: 'string', default: '200' },
  seed: { type: 'string', default: '1' },
  parts: { type: 'string', default: 'daemon,adapter' },
});

const DEVICE = 'kill';
const PICTURES = 200;
/** A kill comes this long after the start, at random. */
const [SOONEST_MS, LATEST_MS] = [200, 5_000];

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Reads every message of the outbox as a consumer would, with a session that the broker keeps. */
class Consumer {
  readonly seen = new Set<number>();
  readonly #client: MqttClient;
  #highest = 0;
  outOfOrder = 0;
  messages = 0;

  constructor(url: string) {
    this.#client = connect(url, {
      protocolVersion: 5,
      clientId: 'kill-consumer',
      clean: false,
      properties: { sessionExpiryInterval: 3600 },
      reconnectPeriod: 50,
    });
    this.#client.on('error', () => undefined);
    this.#client.on('message', (_topic, payload) => this.#take(payload.toString()));
  }

  async subscribe(): Promise<void> {
    await this.#client.subscribeAsync([`bitlane/${DEVICE}/counts/#`, `bitlane/${DEVICE}/event/#`], {
      qos: 1,
    });
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true);
  }

  /** A number may come twice (QoS 1 says so); its first coming must be after those of all lower numbers. */
  #take(text: string): void {
    const { seq } = JSON.parse(text) as { seq: number };
    this.messages += 1;
    if (this.seen.has(seq)) return;
    if (seq < this.#highest) this.outOfOrder += 1;
    this.#highest = Math.max(this.#highest, seq);
    this.seen.add(seq);
  }
}

interface Look {
  readonly lastSeq: number;
  readonly waiting: number;
  readonly intact: boolean;
}

/** Opens the store as the next start would. */
const lookAtStore = (path: string): Look => {
  // Killed before it had begun.
  if (!existsSync(path)) return { lastSeq: 0, waiting: 0, intact: true };
  try {
    const db = new Database(path, { fileMustExist: true });
    try {
      const intact = db.pragma('integrity_check', { simple: true }) === 'ok';
      const lastSeq =
        (db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").pluck().get() as
          number | undefined) ?? 0;
      const waiting = db.prepare('SELECT COUNT(*) FROM outbox').pluck().get() as number;
      return { lastSeq, waiting, intact };
    } finally {
      db.close();
    }
  } catch {
    return { lastSeq: 0, waiting: 0, intact: false };
  }
};

/** Exactly one active model, whole. */
const hasActiveModel = async (stateDir: string): Promise<boolean> => {
  const registry = new Registry({ stateDir, readOnly: true });
  try {
    await registry.start();
    return registry.active !== null && (await registry.verify(registry.active)).id === registry.active;
  } catch {
    return false;
  } finally {
    registry.stop();
  }
};

const installTwo = async (stateDir: string, modelPath: string): Promise<readonly Artifact[]> => {
  const registry = new Registry({ stateDir });
  await registry.start();
  const { artifact, remove } = await nanoArtifact(modelPath);
  try {
    const first = await registry.install(artifact.modelPath, artifact.manifest);
    const bytes = twinOf(artifact);
    const detector = artifact.manifest.detector;
    return [first, await registry.install(bytes, createManifest(bytes, { name: 'twin', detector }))];
  } finally {
    remove();
    registry.stop();
  }
};

interface Part {
  readonly model: unknown;
  readonly data: unknown;
  readonly figures: readonly Figure[];
}

const killDaemon = async (kills: number, random: () => number): Promise<Part> => {
  const folder = dataPath(values.frames, '--frames', 'junction-frames');
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const state = mkdtempSync(join(tmpdir(), 'bitlane-kill-'));
  let broker: Broker | undefined;
  let consumer: Consumer | undefined;
  try {
    const frames = join(state, 'frames');
    mkdirSync(frames);
    const names = readdirSync(folder)
      .filter((name) => /\.jpe?g$/i.test(name))
      .sort()
      .slice(0, PICTURES);
    for (const name of names) copyFileSync(join(folder, name), join(frames, name));
    const twins = await installTwo(state, modelPath);
    broker = await startBroker({ persistent: true, extra: ['autosave_interval 1'] });
    consumer = new Consumer(broker.url);
    await consumer.subscribe();
    const config = join(state, 'bitlane.json');
    writeFileSync(
      config,
      JSON.stringify({
        device: DEVICE,
        stateDir: state,
        runtimeDir: state,
        logLevel: 'error',
        camera: { kind: 'replay', path: frames, fps: 30 },
        swap: { canaryFrames: 3 },
        lines: [{ name: 'middle', from: [0, 0.6], to: [1, 0.6] }],
        counting: { intervals: [1], emptyIntervals: true },
        tracking: { maxLostMs: 100 },
        mqtt: { url: broker.url, reconnectInitialMs: 50, reconnectMaxMs: 200 },
      }),
    );
    const script = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
    const start = () => {
      const child = spawnOwned(process.execPath, [script, 'run', '--config', config], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      return { child, gone };
    };
    const store = join(state, 'bitlane.db');
    const bad = { databases: 0, boots: 0, alive: 0 };
    let last: Look = { lastSeq: 0, waiting: 0, intact: true };
    let up = true;
    const bar = process.stderr.isTTY ? new SingleBar({ stream: process.stderr }) : undefined;
    bar?.start(kills, 0);
    for (let kill = 1; kill <= kills; kill += 1) {
      // Away for half of the runs, and in others it comes or goes in the middle.
      const wanted = random() < 0.5;
      const late = random() < 0.3;
      if (!late && wanted !== up) {
        await (wanted ? broker.up() : broker.down());
        up = wanted;
      }
      const { child, gone } = start();
      const waitMs = SOONEST_MS + random() * (LATEST_MS - SOONEST_MS);
      await sleep(waitMs / 2);
      if (late && wanted !== up) {
        await (wanted ? broker.up() : broker.down());
        up = wanted;
      }
      // Some of the kills meet a swap.
      if (random() < 0.3) {
        const model = twins[kill % 2]?.id;
        callDaemon(state, 'model/use', { model }, { timeoutMs: 5_000 }).catch(() => undefined);
      }
      await sleep(waitMs / 2);
      if (child.exitCode !== null) bad.alive += 1;
      child.kill('SIGKILL');
      await gone;
      const look = lookAtStore(store);
      if (!look.intact || look.lastSeq < last.lastSeq) bad.databases += 1;
      last = look;
      if (!(await hasActiveModel(state))) bad.boots += 1;
      bar?.update(kill);
    }
    bar?.stop();
    if (!up) await broker.up();
    // A last, undisturbed run sends what waits.
    const { child, gone } = start();
    const deadline = performance.now() + 120_000;
    const isDelivered = (): boolean => {
      for (let seq = 1; seq <= last.lastSeq; seq += 1) if (!consumer?.seen.has(seq)) return false;
      return true;
    };
    while (!isDelivered() && performance.now() < deadline) await sleep(100);
    child.kill('SIGTERM');
    await gone;
    let lost = 0;
    for (let seq = 1; seq <= last.lastSeq; seq += 1) if (!consumer.seen.has(seq)) lost += 1;
    return {
      model: { name: twins[0]?.manifest.name, id: twins[0]?.id },
      data: { kills, messages: last.lastSeq, received: consumer.messages, endedByItself: bad.alive },
      figures: [
        census('kill.messagesLost', 'messages', lost, last.lastSeq),
        census('kill.outOfOrder', 'messages', consumer.outOfOrder, consumer.messages),
        census('kill.corruptDatabases', 'kills', bad.databases, kills),
        census('kill.bootsWithoutOneActiveModel', 'kills', bad.boots, kills),
      ],
    };
  } finally {
    await consumer?.end();
    await broker?.remove();
    rmSync(state, { recursive: true, force: true });
  }
};

await runBench(async () => {
  const kills = countOption(values.kills, '--kills');
  const random = randomFrom(countOption(values.seed, '--seed'));
  const parts = new Set(values.parts.split(','));
  const daemon = parts.has('daemon') ? await killDaemon(kills, random) : undefined;
  const adapter = parts.has('adapter') ? await killAdapter(kills, random) : undefined;
  printReport(
    {
      bench: 'kill',
      model: daemon?.model,
      data: {
        daemon: daemon?.data,
        adapter: adapter && { jobs: adapter.jobs, candidate: adapter.candidate },
      },
      figures: [...(daemon?.figures ?? []), ...(adapter?.figures ?? [])],
    },
    values.json,
  );
});
