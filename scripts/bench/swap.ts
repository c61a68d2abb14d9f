// 200 hot swaps of the whole daemon under load: `npm run bench:swap -- --json`.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { type Config, readConfig } from '../../src/config/index.js';
import { Daemon } from '../../src/daemon/index.js';
import { type FrameResult, keptClasses } from '../../src/detector/index.js';
import { type Artifact, createManifest, Registry } from '../../src/registry/index.js';
import { withSession } from '../../src/runtime/index.js';
import { median, RootLog } from '../../src/system/index.js';
import { callDaemon } from '../../src/telemetry/index.js';
import { type Detection, type Frame, Pipeline, readJpegSize } from '../../src/vision/index.js';
import { KINDS, offerBad } from '../../test/daemon/bad-candidates.js';
import { census, countOption, dataPath, printReport, runBench, readOptions } from './lib.js';
import { nanoArtifact, twinOf } from './nano.js';
import { keyOf } from './picture-key.js';

const values = readOptions({
  json: { type: 'boolean', default: false },
  model: { type: 'string' },
  frames: { type: 'string' },
  swaps: { type: 'string', default: '200' },
  canary: { type: 'string', default: '10' },
  fps: { type: 'string', default: '30' },
  bad: { type: 'string', default: '50' },
});

const PICTURES = 120;
const MOST_RESULTS = 500_000;
/** Swaps after which memory is looked at first. */
const SETTLED = 20;
/** Memory is the middle of as many looks, one after each swap. */
const LOOKS = 10;

const hashDetections = (detections: readonly Detection[]): number => {
  const numbers = new Float64Array(
    detections.flatMap(({ x1, y1, x2, y2, classId, score }) => [x1, y1, x2, y2, classId, score]),
  );
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(numbers.buffer)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
};

/** What was answered, without a single object a frame: the record must not be the memory that is measured. */
class Record {
  readonly #times = new Float64Array(MOST_RESULTS);
  readonly #pictures = new Int16Array(MOST_RESULTS);
  readonly #models = new Uint8Array(MOST_RESULTS);
  readonly #hashes = new Uint32Array(MOST_RESULTS);
  readonly #underWay = new Map<number, number>();
  readonly #keys: ReadonlyMap<string, number>;
  readonly #first: string;
  count = 0;

  constructor(keys: ReadonlyMap<string, number>, first: string) {
    this.#keys = keys;
    this.#first = first;
  }

  frame(frame: Frame): void {
    this.#underWay.set(frame.seq, this.#keys.get(keyOf(frame.data)) ?? -1);
    this.#underWay.delete(frame.seq - 256);
  }

  result(result: FrameResult): void {
    const at = this.count;
    if (at >= MOST_RESULTS) return;
    this.count += 1;
    this.#times[at] = performance.now();
    this.#pictures[at] = this.#underWay.get(result.frame.seq) ?? -1;
    this.#models[at] = result.artifactId === this.#first ? 0 : 1;
    this.#hashes[at] = hashDetections(result.detections);
  }

