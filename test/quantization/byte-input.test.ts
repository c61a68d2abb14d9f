// Packed models that take bytes: the same detections as with floats, nothing done to the picture before the first layer, and no others.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type DataSet, mapClasses, openDataSet, readPicture } from '../../src/evaluation/index.js';
import { cloneModel, type Model, readModel, writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  componentsOf,
  type FeedSource,
  gridOfRanges,
  packedInput,
  pictureFeeds,
  pixelRanges,
  prepareModel,
  quantize,
  quantizeArtifact,
  quantizeModel,
  takeBytes,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { type InputSpec, inputSpecSchema, readArtifactFolder } from '../../src/registry/index.js';
import { type Tensors, withSession } from '../../src/runtime/index.js';
import { writeDataSet } from '../../src/scene/index.js';
import { packageRoot } from '../../src/system/index.js';
import { inputTensor, Pipeline, Preprocessor, type RgbImage } from '../../src/vision/index.js';
import { focusNet } from '../allocation/nets.js';
import { Net } from '../onnx/net.js';
import { requireData, skipWithout } from '../helpers/data.js';

const OPTIONS = { scoreThreshold: 0.05, iouThreshold: 0.65, maxDetections: 100 } as const;

const temporaryFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-bytes-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

const parent = await readArtifactFolder(join(packageRoot, 'models', 'bitlane-scene'));
const { detector } = parent.manifest;
const source = readModel(parent.modelPath);
const components = componentsOf(prepareModel(source));

const picturesOf = async (
  t: Test,
  shares: readonly [number, number, number],
): Promise<Record<'train' | 'val', () => DataSet>> => {
  const folder = join(temporaryFolder(t), 'set');
  await writeDataSet({ folder, pictures: 4, seed: 4711, width: 640, height: 384, shares });
  return {
    train: () => openDataSet(folder, { split: 'train' }),
    val: () => openDataSet(folder, { split: 'val' }),
  };
};

/** The same model with floats and with bytes, packed in int8 throughout. */
const packed = async (
  model: Model,
  input: InputSpec,
  feeds: FeedSource,
): Promise<{ readonly floats: Model; readonly bytes: Model; readonly input: InputSpec }> => {
  const { model: floats } = await quantizeModel(model, {
    allocation: uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'),
    feeds,
    reduceRange: true,
    knownRanges: pixelRanges(input),
  });
  const bytes = cloneModel(floats);
  return { floats, bytes, input: takeBytes(bytes, input) };
};

/** Operators in the order in which they run. */
const kernelsOf = async (t: Test, model: Model, feed: Tensors): Promise<string[]> => {
  const folder = temporaryFolder(t);
  await withSession(writeModel(model), { profilePrefix: join(folder, 'run') }, async (session) => {
    await session.run(feed);
    session.endProfiling();
  });
  const [file = ''] = readdirSync(folder);
  const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    readonly name: string;
    readonly args?: { readonly op_name?: string };
  }[];
  return events.flatMap(({ name, args }) =>
    name.endsWith('_kernel_time') && args?.op_name !== undefined ? [args.op_name] : [],
  );
};

const preprocessor = new Preprocessor();
const feedOf = (picture: RgbImage, input: InputSpec): Tensors => {
  const tensor = preprocessor.tensor(input);
  preprocessor.preprocess(picture, input, tensor);
  return { [input.name]: inputTensor(input, tensor.slice()) };
};

const floatsOf = (tensors: Tensors): Float32Array => {
  const [tensor] = Object.values(tensors);
  if (tensor?.type !== 'float32') throw new Error('no floats');
  return tensor.data;
};

/** What lies in planes pixel by pixel. */
const interleaved = (planes: ArrayLike<number>): Uint8Array => {
  const area = planes.length / 3;
  return Uint8Array.from(planes, (_, at) => planes[(at % 3) * area + Math.floor(at / 3)] ?? 0);
};

/** Both models on the same whole pixels. */
const isSame = async (
  made: { floats: Model; bytes: Model; input: InputSpec },
  pixels: Float32Array,
): Promise<boolean> => {
  const { name, width, height } = made.input;
  const floats: Tensors = { [name]: { type: 'float32', dims: [1, 3, height, width], data: pixels } };
  const bytes: Tensors = {
    [name]: { type: 'uint8', dims: [1, height, width, 3], data: interleaved(pixels) },
  };
  const wanted = await withSession(writeModel(made.floats), {}, (session) => session.run(floats));
  const found = await withSession(writeModel(made.bytes), {}, (session) => session.run(bytes));
  return Buffer.from(floatsOf(found).buffer).equals(Buffer.from(floatsOf(wanted).buffer));
};

