// `npm run bench:networks`: what networks from scratch cost, FP32 and int8, beside YOLOX-nano: chosen by before any is trained.
import { readFileSync } from 'node:fs';
import { SCENE_CLASSES } from '../../src/scene/index.js';
import {
  foldBatchNorm,
  readModel,
  removeUnusedInitializers,
  runPasses,
  writeModel,
} from '../../src/onnx/index.js';
import {
  componentsOf,
  prepareModel,
  quantizeModel,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { floatTensor, openSession, type Session, type Tensors } from '../../src/runtime/index.js';
import { Random } from '../../src/system/index.js';
import { buildNetwork, type NetworkDefinition } from '../../src/training/index.js';
import { NETWORK } from '../shipped/recipe.js';
import {
  countOption,
  dataPath,
  type Figure,
  medianFigure,
  printReport,
  readOptions,
  runBench,
} from './lib.js';

const stages = (
  ...sizes: readonly (readonly [channels: number, blocks: number])[]
): NetworkDefinition['stages'] => sizes.map(([channels, blocks]) => ({ channels, blocks }));

const network = (
  [width, height]: readonly [number, number],
  stem: number,
  of: NetworkDefinition['stages'],
  neck: number,
  more: Partial<NetworkDefinition> = {},
): NetworkDefinition => ({
  width,
  height,
  stem,
  stages: of,
  strides: [8, 16, 32],
  neck,
  head: 'coupled',
  ...more,
});

const NARROW = stages([32, 1], [64, 1], [96, 1]);
const MIDDLE = stages([48, 1], [96, 2], [160, 2]);
const WIDE = stages([64, 1], [128, 2], [192, 2]);

/** What was weighed up: sides of the input, width, depth, levels, heads. */
export const ALTERNATIVES: Readonly<Record<string, NetworkDefinition>> = {
  'narrow 320x192': network([320, 192], 16, NARROW, 32),
  'narrow 416x256': network([416, 256], 16, NARROW, 32),
  'narrow 480x288': network([480, 288], 16, NARROW, 32),
  'middle 256x160': network([256, 160], 24, MIDDLE, 64),
  'middle 320x192': network([320, 192], 24, MIDDLE, 64),
  'middle 320x192, strides 16 and 32': network([320, 192], 24, MIDDLE, 64, { strides: [16, 32] }),
  'middle 320x192, neck 48': network([320, 192], 24, MIDDLE, 48),
  'middle 320x192, deep': network([320, 192], 24, stages([48, 2], [96, 3], [160, 3]), 64),
  'middle 320x192, two heads': network([320, 192], 24, MIDDLE, 64, { head: 'decoupled' }),
  'middle 384x224': network([384, 224], 24, MIDDLE, 64),
  'middle 384x224, strides 16 and 32': network([384, 224], 24, MIDDLE, 64, { strides: [16, 32] }),
  'narrow 384x224, strides 16 and 32': network([384, 224], 16, NARROW, 32, { strides: [16, 32] }),
  'wide 384x224, strides 16 and 32': network([384, 224], 32, WIDE, 64, { strides: [16, 32] }),
  'middle 416x256': network([416, 256], 24, MIDDLE, 64),
  'middle 416x256, strides 16 and 32': network([416, 256], 24, MIDDLE, 64, { strides: [16, 32] }),
  'middle 480x288, strides 16 and 32': network([480, 288], 24, MIDDLE, 64, { strides: [16, 32] }),
  'wide 256x160': network([256, 160], 32, WIDE, 64),
  'wide 320x192': network([320, 192], 32, WIDE, 64),
  'wide 384x224': network([384, 224], 32, WIDE, 64),
  'narrow 640x384, strides 16 and 32': network([640, 384], 16, NARROW, 32, { strides: [16, 32] }),
  'wide 640x384, strides 16 and 32': network([640, 384], 32, WIDE, 64, { strides: [16, 32] }),
  'middle 640x384, strides 16 and 32': network([640, 384], 24, MIDDLE, 64, { strides: [16, 32] }),
  'shipped: middle 640x384, strides 16 and 32, 4x4 stem': NETWORK,
};

interface Timed {
  readonly session: Session;
  readonly feeds: Tensors;
  readonly times: number[];
}

const CALIBRATION = 4;

/** Noise as a camera's pixels: times do not depend on what is seen. */
const noise = (name: string, dims: readonly number[], most: number): Tensors => {
  const random = new Random(1, 1);
  const size = dims.reduce((a, b) => a * b, 1);
  return {
    [name]: floatTensor(
      dims,
      Float32Array.from({ length: size }, () => (random.below(256) * most) / 255),
    ),
  };
};

const timed = async (bytes: Uint8Array, feeds: Tensors): Promise<Timed> => ({
  session: await openSession(bytes, { threads: 1 }),
  feeds,
  times: [],
});

/** Multiplications of one picture, and weights. */
const sizesOf = (model: ReturnType<typeof buildNetwork>): { macs: number; weights: number } => {
  let [macs, weights] = [0, 0];
  for (const node of model.graph.nodes()) {
    if (!node.is('Conv')) continue;
    const size = (node.input(1)?.shape ?? []).reduce((a: number, b) => a * Number(b), 1);
    const [, , height = 0, width = 0] = (node.output()?.shape ?? []).map(Number);
    weights += size;
    macs += size * height * width;
  }
  return { macs, weights };
};

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    only: { type: 'string', default: '' },
  });
  const rounds = countOption(values.rounds, '--rounds');
  const nanoPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const nano = await timed(new Uint8Array(readFileSync(nanoPath)), noise('images', [1, 3, 416, 416], 255));
  const entries = [];
  for (const [name, definition] of Object.entries(ALTERNATIVES)) {
    if (!name.includes(values.only)) continue;
    const model = buildNetwork(definition, SCENE_CLASSES, 1);
    const sizes = sizesOf(model);
    runPasses(model, [foldBatchNorm, removeUnusedInitializers]);
    const bytes = writeModel(model);
    const feeds = noise('pictures', [1, 3, definition.height, definition.width], 1);
    const allocation = uniformAllocation(componentsOf(prepareModel(readModel(bytes))), 8, 'int8');
    const quantized = await quantizeModel(readModel(bytes), {
      allocation,
      feeds: () => Array.from({ length: CALIBRATION }, () => feeds),
    });
    entries.push({
      name,
      sizes,
      fp32: await timed(bytes, feeds),
      int8: await timed(writeModel(quantized.model), feeds),
    });
  }
  const all = [nano, ...entries.flatMap(({ fp32, int8 }) => [fp32, int8])];
  for (let round = -2; round < rounds; round += 1) {
    for (const { session, feeds, times } of all) {
      const start = performance.now();
      await session.run(feeds);
      if (round >= 0) times.push(performance.now() - start);
    }
  }
  for (const { session } of all) await session.release();
  const ratio = (name: string, a: Timed, b: Timed): Figure =>
    medianFigure(
      name,
      'ratio',
      a.times.map((time, i) => time / (b.times[i] ?? 1)),
    );
  const figures = entries.flatMap(({ name, sizes, fp32, int8 }): Figure[] => [
    medianFigure(`${name}: multiplications`, '10^6', [sizes.macs / 1e6]),
    medianFigure(`${name}: weights`, '10^3', [sizes.weights / 1e3]),
    ratio(`${name}: fp32 to YOLOX-nano`, fp32, nano),
    ratio(`${name}: int8 to YOLOX-nano`, int8, nano),
    ratio(`${name}: int8 to fp32`, int8, fp32),
  ]);
  printReport(
    {
      bench: 'networks',
      model: 'fresh weights',
      data: 'noise',
      figures: [medianFigure('yoloxNano: fp32', 'ms', nano.times), ...figures],
    },
    values.json,
  );
});
