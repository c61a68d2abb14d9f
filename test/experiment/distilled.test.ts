// Distilled pictures make a network's normalizations see what they saw in training; noise does not.
import t from 'tap';
import { distilledPictures, noisePictures } from '../../src/experiment/index.js';
import { foldBatchNorm, inferShapes, type Model, runPasses } from '../../src/onnx/index.js';
import { type FeedSource, tapValues } from '../../src/quantization/index.js';
import { buildNetwork, detectorOf, type NetworkDefinition, withLearned } from '../../src/training/index.js';
import { smallNetwork } from '../training/boxes-data.js';

const CLASSES = ['red', 'blue'];
const network: NetworkDefinition = {
  ...smallNetwork,
  stages: [...smallNetwork.stages],
  strides: [...smallNetwork.strides],
  head: 'coupled',
};
const { input } = detectorOf(network, CLASSES);

/** A network whose normalizations remember something else than they would see in noise. */
const remembering = (): Model => {
  const model = buildNetwork(network, CLASSES, 3);
  const learned = new Map<string, Float32Array>();
  for (const node of model.graph.nodes()) {
    if (!node.is('BatchNormalization')) continue;
    const [mean, variance] = [node.input(3), node.input(4)];
    const size = (value: typeof mean): number =>
      value?.tensor?.kind === 'dense' ? value.tensor.data.length : 0;
    if (mean !== undefined)
      learned.set(
        mean.name,
        Float32Array.from({ length: size(mean) }, (_, i) => (i % 3) * 0.2 - 0.2),
      );
    if (variance !== undefined)
      learned.set(
        variance.name,
        Float32Array.from({ length: size(variance) }, (_, i) => 0.05 + (i % 4) * 0.1),
      );
  }
  return withLearned(model, learned);
};

/** Mean square distance of what normalizations see to what they remember. */
const distanceOf = async (model: Model, feeds: FeedSource): Promise<number> => {
  inferShapes(model);
  let sum = 0;
  const nodes = [...model.graph.nodes()].filter((node) => node.is('BatchNormalization'));
  for (const node of nodes) {
    const [value, mean, variance] = [node.input(0), node.input(3)?.constant, node.input(4)?.constant];
    if (value === undefined || mean?.kind !== 'dense' || variance?.kind !== 'dense')
      throw new Error('no statistics');
    const channels = mean.data.length;
    const [total, squares] = [new Float64Array(channels), new Float64Array(channels)];
    let count = 0;
    await tapValues(model, [value.name], feeds, (_, values) => {
      const plane = values.length / channels;
      count += plane;
      values.forEach((each, i) => {
        const channel = Math.floor(i / plane);
        total[channel] = (total[channel] ?? 0) + each;
        squares[channel] = (squares[channel] ?? 0) + each * each;
      });
    });
    for (let channel = 0; channel < channels; channel += 1) {
      const seen = (total[channel] ?? 0) / count;
      const deviation = Math.sqrt(Math.max(0, (squares[channel] ?? 0) / count - seen * seen));
      sum +=
        ((seen - Number(mean.data[channel])) ** 2 +
          (deviation - Math.sqrt(Number(variance.data[channel]))) ** 2) /
        channels;
    }
  }
  return sum;
};

t.test('distilled pictures come nearer than noise, and stay pictures', async (t) => {
  const model = remembering();
  const noise = noisePictures(input, 4, 1);
  const distilled = await distilledPictures(model, input, { count: 4, steps: 40, seed: 1 });
  t.equal(distilled.length, 4);
  const [far, near] = [await distanceOf(model, () => noise), await distanceOf(model, () => distilled)];
  t.ok(near < 0.7 * far, `${near} of ${far}`);
  for (const feeds of distilled) {
    const data = feeds[input.name]?.data ?? [];
    t.same([...(feeds[input.name]?.dims ?? [])], [1, 3, input.height, input.width]);
    const [low, high] = [-(input.mean[0] ?? 0), 255 - (input.mean[0] ?? 0)].map(
      (pixel) => pixel * (input.scale[0] ?? 1),
    );
    t.ok(
      [...data].every((value) => Number(value) >= (low ?? 0) - 1e-6 && Number(value) <= (high ?? 0) + 1e-6),
    );
  }
  const again = await distilledPictures(model, input, { count: 4, steps: 40, seed: 1 });
  t.same(
    again[0]?.[input.name]?.data,
    distilled[0]?.[input.name]?.data,
    'the same seed gives the same pictures',
  );
});

t.test('a model whose normalizations were folded away is refused plainly', async (t) => {
  const model = remembering();
  runPasses(model, [foldBatchNorm]);
  await t.rejects(distilledPictures(model, input, { count: 1, steps: 1, seed: 1 }), {
    code: 'UNSUPPORTED',
    message: /keeps no normalizations/,
  });
});
