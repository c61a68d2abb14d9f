// What everything around the model costs: `npm run bench:pipeline -- --json`.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { detectorSchema } from '../../src/config/index.js';
import { createGeneration, type FrameResult, type Generation } from '../../src/detector/index.js';
import { silentLog } from '../../src/system/index.js';
import type { Picture } from '../../src/vision/index.js';
import { type BareModel, startBareModel } from './bare-model.js';
import { countOption, dataPath, type Figure, medianFigure, printReport, runBench } from './lib.js';
import { jpegFrames, nanoArtifact, toYuv420 } from './nano.js';

const FRAMES = 100;
const GRACE_MS = 2_000;
const WARM_UP = 10;
/** Each side of a pair runs this often and its last run counts: the first after a rest finds cold caches and a sleeping core. */
const BURST = 3;
/** The histogram counts its own timer in. */
const RESOLUTION_MS = 10;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    frames: { type: 'string' },
    pairs: { type: 'string', default: '300' },
    blocks: { type: 'string', default: '30' },
    'block-frames': { type: 'string', default: '40' },
    threads: { type: 'string', default: '1' },
  },
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

const overhead = async (
  name: string,
  generation: Generation,
  bare: BareModel,
  pictures: readonly Picture[],
  pairs: number,
): Promise<Figure> => {
  const ratios: number[] = [];
  for (let pair = -WARM_UP; pair < pairs; pair += 1) {
    const { runs } = await bare.run(BURST);
    let totalMs = NaN;
    for (let run = 0; run < BURST; run += 1) ({ totalMs } = await single(generation, pictures));
    if (pair >= 0) ratios.push(totalMs / (runs.at(-1) ?? NaN));
    if (process.env.DBG)
      process.stderr.write(`${runs.map((x) => x.toFixed(1)).join(' ')} | ${totalMs.toFixed(1)}\n`);
  }
  return medianFigure(name, 'ratio', ratios);
};

const throughput = async (
  generation: Generation,
  bare: BareModel,
  pictures: readonly Picture[],
  { blocks, frames }: { readonly blocks: number; readonly frames: number },
): Promise<Figure[]> => {
  const ratios: number[] = [];
  const delays: number[] = [];
  const latencies: number[] = [];
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
  return [
    medianFigure('throughput.jpeg640', 'ratio', ratios),
    medianFigure('eventLoop.p99Ms', 'ms', delays),
    medianFigure('saturatedLatency.jpeg640', 'ratio', latencies),
  ];
};

await runBench(async () => {
  const [pairs, blocks, frames, threads] = [
    countOption(values.pairs, '--pairs'),
    countOption(values.blocks, '--blocks'),
    countOption(values['block-frames'], '--block-frames'),
    countOption(values.threads, '--threads'),
  ];
  const framesPath = dataPath(values.frames, '--frames', 'junction-frames');
  const jpegs = jpegFrames(framesPath, FRAMES);
  const yuvs: Picture[] = [];
  for (const jpeg of jpegs.slice(0, 20)) yuvs.push(await toYuv420(jpeg, 1280, 720));
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const { artifact, remove } = await nanoArtifact(modelPath);
  const generation = createGeneration({
    number: 1,
    artifact,
    detector: detectorSchema.parse({ threads }),
    graceMs: GRACE_MS,
    log: silentLog,
  });
  let bare: BareModel | undefined;
  try {
    const [first] = jpegs;
    if (first === undefined) return;
    bare = await startBareModel({
      modelPath: artifact.modelPath,
      input: artifact.manifest.detector.input,
      threads,
      jpeg: { base64: Buffer.from(first.data).toString('base64'), size: first },
    });
    await generation.start();
    const figures = [
      await overhead('overhead.jpeg640', generation, bare, jpegs, pairs),
      await overhead('overhead.yuv720', generation, bare, yuvs, pairs),
      ...(await throughput(generation, bare, jpegs, { blocks, frames })),
    ];
    const { id, name } = artifact.manifest;
    printReport(
      {
        bench: 'pipeline',
        model: { name, id, threads },
        data: { frames: jpegs.length, first: '640x360 JPEG' },
        figures,
      },
      values.json,
    );
  } finally {
    await generation.stop();
    await bare?.stop();
    remove();
  }
});
