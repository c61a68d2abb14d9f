// Where teacher and student are compared on the way: at joints that both have, of one shape.
import t from 'tap';
import { type Model, writeModel } from '../../../src/onnx/index.js';
import { prepareModel } from '../../../src/quantization/index.js';
import type { DetectorSpec } from '../../../src/registry/index.js';
import { type Tensor, withSession } from '../../../src/runtime/index.js';
import { FINE_TUNING_AUGMENTATION } from '../../../src/training/index.js';
import { featuresOf } from '../../../src/training/loop/lessons.js';
import { Teacher } from '../../../src/training/loop/teacher.js';
import { feedsFor, noise } from '../../onnx/bits.js';
import { Net } from '../../onnx/net.js';
import { smallDetector, smallSpec } from '../../significance/nets.js';

const options = (model: Model, teacher: Model, detector: DetectorSpec, featureWeight: number) => ({
  ...{ model, teacher, detector, featureWeight, steps: 1, batch: 1, learningRate: 1e-3 },
  ...{ weightDecay: 0, seed: 1, augmentation: FINE_TUNING_AUGMENTATION },
});

t.test('joints of the same network, and none where nobody asks', (t) => {
  const model = prepareModel(smallDetector());
  const names = featuresOf(options(model, model, smallSpec, 5));
  t.ok(names.length >= 5, `${names.length} joints`);
  t.same(featuresOf(options(model, model, smallSpec, 0)), []);
  t.end();
});

t.test('equal names are not enough', (t) => {
  const forked = (channels: number): Model => {
    const net = new Net(18);
    const x = net.input('x', [1, 2, 4, 4]);
    const stem = net.op('Relu', [net.op('Conv', [x, net.weights([channels, 2, 1, 1])])]);
    const branch = () => net.op('Conv', [stem, net.weights([2, channels, 1, 1])]);
    return prepareModel(net.model(net.op('Add', [branch(), branch()])));
  };
  t.equal(featuresOf(options(forked(3), forked(3), smallSpec, 5)).length, 1);
  t.same(featuresOf(options(forked(3), forked(4), smallSpec, 5)), [], 'another shape');
  t.end();
});

t.test('a teacher adds what it sees to the batch', async (t) => {
  const model = prepareModel(smallDetector());
  const features = featuresOf(options(model, model, smallSpec, 5));
  const teacher = await Teacher.open(model, smallSpec, 2, 1, { features });
  t.teardown(() => teacher.release());
  const { x } = await feedsFor(writeModel(model));
  if (x?.type !== 'float32') throw new Error('no picture');
  const pictures = { ...x, dims: [2, ...x.dims.slice(1)], data: noise(2 * x.data.length, 7) };
  const batch = await teacher.complete({ x: pictures });
  t.same(Object.keys(batch).sort(), ['teacher', 'x', ...features.map((name) => `teacher/${name}`)].sort());
  const whole = await withSession(writeModel(model), {}, (session) =>
    session.run({ x: { ...x, data: pictures.data.slice(0, x.data.length) } }),
  );
  const output = smallSpec.head.type === 'yolox' ? smallSpec.head.output : '';
  const floats = (tensor: Tensor | undefined): Float32Array =>
    tensor?.type === 'float32' ? tensor.data : new Float32Array();
  const [alone, said] = [floats(whole[output]), floats(batch.teacher)];
  t.ok(
    alone.length > 0 && alone.every((value, i) => Math.abs(value - (said[i] ?? NaN)) < 1e-3),
    'its answer is the one that it gives to one picture',
  );
  await t.rejects(Teacher.open(model, smallSpec, 2, 1, { features: ['nowhere'] }), { code: 'BAD_MODEL' });
});
