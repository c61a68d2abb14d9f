// The opset upgrade: the same bits before and after, rule by rule; and a plain error where there is no rule.
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  intsTensor,
  type Model,
  readModel,
  runPasses,
  tensorOf,
  upgradeOpset,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector } from '../helpers/tinyModel.js';
import { differences, feedsFor, outputsOf } from './bits.js';
import { Net } from './net.js';

const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value));
const f32 = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values));

type Build = (net: Net, x: Value) => readonly Value[];

/** From which opset, and what; `x` is [2, 6, 4, 8]. */
const RULES: Readonly<Record<string, readonly [from: number, build: Build, last?: number]>> = {
  softmaxLast: [11, (net, x) => [net.op('Softmax', [x], { axis: 3 }), net.op('Softmax', [x], { axis: -1 })]],
  softmaxDefault: [11, (net, x) => [net.op('Softmax', [x])]],
  softmaxMiddle: [
    11,
    (net, x) => [
      net.op('Relu', [net.op('Softmax', [x], { axis: 2 })]),
      net.op('LogSoftmax', [x], { axis: -2 }),
    ],
  ],
  softmaxAll: [12, (net, x) => [net.op('LogSoftmax', [x], { axis: 0 }), net.op('LogSoftmax', [x])]],
  squeeze: [
    11,
    (net, x) => {
      const wide = net.op('Unsqueeze', [x], { axes: [0, 3] });
      return [wide, net.op('Squeeze', [wide], { axes: [3] }), net.op('Squeeze', [wide])];
    },
  ],
  split: [
    11,
    (net, x) => [
      ...net.ops('Split', [x], 2, { axis: 3, split: [3, 5] }),
      ...net.ops('Split', [x], 3, { axis: 1 }),
    ],
  ],
  splitInput: [
    13,
    (net, x) => [...net.ops('Split', [x, [5, 3]], 2, { axis: -1 }), ...net.ops('Split', [x], 2)],
  ],
  reduce: [
    11,
    (net, x) =>
      [
        'ReduceSum',
        'ReduceMean',
        'ReduceMax',
        'ReduceMin',
        'ReduceProd',
        'ReduceL1',
        'ReduceL2',
        'ReduceSumSquare',
        'ReduceLogSumExp',
      ].flatMap((op) => [net.op(op, [x], { axes: [1, -1], keepdims: 0 }), net.op(op, [x])]),
  ],
  reduce13: [13, (net, x) => [net.op('ReduceSum', [x, [1]]), net.op('ReduceMean', [x], { axes: [2, 3] })]],
  resize: [
    11,
    (net, x) => [
      net.op('Resize', [x, f32(), f32(1, 1, 2, 2)], {
        mode: 'nearest',
        coordinate_transformation_mode: 'asymmetric',
        nearest_mode: 'floor',
      }),
      net.op('Resize', [x, f32(), f32(1, 1, 1.5, 2)], {
        mode: 'linear',
        coordinate_transformation_mode: 'pytorch_half_pixel',
      }),
      net.op('Resize', [x, f32(), f32(), [2, 6, 7, 9]], {
        mode: 'linear',
        coordinate_transformation_mode: 'align_corners',
      }),
    ],
  ],
  dropout: [
    11,
    (net, x) => [net.op('Relu', [net.op('Dropout', [x], { ratio: { f: 0.3 } })]), net.op('Dropout', [x])],
  ],
  batchNormalization: [
    11,
    (net, x) => [
      net.op('BatchNormalization', [
        x,
        net.weights([6]),
        net.weights([6]),
        net.weights([6]),
        net.weights([6], 0.5, 2),
      ]),
    ],
  ],
  pools: [
    11,
    (net, x) => [
      net.op('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
      net.op('GlobalAveragePool', [x]),
    ],
  ],
  layers: [
    11,
    (net, x) => {
      const conv = net.op('Conv', [x, net.weights([4, 6, 3, 3]), net.weights([4])], { pads: [1, 1, 1, 1] });
      return [
        net.op('Clip', [conv, scalar(-0.5), scalar(0.5)]),
        net.op('LeakyRelu', [conv]),
        net.op('ConvTranspose', [conv, net.weights([4, 2, 2, 2])], { strides: [2, 2] }),
        net.op('Gemm', [net.op('Flatten', [x]), net.weights([192, 3])]),
        net.op('Pad', [x, [0, 0, 1, 1, 0, 0, 2, 0], scalar(0.5)]),
        net.op('PRelu', [x, net.weights([6, 1, 1])]),
        net.op('HardSigmoid', [x]),
      ];
    },
  ],
  shapes: [
    11,
    (net, x) => {
      const size = net.op('Shape', [x]);
      const part = net.op('Slice', [size, [0], [2]]);
      const target = net.op('Concat', [part, [-1]], { axis: 0 });
      const [top] = net.ops('TopK', [x, [3]], 2, { axis: 3 });
      const where = net.op('Where', [net.op('Greater', [x, scalar(0)]), x, scalar(1)]);
      const arg = net.op('Cast', [net.op('ArgMax', [x], { axis: 1 })], { to: 1 });
      return [net.op('Reshape', [x, target]), top ?? x, where, arg, net.op('Expand', [scalar(2), part])];
    },
  ],
  roiAlign: [
    11,
    (net, x) => [
      net.op(
        'RoiAlign',
        [x, tensorOf('float32', [1, 4], Float32Array.of(0.3, 0.2, 6.5, 3.1)), intsTensor([1])],
        {
          output_height: 2,
          output_width: 2,
          sampling_ratio: 2,
        },
      ),
    ],
    21,
  ],
  gridSample: [16, (net, x) => [net.op('GridSample', [x, net.weights([2, 3, 3, 2])], { mode: 'bilinear' })]],
  quantize: [
    13,
    (net, x) => {
      const zero = tensorOf('uint8', [], Uint8Array.of(120));
      const q = net.op('QuantizeLinear', [x, scalar(0.01), zero]);
      return [net.op('DequantizeLinear', [q, scalar(0.01), zero])];
    },
  ],
};

/** Values with more than one node over them cannot be outputs twice. */
const modelOf = (from: number, build: Build): Uint8Array => {
  const net = new Net(from);
  const x = net.input('x', [2, 6, 4, 8]);
  return net.bytes(...build(net, x));
};

const upgraded = (bytes: Uint8Array, target: number): Model => {
  const model = readModel(bytes);
  runPasses(model, [upgradeOpset(target)]);
  return model;
};

for (const [name, [from, build, last = 26]] of Object.entries(RULES)) {
  t.test(`${name}: the same bits from opset ${from} on`, async (t) => {
    const bytes = modelOf(from, build);
    const feeds = await feedsFor(bytes);
    const before = await outputsOf(bytes, feeds);
    t.ok(Object.keys(before).length > 0);
    for (const target of [13, 18, 21, 25, 26]) {
      if (target <= from || target > last) continue;
      const model = upgraded(bytes, target);
      t.equal(model.opset, target);
      t.same(differences(before, await outputsOf(writeModel(model), feeds)), [], `to ${target}`);
    }
  });
}

t.test('average pooling differs by rounding only', async (t) => {
  const bytes = modelOf(11, (net, x) => [
    net.op('AveragePool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
    net.op('AveragePool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    net.op('AveragePool', [x], { kernel_shape: [2, 2], strides: [2, 2] }),
    net.op('AveragePool', [x], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  ]);
  const feeds = await feedsFor(bytes);
  const before = await outputsOf(bytes, feeds);
  t.equal(Object.keys(before).length, 4);
  for (const target of [21, 25]) {
    const after = await outputsOf(writeModel(upgraded(bytes, target)), feeds);
    for (const [name, { dims, data }] of Object.entries(before)) {
      t.same(after[name]?.dims, dims);
      const worst = Math.max(
        ...Array.from(data as Float32Array, (value, i) =>
          Math.abs(value - Number(after[name]?.data[i] ?? NaN)),
        ),
      );
      t.ok(worst < 1e-6, `${name} to ${target}: ${worst}`);
    }
  }
});

t.test('tiny detectors', async (t) => {
  for (const head of ['yolox', 'yolov8', 'gfl'] as const) {
    const { bytes } = tinyDetector({ head, classes: ['car'], delayLayers: 1, failAbove: 2, opset: 13 });
    const feeds = await feedsFor(bytes);
    const after = writeModel(upgraded(bytes, 25));
    t.same(differences(await outputsOf(bytes, feeds), await outputsOf(after, feeds)), [], head);
  }
});

const YOLOX = ['models', 'yolox-nano', 'yolox_nano.onnx'] as const;

t.test('YOLOX-nano from 11 to 21 and 25', { skip: skipWithout(...YOLOX) }, async (t) => {
  const bytes = readFileSync(requireData(...YOLOX));
  const feeds = await feedsFor(bytes);
  for (const optimization of ['disabled', 'all'] as const) {
    const before = await outputsOf(bytes, feeds, { optimization });
    for (const target of [21, 25]) {
      const after = await outputsOf(writeModel(upgraded(bytes, target)), feeds, { optimization });
      t.same(differences(before, after), [], `${target}, optimizations ${optimization}`);
    }
  }
});

t.test('what is not covered is refused by name', async (t) => {
  const unheard = new Net(11);
  const odd = unheard.op('Upsample', [unheard.input('x', [1, 2, 4, 4]), f32(1, 1, 2, 2)]);
  t.throws(() => upgraded(unheard.bytes(odd), 21), { code: 'BAD_MODEL', message: /Upsample_0.*11 to 21/ });

  const gone = new Net(11);
  const resize = gone.op('Resize', [gone.input('x', [1, 2, 4, 4]), f32(), f32(1, 1, 2, 2)], {
    coordinate_transformation_mode: 'tf_half_pixel_for_nn',
  });
  t.throws(() => upgraded(gone.bytes(resize), 21), {
    code: 'BAD_MODEL',
    message: /Resize_0.*tf_half_pixel_for_nn/,
  });

  const group = new Net(18);
  const norm = group.op('GroupNormalization', [group.input('x', [1, 4, 2, 2]), f32(1, 1), f32(0, 0)], {
    num_groups: 2,
  });
  t.throws(() => upgraded(group.bytes(norm), 21), { code: 'BAD_MODEL', message: /GroupNormalization_0/ });
  t.throws(() => upgraded(group.bytes(), 27), { code: 'BAD_MODEL' });
});

t.test('a model that is new enough stays as it is', async (t) => {
  const net = new Net(25);
  const bytes = net.bytes(net.op('Relu', [net.input('x', [1])]));
  t.same(Buffer.from(writeModel(upgraded(bytes, 21))), Buffer.from(bytes));
});
