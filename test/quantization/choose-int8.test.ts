// The search for an int8 model: bounded, the same every time, no worse than doing nothing; what it is guided by.
import t from 'tap';
import { openDataSet } from '../../src/evaluation/index.js';
import { readModel, writeModel } from '../../src/onnx/index.js';
import {
  chooseInt8,
  type Divergence,
  integersSaturate,
  openDivergence,
  pictureFeeds,
  prepareModel,
  quantizeModel,
  relativeError,
  componentsOf,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { detectorSpecSchema } from '../../src/registry/index.js';
import { describeDevice } from '../../src/evaluation/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { feedsFor, outputsOf } from '../onnx/bits.js';
import { noiseFeeds } from './helpers.js';
import { tinyNets } from './nets.js';

t.test('small networks', async (t) => {
  for (const { name, model } of tinyNets().filter((net) => ['silu', 'residual'].includes(net.name))) {
    const original = writeModel(model);
    const feed = await feedsFor(original, 40);
    const flat = async (bytes: Uint8Array): Promise<Float32Array> =>
      Float32Array.from(
        Object.values(await outputsOf(bytes, feed)).flatMap((y) => (y.type === 'float32' ? [...y.data] : [])),
      );
    const wanted = await flat(original);
    const divergence: Divergence = async (bytes) => relativeError(wanted, await flat(bytes));
    const feeds = await noiseFeeds(model);
    const steps: string[] = [];
    const choose = () =>
      chooseInt8(model, {
        feeds,
        divergence,
        maxFloatLayers: 2,
        reduceRange: true,
        onProgress: (done, all) => steps.push(`${done}/${all}`),
      });
    const [choice, again] = [await choose(), await choose()];
    t.same(choice.best.bytes, again.best.bytes, `${name}: the same every time`);
    t.same(choice.all.bytes, again.all.bytes);
    t.equal(choice.all.floatLayers.length, 0);
    t.ok(choice.best.floatLayers.length <= 2);
    t.equal(choice.without.floatLayers.length, 0);
    const plain = choice.tried[0]?.divergence ?? NaN;
    t.ok(choice.all.divergence <= plain * 1.05, `${plain} becomes ${choice.all.divergence}`);
    t.ok(choice.best.divergence <= choice.all.divergence);
    t.equal(steps.length, 2 * choice.tried.length);
    t.ok(
      steps.every((step) => Number(step.split('/')[0]) <= Number(step.split('/')[1])),
      'no more candidates than said',
    );
    const slow = await chooseInt8(model, {
      feeds,
      divergence,
      maxFloatLayers: 2,
      reduceRange: true,
      time: (models) => Promise.resolve(models.map((_, i) => (i === 1 ? 0.9 : 1.2))),
    });
    t.equal(slow.best.latencyRatio, 0.9, 'what is too slow is not chosen');
    const stopped = new AbortController();
    stopped.abort(new Error('stopped'));
    await t.rejects(chooseInt8(model, { feeds, divergence, signal: stopped.signal }), { message: 'stopped' });
  }
});

t.test('whether this CPU saturates is tried', async (t) => {
  const saturates = await integersSaturate();
  const { features } = describeDevice();
  t.comment(`8-bit weights ${saturates ? 'saturate' : 'are exact'} on ${describeDevice().cpu}`);
  if (features.includes('avx512_vnni') || features.includes('asimddp')) t.equal(saturates, false);
  t.equal(await integersSaturate(), saturates);
});

t.test(
  'divergence of a detector from itself, and from int8',
  { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') || skipWithout('highway', 'data.yaml') },
  async (t) => {
    const model = readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
    const spec = detectorSpecSchema.parse({
      input: { name: 'images', width: 416, height: 416, colourOrder: 'bgr', letterbox: 'top-left' },
      head: { type: 'yolox', output: 'output' },
      classes: Array.from({ length: 80 }, (_, i) => `class ${i}`),
    });
    const feeds = pictureFeeds(
      openDataSet(requireData('highway', 'data.yaml'), { split: 'train' }),
      spec.input,
      6,
    );
    const original = writeModel(model);
    const divergence = await openDivergence(original, spec, feeds);
    t.equal(await divergence(original), 0);
    const int8 = (floatFunctions: readonly string[]) =>
      quantizeModel(model, {
        allocation: uniformAllocation(componentsOf(prepareModel(model)), 8, 'int8'),
        feeds,
        channels: true,
        grids: 'min-max',
        floatFunctions: new Set(floatFunctions),
      });
    const names = componentsOf(prepareModel(model)).map(({ name }) => name);
    const plain = await divergence(writeModel((await int8([])).model));
    const better = await divergence(writeModel((await int8(names.slice(0, 2))).model));
    t.ok(plain > 0 && better < plain, `${plain.toFixed(3)}, with two functions in FP32 ${better.toFixed(3)}`);
    const nothing = (): { images: { type: 'float32'; dims: number[]; data: Float32Array } }[] => [
      { images: { type: 'float32', dims: [1, 3, 416, 416], data: new Float32Array(3 * 416 * 416) } },
    ];
    await t.rejects(openDivergence(original, spec, nothing), { code: 'BAD_DATASET' });
  },
);
