// `npm run bench:shipped`: the model that ships, FP32 and mixed precision, on places that it never saw; YOLOX-nano's time beside it.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  criticalAccuracyFigure,
  type DataSet,
  evaluate,
  type Evaluation,
  mapClasses,
  openDataSet,
  pairedBootstrap,
  predict,
} from '../../src/evaluation/index.js';
import { type Artifact, readArtifactFolder } from '../../src/registry/index.js';
import { floatTensor, noiseBytes, openSession, type Session, type Tensors } from '../../src/runtime/index.js';
import { writeDataSet } from '../../src/scene/index.js';
import { packageRoot, Random } from '../../src/system/index.js';
import { FRAME, HELD_OUT } from '../shipped/recipe.js';
import {
  census,
  countOption,
  dataPath,
  type Figure,
  medianFigure,
  printReport,
  readOptions,
  runBench,
} from './lib.js';
import { map50Drop } from './quantize-lib.js';

const WARM_UP = 5;
/** Mutual confusion from which on a pair is a near one. */
const NEAR = 0.05;

interface Timed {
  readonly session: Session;
  readonly feeds: Tensors;
  readonly times: number[];
}

const timed = async (path: string): Promise<Timed> => {
  const session = await openSession(path, { threads: 1 });
  const random = new Random(1, 1);
  const feeds = Object.fromEntries(
    session.inputs.map(({ name, type, shape }) => {
      const dims = shape.map(Number);
      if (type === 'uint8') return [name, noiseBytes(dims)];
      const size = dims.reduce((a, b) => a * b, 1);
      return [
        name,
        floatTensor(
          dims,
          Float32Array.from({ length: size }, () => random.next()),
        ),
      ];
    }),
  );
  return { session, feeds, times: [] };
};

/** One run of each model in turns, so that what happens to the device meanwhile happens to all. */
const timeInTurns = async (all: readonly Timed[], rounds: number): Promise<void> => {
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const { session, feeds, times } of all) {
      const start = performance.now();
      await session.run(feeds);
      if (round >= 0) times.push(performance.now() - start);
    }
  }
};

/** The held-out pictures, rendered where no folder of them is given. */
const heldOut = async (given: string | undefined): Promise<{ data: DataSet; remove: () => void }> => {
  if (given !== undefined) return { data: openDataSet(given, { split: 'test' }), remove: () => undefined };
  const parent = mkdtempSync(join(tmpdir(), 'bitlane-bench-'));
  const folder = join(parent, 'held-out');
  const { seed, pictures } = HELD_OUT;
  await writeDataSet({ folder, pictures, seed, ...FRAME, shares: [0, 0, 1] });
  return {
    data: openDataSet(folder, { split: 'test' }),
    remove: () => rmSync(parent, { recursive: true, force: true }),
  };
};

const ratio = (name: string, a: Timed, b: Timed): Figure =>
  medianFigure(
    name,
    'ratio',
    a.times.map((time, i) => time / (b.times[i] ?? Number.NaN)),
  );

const SHIPPED = join(packageRoot, 'models', 'bitlane-scene');
const MIXED = join(packageRoot, 'models', 'bitlane-scene-mixed');

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string', default: SHIPPED },
    mixed: { type: 'string', default: MIXED },
    nano: { type: 'string' },
    data: { type: 'string' },
    rounds: { type: 'string', default: '200' },
  });
  const rounds = countOption(values.rounds, '--rounds');
  const nanoPath = dataPath(values.nano, '--nano', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const parent = await readArtifactFolder(values.model);
  const mixed = await readArtifactFolder(values.mixed);
  const times: Timed[] = [];
  for (const path of [parent.modelPath, mixed.modelPath, nanoPath]) times.push(await timed(path));
  try {
    await timeInTurns(times, rounds);
  } finally {
    for (const { session } of times) await session.release();
  }
  const [own, small, nano] = times as [Timed, Timed, Timed];
  const { data, remove } = await heldOut(values.data);
  try {
    const map = mapClasses(parent.manifest.detector.classes, data.classes);
    const judge = async (artifact: Artifact): Promise<Evaluation> =>
      evaluate((await predict(artifact, data, map)).results, map, { rounds: 0 });
    const [before, after] = [await judge(parent), await judge(mixed)];
    const pictures = data.images.length;
    const bytes = [parent, mixed].map(({ modelPath }) => statSync(modelPath).size) as [number, number];
    // The classes that FP32 confuses: the same question to both.
    const classes = before.criticalClasses;
    const near = before.pairs.filter(({ rate, critical }) => critical && rate > NEAR);
    const figures: Figure[] = [
      census('map50', 'mAP50', before.precision.map50, pictures),
      census('shipped.nearPairs', 'pairs', near.length, pictures),
      ratio('shipped.latencyRatio', small, own),
      census('shipped.bytesRatio', 'ratio', bytes[1] / bytes[0], 1),
      map50Drop('shipped.map50Drop', before, [after], pictures),
      {
        name: 'shipped.criticalDrop',
        unit: 'accuracy',
        ...pairedBootstrap(
          pictures,
          criticalAccuracyFigure(after.judged, classes),
          criticalAccuracyFigure(before.judged, classes),
        ),
        runs: pictures,
      },
      ratio('shipped.fp32TimeRatioToYoloxNano', own, nano),
      ratio('shipped.timeRatioToYoloxNano', small, nano),
    ];
    printReport(
      {
        bench: 'shipped',
        model: {
          fp32: { id: parent.id, name: parent.manifest.name },
          mixed: { id: mixed.id, name: mixed.manifest.name },
        },
        data: {
          name: data.name,
          split: data.split,
          pictures,
          near: near.map(({ a, b, rate }) => ({ a: map.classes[a], b: map.classes[b], rate })),
        },
        figures,
      },
      values.json,
    );
  } finally {
    remove();
  }
});