/** A picture of other sides, by the nearest pixel. */
const resized = ({ width, height, data }: RgbImage, w: number, h: number): RgbImage => ({
  format: 'rgb24',
  width: w,
  height: h,
  data: Uint8Array.from({ length: 3 * w * h }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % w, Math.floor(at / 3 / w)];
    return data[3 * (Math.floor((y * height) / h) * width + Math.floor((x * width) / w)) + (at % 3)] ?? 0;
  }),
});

t.test(
  'the shipped model sees the same, and nothing that moves or changes bytes comes before its first convolution',
  async (t) => {
    const dataSet = (await picturesOf(t, [1, 0, 0])).train();
    const pictures = await Promise.all(dataSet.images.map(({ path }) => readPicture(path)));
    const [first] = pictures;
    if (first === undefined) throw new Error('no pictures');
    const made = await packed(source, detector.input, pictureFeeds(dataSet, detector.input, 2));
    const { floats, bytes, input } = made;
    t.same(input, { ...detector.input, format: 'bytes' });
    t.same(packedInput(bytes.graph.inputs, detector.input), input);
    t.equal(packedInput(floats.graph.inputs, detector.input), detector.input);

    const kernels = await kernelsOf(t, bytes, feedOf(first, input));
    const before = await kernelsOf(t, floats, feedOf(first, detector.input));
    t.same(
      kernels.slice(0, 2),
      ['Reshape', 'QLinearConv'],
      'bytes, called lines of four pixels, which moves none',
    );
    t.notOk(kernels.includes('QuantizeLinear'));
    t.same(before.slice(0, 2).sort(), ['QuantizeLinear', 'Transpose'], 'what is gone');
    t.same(before.slice(2), kernels.slice(1), 'all else is as it was');

    const grid = gridOfRanges([{ min: 0, max: 1 }], { bits: 8, signed: false });
    let found = 0;
    await withSession(writeModel(floats), {}, async (one) =>
      withSession(writeModel(bytes), {}, async (other) => {
        const [a, b] = [
          new Pipeline(one, detector, OPTIONS),
          new Pipeline(other, { ...detector, input }, OPTIONS),
        ];
        for (const picture of pictures) {
          const { detections } = await a.detect(picture);
          t.same((await b.detect(picture)).detections, detections, 'to the last bit');
          found += detections.length;
        }
        const refused = {
          code: 'BAD_MODEL',
          message: /^the model's input pictures is \S+ \[.*\] where the manifest says/,
        };
        t.throws(() => new Pipeline(other, detector, OPTIONS), refused, 'bytes described as floats');
        t.throws(
          () => new Pipeline(one, { ...detector, input }, OPTIONS),
          refused,
          'floats described as bytes',
        );
      }),
    );
    t.ok(found > 5, `${found} detections`);
    // Sampled pixels are no integers: a float on its way to a code may come down on the other side of a half.
    for (const [width, height] of [
      [1280, 720],
      [1000, 610],
    ] as const) {
      const large = resized(first, width, height);
      const codes = interleaved(quantize(floatsOf(feedOf(large, detector.input)), grid));
      const own = feedOf(large, input)[input.name]?.data ?? [];
      const most = codes.reduce((worst, code, at) => Math.max(worst, Math.abs(code - Number(own[at]))), 0);
      t.ok(most <= 1, `${width}x${height}: ${most} at most`);
    }
  },
);

t.test(
  'artifacts take bytes where the first layer computes in integers, and are timed and judged so',
  async (t) => {
    const { train, val } = await picturesOf(t, [0.5, 0.5, 0]);
    const dataSet = val();
    for (const isFirstFloat of [false, true]) {
      const { manifest, report } = await quantizeArtifact(parent, {
        allocation: allocate(components, (_, i) =>
          isFirstFloat && i === 0 ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
        ),
        calibration: train(),
        pictures: 1,
        reduceRange: true,
        validation: [{ dataSet, map: mapClasses(detector.classes, dataSet.classes) }],
      });
      t.same(manifest.detector.input, isFirstFloat ? detector.input : { ...detector.input, format: 'bytes' });
      const { map50 = null, parentMap50 = null } = report.validation[0] ?? {};
      t.ok((map50 ?? 0) > 0.5 * (parentMap50 ?? 1), `mAP50 ${String(map50)} of ${String(parentMap50)}`);
    }
  },
);

const small = inputSpecSchema.parse({
  name: 'images',
  width: 32,
  height: 32,
  colourOrder: 'bgr',
  letterbox: 'top-left',
});

