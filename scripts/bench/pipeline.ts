// What everything around the model costs: `npm run bench:pipeline -- --json`.
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { detectorSchema } from '../../src/config/index.js';
import { createGeneration, type FrameResult, type Generation } from '../../src/detector/index.js';
import type { Artifact } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';
import type { Picture } from '../../src/vision/index.js';
import { type BareModel, startBareModel } from './bare-model.js';
import {
  countOption,
  dataPath,
  medianFigure,
  pinMainThread,
  printReport,
  runBench,
  readOptions,
} from './lib.js';
import { jpegFrames, nanoArtifact, toYuv420 } from './nano.js';

const FRAMES = 100;
const YUV_FRAMES = 20;
const GRACE_MS = 2_000;
const WARM_UP = 10;
/** Each side of a pair runs this often and its last run counts: the first after a rest finds cold caches and a sleeping core. */
const BURST = 3;
/** The histogram counts its own timer in. */
const RESOLUTION_MS = 10;

const values = readOptions({
  json: { type: 'boolean', default: false },
  model: { type: 'string' },
  frames: { type: 'string' },
  rounds: { type: 'string', default: '8' },
  pairs: { type: 'string', default: '40' },
  blocks: { type: 'string', default: '4' },
  'block-frames': { type: 'string', default: '40' },
  threads: { type: 'string', default: '1' },
});

let seq = 0;
const offer = (generation: Generation, pictures: readonly Picture[]): void => {
  const picture = pictures[seq % pictures.length];
  if (picture === undefined) return;
  generation.offer({ ...picture, seq, receivedAtMs: performance.now(), wallMs: Date.now() });
  seq += 1;
};

/** One frame through an idle pipeline. */
const single = (generation: Generation, pictures: readonly Picture[]): Promise<FrameResult> =>
  new Promise((resolve, reject) => {
    generation.once('failed', ({ message }) => reject(new Error(message)));
    const done = (result: FrameResult): void => {
      generation.removeAll();
      resolve(result);
    };
    generation.once('result', done);
    if (generation.wants) offer(generation, pictures);
    else generation.once('want', () => offer(generation, pictures));
  });

/** `frames` frames, offered as fast as they are taken; frames a second, from the first result to the last. */
const saturated = (
  generation: Generation,
  pictures: readonly Picture[],
  frames: number,
): Promise<{ rate: number; results: FrameResult[] }> =>
  new Promise((resolve, reject) => {
    const results: FrameResult[] = [];
    let first = 0;
    let offered = 0;
    const next = (): void => {
      if (offered > frames || !generation.wants) return;
      offered += 1;
      offer(generation, pictures);
    };
    generation.on('failed', ({ message }) => reject(new Error(message)));
    generation.on('want', next);
    generation.on('result', (result) => {
      const now = performance.now();
      if (results.push(result) === 1) first = now;
      if (results.length <= frames) return;
      generation.removeAll();
      resolve({ rate: (1000 * frames) / (now - first), results });
    });
    next();
  });

/** The parts of one comparison, started afresh for every round: where memory happens to lie makes one process faster than the next. */
interface Stand {
  readonly generation: Generation;
  readonly bare: BareModel;
  readonly pinned: boolean;
  readonly stop: () => Promise<void>;
}

