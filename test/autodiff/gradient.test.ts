// The walk: whole networks, what is refused, what is computed again, and that the forward model is left alone.
import t, { type Test } from 'tap';
import fc from 'fast-check';
import { differentiable, gradient, recomputeCheap } from '../../src/autodiff/index.js';
import { type Model, readModel, type Value, writeModel } from '../../src/onnx/index.js';
import { floatTensor, withSession } from '../../src/runtime/index.js';
import { Net } from '../onnx/net.js';
import { addLoss, judge, relative, Trial } from './check.js';
import { evaluate } from './reference.js';

/** Runs `work` with a network of drawn shapes, a few times. */
const some = (runs: number, work: (net: Trial) => Promise<void>, opset?: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.gen(), (draw) => work(new Trial(draw, opset))),
    { numRuns: runs },
  );

const lossOf = (net: Trial, ...outputs: Value[]): Model => {
  const values = evaluate({ graph: net.graph } as Model, net.given);
  return addLoss(
    net,
    outputs,
    outputs.map(({ name }) => values.get(name)?.dims ?? []),
  );
};

const silu = (net: Trial, x: Value): Value => net.op('Mul', [x, net.op('Sigmoid', [x])]);

/** Picture slices, a stem, a depthwise block with a shortcut, a pyramid with pooling and enlarging, a head. */
const smallNet = (net: Trial): Value[] => {
  const near = { low: -0.5, high: 0.5 };
  const image = net.x([2, 2, 12, 12], { low: -1, high: 1 });
  const even = net.op('Slice', [image, [0, 0], [12, 12], [2, 3], [2, 2]]);
  const odd = net.op('Slice', [image, [1, 1], [12, 12], [2, 3], [2, 2]]);
  const stem = net.op(
    'Conv',
    [net.op('Concat', [even, odd], { axis: 1 }), net.x([4, 4, 3, 3], near), net.x([4], near)],
    {
      pads: [1, 1, 1, 1],
    },
  );
  const a = silu(net, stem);
  const b = silu(net, net.op('Conv', [a, net.x([4, 1, 3, 3], near)], { group: 4, pads: [1, 1, 1, 1] }));
  const sum = net.op('Add', [a, silu(net, net.op('Conv', [b, net.x([4, 4, 1, 1], near)]))]);
  const down = net.op('Conv', [sum, net.x([6, 4, 3, 3], near)], { strides: [2, 2], pads: [1, 1, 1, 1] });
  const normal = net.op('BatchNormalization', [
    down,
    net.x([6], { low: 0.5, high: 1.5 }),
    net.x([6], near),
    net.floats([6], [0.1, 0, -0.1, 0.2, 0, 0.1]),
    net.floats([6], [1, 0.8, 1.2, 1, 0.5, 0.9]),
  ]);
  const pooled = net.op('MaxPool', [normal], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const up = net.op(
    'Resize',
    [net.op('Concat', [normal, pooled], { axis: 1 }), undefined, net.floats([4], [1, 1, 2, 2])],
    {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    },
  );
  const head = net.op('Conv', [
    net.op('Concat', [up, sum], { axis: 1 }),
    net.x([5, 16, 1, 1], near),
    net.x([5], near),
  ]);
  const rows = net.op('Transpose', [net.op('Reshape', [head, [2, 5, -1]])], { perm: [0, 2, 1] });
  const [boxes, scores] = net.ops('Split', [rows, [2, 3]], 2, { axis: 2 });
  if (boxes === undefined || scores === undefined) throw new Error('Split gives two');
  return [net.op('Exp', [boxes]), net.op('LogSoftmax', [scores], { axis: 2 })];
};

t.test('a small detector: every weight and the picture', async (t) => {
  let count = 0;
  await some(2, async (net) => {
    const model = lossOf(net, ...smallNet(net));
    await judge(model, net.given, { of: [...net.given.keys()] }, 6);
    count += net.given.size;
  });
  t.ok(count >= 20);
});

t.test('what is computed again changes nothing, and is computed again', async (t) => {
  await some(1, async (net) => {
    const model = lossOf(net, ...smallNet(net));
    const of = [...net.given.keys()];
    await judge(model, net.given, { of, recompute: recomputeCheap }, 3);
    const every = gradient(model, { loss: 'loss', of, recompute: () => true });
    await judge(model, net.given, { of, recompute: () => true }, 3);
    const names = model.graph.values.flatMap((value) =>
      value.producer?.is('Sigmoid') === true ? [value.name] : [],
    );
    const named = gradient(model, { loss: 'loss', of, recompute: names });
    const plain = gradient(model, { loss: 'loss', of });
    const count = (of: Model, opType: string): number =>
      [...of.graph.nodes()].filter((node) => node.is(opType)).length;
    t.equal(count(named.model, 'Sigmoid'), 2 * count(plain.model, 'Sigmoid'));
    t.ok(count(every.model, 'Conv') > count(plain.model, 'Conv'));
    t.ok(names.length > 0);
  });
});

t.test('initializers become inputs, or stay constant on demand', async (t) => {
  await some(3, async (net) => {
    const x = net.x([2, 3, 5, 5]);
    const w = net.graph.addInitializer('w', net.weights([4, 3, 3, 3]));
    const held = w.tensor;
    if (held?.kind !== 'dense' || held.type !== 'float32') throw new Error('no weight');
    const given = { type: held.type, dims: held.dims, data: held.data };
    const model = lossOf(net, net.op('Tanh', [net.op('Conv', [x, w])]));
    const before = Buffer.from(writeModel(model));
    const open = gradient(model, { loss: 'loss', of: ['w'], outputs: [] });
    const closed = gradient(model, { loss: 'loss', of: ['w'], outputs: [], inputs: false });
    t.ok(before.equals(writeModel(model)), 'the forward model is as it was');
    t.same(
      open.model.graph.inputs.map(({ name }) => name),
      ['x0', 'w'],
    );
    t.same(
      closed.model.graph.inputs.map(({ name }) => name),
      ['x0'],
    );
    t.same(
      open.model.graph.outputs.map(({ name }) => name),
      ['loss', 'gradient.w'],
    );
    const feeds = {
      x0: {
        type: 'float32' as const,
        dims: [2, 3, 5, 5],
        data: Float32Array.from(net.given.get('x0')?.data ?? []),
      },
    };
    const run = (model: Model, more = {}) =>
      withSession(writeModel(model), {}, (session) => session.run({ ...feeds, ...more }));
    const [a, b] = [await run(open.model, { w: given }), await run(closed.model)];
    const listed = (values: ArrayLike<number | bigint> | undefined): number[] =>
      Array.from(values ?? [], Number);
    t.ok(relative(listed(a['gradient.w']?.data), listed(b['gradient.w']?.data)) < 1e-5);
    const zero = { type: 'float32' as const, dims: [4, 3, 3, 3], data: new Float32Array(108) };
    const c = await run(open.model, { w: zero });
    t.equal(Math.abs(Number(c['loss']?.data[0])), 0, 'another weight is taken');
  });
});

t.test('older operator sets are brought up', async (t) => {
  await some(
    3,
    async (net) => {
      const x = net.x([2, 3, 4]);
      const mean = net.op('ReduceMean', [net.op('Softmax', [x], { axis: 2 })], { axes: [1], keepdims: 0 });
      const y = net.op('Unsqueeze', [net.op('Mul', [mean, mean])], { axes: [0] });
      const sum = net.op('ReduceSum', [y], { keepdims: 0 });
      net.graph.rename(sum, 'loss');
      const model = net.model(sum);
      const built = gradient(model, { loss: 'loss', of: ['x0'] });
      t.equal(built.model.opset, 18);
      t.equal(model.opset, 11);
      t.ok(readModel(writeModel(built.model)).graph.nodeCount > 4);
    },
    11,
  );
});

const refused = (t: Test, build: (net: Trial) => Model, of: readonly string[], message: RegExp): void => {
  const [net] = fc.sample(
    fc.gen().map((draw) => new Trial(draw)),
    1,
  );
  if (net === undefined) throw new Error('no network');
  t.throws(() => gradient(build(net), { loss: 'loss', of }), { code: 'BAD_MODEL', message });
};

const named = (net: Trial, value: Value): Model => {
  net.graph.rename(value, 'loss');
  return net.model(value);
};

t.test('what has no gradient is refused by name', (t) => {
  const sum = (net: Trial, y: Value): Model => named(net, net.op('ReduceSum', [y], { keepdims: 0 }));
  refused(
    t,
    (net) => sum(net, net.op('CumSum', [net.x([3]), [0]])),
    ['x0'],
    /CumSum_0: the operator CumSum has no gradient rule/,
  );
  refused(
    t,
    (net) => sum(net, net.op('Pad', [net.x([4]), [1, 1]], { mode: 'reflect' })),
    ['x0'],
    /Pad_0.*mode constant/,
  );
  refused(
    t,
    (net) =>
      sum(
        net,
        net.op('Resize', [net.x([1, 1, 4, 4]), undefined, net.floats([4], [1, 1, 2, 2])], { mode: 'cubic' }),
      ),
    ['x0'],
    /Resize_0.*nearest and linear/,
  );
  refused(t, (net) => sum(net, net.op('Floor', [net.x([3])])), ['x0'], /the loss does not depend on x0/);
  refused(t, (net) => named(net, net.op('Neg', [net.x([3])])), ['x0'], /loss loss must be one 32-bit float/);
  refused(t, (net) => sum(net, net.x([3])), ['y'], /no value named y/);
  refused(
    t,
    (net) => {
      const model = sum(net, net.op('Relu', [net.x([3, 3])]));
      for (const input of model.graph.inputs) input.shape = ['batch', 3];
      return model;
    },
    ['x0'],
    /the shape of .* is not known/,
  );
  t.end();
});

t.test('every operator that the documentation promises', (t) => {
  const promised =
    'Conv ConvTranspose BatchNormalization Relu LeakyRelu Clip Sigmoid HardSigmoid HardSwish Tanh Exp Log Softmax LogSoftmax MaxPool ' +
    'AveragePool GlobalAveragePool Resize Add Sub Mul Div Pow Sqrt Min Max Where MatMul Gemm Concat Split Slice Gather Pad Transpose ' +
    'Reshape Squeeze Unsqueeze Expand ReduceSum ReduceMean ReduceMax ReduceMin QuantizeLinear DequantizeLinear Cast Neg Abs Identity';
  const known = new Set(differentiable());
  t.same(
    promised.split(' ').filter((name) => !known.has(name)),
    [],
  );
  t.end();
});

t.test('fixed values stop gradients, rounding lets them through where it is told to', async (t) => {
  const net = new Net(18);
  const x = net.input('x', [4]);
  const rounded = net.op('Round', [net.op('Mul', [x, x])]);
  const target = net.op('Tanh', [x]);
  const loss = net.op('ReduceSum', [net.op('Mul', [rounded, target])], { keepdims: 0 });
  for (const value of [x, rounded, target]) value.shape = [4];
  const model = net.model(loss);
  const gradients = async (options: { fixed?: string[]; straightThrough?: string[] }): Promise<number[]> => {
    const made = gradient(model, { loss: loss.name, of: ['x'], ...options });
    const name = made.gradients.get('x') ?? '';
    const feeds = { x: floatTensor([4], Float32Array.of(1.2, -0.7, 2.1, 0.4)) };
    const results = await withSession(writeModel(made.model), {}, (session) => session.run(feeds));
    return Array.from(results[name]?.data as Float32Array);
  };
  const values = [1.2, -0.7, 2.1, 0.4];
  const near = (found: number[], wanted: (x: number) => number): void =>
    found.forEach((value, i) => t.ok(Math.abs(value - wanted(values[i] ?? 0)) < 1e-4, `${value}`));
  const slope = (v: number): number => Math.round(v * v) * (1 - Math.tanh(v) ** 2);
  near(await gradients({}), slope);
  near(await gradients({ straightThrough: [rounded.name] }), (v) => slope(v) + 2 * v * Math.tanh(v));
  near(
    await gradients({ straightThrough: [rounded.name], fixed: [target.name] }),
    (v) => 2 * v * Math.tanh(v),
  );
  await t.rejects(gradients({ fixed: [target.name] }), { code: 'BAD_MODEL', message: /does not depend/ });
});