t.test('windows that lie side by side are taken line by line, others as they are', async (t) => {
  const pixels = Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * 7919) % 256);
  const cases: readonly {
    readonly kernel: readonly [number, number];
    readonly strides: readonly [number, number];
    readonly pads?: readonly number[];
    readonly dilations?: readonly [number, number];
    readonly isFolded: boolean;
  }[] = [
    { kernel: [4, 4], strides: [4, 4], isFolded: true },
    { kernel: [3, 2], strides: [2, 2], pads: [1, 0, 1, 0], isFolded: true },
    { kernel: [2, 8], strides: [3, 8], dilations: [2, 1], isFolded: true },
    { kernel: [1, 2], strides: [1, 2], isFolded: true },
    { kernel: [3, 3], strides: [3, 3], isFolded: false },
    { kernel: [4, 4], strides: [4, 4], pads: [0, 2, 0, 2], isFolded: false },
    { kernel: [4, 4], strides: [4, 2], isFolded: false },
    { kernel: [2, 2], strides: [2, 4], isFolded: false },
    { kernel: [2, 2], strides: [2, 2], dilations: [1, 2], isFolded: false },
    { kernel: [1, 1], strides: [1, 1], isFolded: false },
  ];
  for (const { kernel, strides, pads = [0, 0, 0, 0], dilations = [1, 1], isFolded } of cases) {
    const net = new Net(13);
    const picture = net.input('images', [1, 3, 32, 32]);
    const stem = net.op('Conv', [picture, net.weights([6, 3, ...kernel], -0.01, 0.01), net.weights([6])], {
      kernel_shape: kernel,
      strides,
      pads,
      dilations,
    });
    const output = net.op('Conv', [net.op('Relu', [stem]), net.weights([4, 6, 1, 1]), net.weights([4])]);
    const made = await packed(net.model(output), small, () => [
      { images: { type: 'float32', dims: [1, 3, 32, 32], data: pixels } },
    ]);
    const what = JSON.stringify({ kernel, strides, pads, dilations });
    t.equal(made.input.format, 'bytes', what);
    const reshapes = [...made.bytes.graph.nodes()].filter((node) => node.is('Reshape'));
    t.equal(reshapes.length, isFolded ? 1 : 0, what);
    t.ok(await isSame(made, pixels), what);
  }
});

t.test('slices of the picture in front are slices of bytes', async (t) => {
  const pixels = Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * 7919) % 256);
  const made = await packed(focusNet().model, small, () => [
    { images: { type: 'float32', dims: [1, 3, 32, 32], data: pixels } },
  ]);
  t.equal(made.input.format, 'bytes');
  t.ok(await isSame(made, pixels));
});

t.test('a picture that is shifted, scaled by channel or taken by floats stays floats', async (t) => {
  const { model, feed } = focusNet();
  const changes: Partial<InputSpec>[] = [{ mean: [1, 1, 1] }, { scale: [1, 1, 2] }, { scale: [-1, -1, -1] }];
  for (const change of changes) {
    const given = { ...small, ...change };
    t.equal(pixelRanges(given).size, 0);
    t.equal((await packed(model, given, () => [feed])).input, given);
  }
  const { floats } = await packed(model, small, () => [feed]);
  const size = writeModel(floats).length;
  const other: InputSpec = { ...small, scale: [0.5, 0.5, 0.5] };
  t.equal(takeBytes(floats, other), other, 'a grid that is not that of its pixels');
  t.equal(takeBytes(floats, { ...small, width: 64 }).format, undefined, 'another size');
  t.equal(writeModel(floats).length, size, 'the model is left alone');
  t.equal(takeBytes(prepareModel(model), small), small, 'no integers at all');
});

t.test('a manifest says what bytes can be', async (t) => {
  const bytes = { ...small, format: 'bytes' };
  t.equal(inputSpecSchema.parse({ ...bytes, scale: [0.5, 0.5, 0.5] }).format, 'bytes');
  for (const change of [{ mean: [0, 1, 0] }, { scale: [1, 1, 2] }]) {
    const { error } = inputSpecSchema.safeParse({ ...bytes, ...change });
    t.same(
      error?.issues.map(({ message }) => message),
      ['an input of bytes has mean 0 and one scale for all channels'],
    );
  }
  t.notOk(inputSpecSchema.safeParse({ ...bytes, format: 'words' }).success);
});

t.test(
  'YOLOX-nano: 0 to 255, slices in front',
  { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') },
  async (t) => {
    const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
    const input: InputSpec = { ...small, width: 416, height: 416 };
    const pixels = Float32Array.from({ length: 3 * 416 * 416 }, (_, i) =>
      Math.round(127 + 127 * Math.sin(i / 97)),
    );
    const feed: Tensors = { images: { type: 'float32', dims: [1, 3, 416, 416], data: pixels } };
    const made = await packed(model, input, () => [feed]);
    t.equal(made.input.format, 'bytes');
    t.ok(await isSame(made, pixels));
    const data = interleaved(pixels);
    const kernels = await kernelsOf(t, made.bytes, {
      images: { type: 'uint8', dims: [1, 416, 416, 3], data },
    });
    t.comment(kernels.slice(0, kernels.indexOf('QLinearConv') + 1).join());
    t.notOk(kernels.slice(0, kernels.indexOf('QLinearConv')).includes('QuantizeLinear'));
  },
);