const openStand = async (
  artifact: Artifact,
  threads: number,
  jpeg: Picture,
  core: number,
): Promise<Stand> => {
  const generation = createGeneration({
    number: 1,
    artifact,
    detector: detectorSchema.parse({ threads }),
    graceMs: GRACE_MS,
    log: silentLog,
  });
  let bare: BareModel | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all([generation.stop(), bare?.stop()]);
  };
  try {
    bare = await startBareModel({
      modelPath: artifact.modelPath,
      input: artifact.manifest.detector.input,
      threads,
      jpeg: { base64: Buffer.from(jpeg.data).toString('base64'), size: jpeg },
    });
    await generation.start();
    const pins = [pinMainThread(generation.pid, core), pinMainThread(bare.pid, core)];
    // Threads of the session itself must not be bound to one core.
    const pinned = threads === 1 && (await Promise.all(pins)).every(Boolean);
    return { generation, bare, pinned, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

interface Overhead {
  /** Time of a frame over time of a bare run, once for each pair. */
  readonly bare: number[];
  /** The same over the model's run within that very frame: both sides in one process, at one moment. */
  readonly own: number[];
}

const overheads = async (
  { generation, bare }: Stand,
  pictures: readonly Picture[],
  pairs: number,
): Promise<Overhead> => {
  const ratios: Overhead = { bare: [], own: [] };
  for (let pair = -WARM_UP; pair < pairs; pair += 1) {
    const { runs } = await bare.run(BURST);
    let result: FrameResult | undefined;
    for (let run = 0; run < BURST; run += 1) result = await single(generation, pictures);
    if (pair < 0 || result === undefined) continue;
    ratios.bare.push(result.totalMs / (runs.at(-1) ?? NaN));
    ratios.own.push(result.totalMs / result.timings.inferenceMs);
  }
  return ratios;
};

interface Saturation {
  /** Frames a second over bare runs a second, once for each pair of blocks. */
  readonly ratios: readonly number[];
  readonly delays: readonly number[];
  /** Time from offered to detected over time of a bare run, once for each frame. */
  readonly latencies: readonly number[];
}

const saturation = async (
  { generation, bare }: Stand,
  pictures: readonly Picture[],
  blocks: number,
  frames: number,
): Promise<Saturation> => {
  const [ratios, delays, latencies]: [number[], number[], number[]] = [[], [], []];
  for (let block = 0; block < blocks; block += 1) {
    const { totalMs } = await bare.run(frames);
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const { rate, results } = await saturated(generation, pictures, frames);
    delay.disable();
    ratios.push((rate * totalMs) / (1000 * frames));
    delays.push(Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS));
    latencies.push(...results.map((result) => (result.totalMs * frames) / totalMs));
  }
  return { ratios, delays, latencies };
};

await runBench(async () => {
  const [rounds, pairs, blocks, frames, threads] = [
    countOption(values.rounds, '--rounds'),
    countOption(values.pairs, '--pairs'),
    countOption(values.blocks, '--blocks'),
    countOption(values['block-frames'], '--block-frames'),
    countOption(values.threads, '--threads'),
  ];
  const jpegs = jpegFrames(dataPath(values.frames, '--frames', 'junction-frames'), FRAMES);
  const [first] = jpegs;
  if (first === undefined) return;
  const yuvs = await Promise.all(jpegs.slice(0, YUV_FRAMES).map((jpeg) => toYuv420(jpeg, 1280, 720)));
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const { artifact, remove } = await nanoArtifact(modelPath);
  const [jpeg, yuv, load]: [Overhead[], Overhead[], Saturation[]] = [[], [], []];
  let pinned = true;
  try {
    for (let round = 0; round < rounds; round += 1) {
      const stand = await openStand(artifact, threads, first, round % availableParallelism());
      pinned &&= stand.pinned;
      try {
        jpeg.push(await overheads(stand, jpegs, pairs));
        yuv.push(await overheads(stand, yuvs, pairs));
        load.push(await saturation(stand, jpegs, blocks, frames));
      } finally {
        await stand.stop();
      }
    }
  } finally {
    remove();
  }
  const { id, name } = artifact.manifest;
  printReport(
    {
      bench: 'pipeline',
      model: { name, id, threads },
      data: { frames: jpegs.length, width: first.width, height: first.height, rounds, pinned },
      figures: [
        medianFigure(
          'overhead.jpeg640',
          'ratio',
          jpeg.flatMap(({ bare }) => bare),
        ),
        medianFigure(
          'overhead.yuv720',
          'ratio',
          yuv.flatMap(({ bare }) => bare),
        ),
        medianFigure(
          'overheadOverOwnRun.jpeg640',
          'ratio',
          jpeg.flatMap(({ own }) => own),
        ),
        medianFigure(
          'overheadOverOwnRun.yuv720',
          'ratio',
          yuv.flatMap(({ own }) => own),
        ),
        medianFigure(
          'throughput.jpeg640',
          'ratio',
          load.flatMap(({ ratios }) => ratios),
        ),
        medianFigure(
          'eventLoop.p99Ms',
          'ms',
          load.flatMap(({ delays }) => delays),
        ),
        medianFigure(
          'latencyAtFullLoad.jpeg640',
          'ratio',
          load.flatMap(({ latencies }) => latencies),
        ),
      ],
    },
    values.json,
  );
});