  gaps(): number[] {
    return Array.from(
      { length: Math.max(0, this.count - 1) },
      (_, i) => (this.#times[i + 1] ?? 0) - (this.#times[i] ?? 0),
    );
  }

  /** Answers that are not what the model they name says of that picture. */
  wrong(truth: readonly (readonly number[])[]): number {
    let wrong = 0;
    for (let at = 0; at < this.count; at += 1) {
      const expected = truth[this.#models[at] ?? 0]?.[this.#pictures[at] ?? -1];
      if (expected !== this.#hashes[at]) wrong += 1;
    }
    return wrong;
  }
}

/** What a model says of every picture, computed in this process. */
const truthOf = (
  artifact: Artifact,
  pictures: readonly Uint8Array[],
  { detector }: Config,
): Promise<number[]> =>
  withSession(artifact.modelPath, { threads: detector.threads }, async (session) => {
    const spec = artifact.manifest.detector;
    const pipeline = new Pipeline(session, spec, {
      scoreThreshold: detector.scoreThreshold,
      iouThreshold: detector.iouThreshold,
      maxDetections: detector.maxDetections,
      classes: keptClasses(undefined, spec.classes).classes,
    });
    const hashes: number[] = [];
    for (const data of pictures) {
      const size = readJpegSize(data);
      if ('fault' in size) throw new Error(size.reason);
      const { detections } = await pipeline.detect({
        format: 'jpeg',
        width: size.width,
        height: size.height,
        data,
      });
      hashes.push(hashDetections(detections));
    }
    return hashes;
  });

/** The same network as another artifact that answers differently: its input is a little darker. */
const installTwins = async (
  registry: Registry,
  modelPath: string,
): Promise<readonly [Artifact, Artifact]> => {
  const { artifact, remove } = await nanoArtifact(modelPath);
  try {
    const first = await registry.install(artifact.modelPath, artifact.manifest);
    const other = twinOf(artifact);
    const { detector } = artifact.manifest;
    const darker = {
      ...detector,
      input: { ...detector.input, scale: [0.9, 0.9, 0.9] as [number, number, number] },
    };
    const second = await registry.install(other, createManifest(other, { name: 'twin', detector: darker }));
    return [first, second];
  } finally {
    remove();
  }
};

const until = async (condition: () => boolean, what: string): Promise<void> => {
  const deadline = performance.now() + 120_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen within two minutes`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

await runBench(async () => {
  const swaps = countOption(values.swaps, '--swaps');
  const folder = dataPath(values.frames, '--frames', 'junction-frames');
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const state = mkdtempSync(join(tmpdir(), 'bitlane-swap-'));
  try {
    const names = readdirSync(folder)
      .filter((name) => /\.jpe?g$/i.test(name))
      .sort()
      .slice(0, PICTURES);
    const pictures = names.map((name) => readFileSync(join(folder, name)));
    const shown = join(state, 'frames');
    mkdirSync(shown);
    for (const name of names) copyFileSync(join(folder, name), join(shown, name));
    const registry = new Registry({ stateDir: state });
    await registry.start();
    const twins = await installTwins(registry, modelPath);
    registry.stop();

    const local = readConfig(
      JSON.stringify({
        stateDir: state,
        runtimeDir: state,
        logLevel: 'error',
        camera: { kind: 'replay', path: shown, fps: countOption(values.fps, '--fps') },
        swap: { canaryFrames: countOption(values.canary, '--canary'), maxLatencyRatio: 100 },
        tracking: { minHits: 3 },
      }),
      'the benchmark.json',
    );
    const record = new Record(new Map(pictures.map((data, index) => [keyOf(data), index])), twins[0].id);
    const observer = {
      frame: (frame: Frame): void => record.frame(frame),
      result: (result: FrameResult): void => record.result(result),
    };
    const daemon = new Daemon({ local, rootLog: new RootLog({ level: 'error' }), observer });
    const memory: number[] = [];
    const bar = process.stderr.isTTY ? new SingleBar({ stream: process.stderr }) : undefined;
    await daemon.start();
    try {
      await until(() => record.count > 100, 'detection');
      bar?.start(swaps, 0);
      for (let swap = 1; swap <= swaps; swap += 1) {
        const model = twins[swap % 2]?.id;
        await callDaemon(state, 'model/use', { model }, { timeoutMs: 120_000 });
        memory.push(process.memoryUsage.rss());
        bar?.update(swap);
      }
      const after = record.count;
      await until(() => record.count > after + 100, 'detection after the last swap');
      bar?.stop();
    } finally {
      await daemon.stop();
    }
    const frames = daemon.frames ?? { received: 0, done: 0, dropped: 0, skipped: 0, lost: 0 };
    const accounted = frames.done + frames.dropped + frames.skipped;
    // What was in flight or waited when the run ended is not lost by a swap: two frames at the most.
    const lost = Math.max(0, frames.received - accounted - 2);
    const truth = [
      await truthOf(twins[0], pictures, local.config),
      await truthOf(twins[1], pictures, local.config),
    ];
    const different = (truth[0] ?? []).filter((hash, index) => hash !== truth[1]?.[index]).length;
    const gaps = record.gaps();
    const middle = median(gaps);
    const sorted = [...gaps].sort((a, b) => a - b);
    const settled = Math.min(SETTLED, Math.max(1, swaps - LOOKS));
    const begin = median(memory.slice(settled - 1, settled - 1 + LOOKS));
    const end = median(memory.slice(-LOOKS));
    const count = countOption(values.bad, '--bad');
    const bad = await offerBad(
      Array.from({ length: count }, (_, i) => KINDS[i % KINDS.length] ?? 'torn file'),
    );
    printReport(
      {
        bench: 'swap',
        model: {
          name: twins[0].manifest.name,
          id: twins[0].id,
          twin: twins[1].id,
          picturesToldApart: different,
        },
        data: { pictures: pictures.length, swaps, results: record.count, frames, medianGapMs: middle },
        figures: [
          census('swap.framesLost', 'frames', lost, swaps),
          census('swap.wrongGeneration', 'frames', record.wrong(truth), record.count),
          census('swap.longestGapRatio', 'ratio', Math.max(...gaps) / middle, gaps.length),
          census(
            'swap.gap999Ratio',
            'ratio',
            (sorted[Math.floor(0.999 * sorted.length)] ?? NaN) / middle,
            gaps.length,
          ),
          census('swap.rssGrowthRatio', 'ratio', end / begin, LOOKS),
          census(
            'swap.badCommitted',
            'candidates',
            bad.tried.filter(({ deployed, serves }) => deployed.committed || !serves).length,
            bad.tried.length,
          ),
          census('swap.badFramesLost', 'frames', bad.lost, bad.frames),
        ],
      },
      values.json,
    );
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
