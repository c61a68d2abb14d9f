// Small networks that together have what decides whether an engine fuses: functions, joins, poolings, fan-out.
import type { Model, Value } from '../../src/onnx/index.js';
import { tensorOf } from '../../src/onnx/index.js';
import { Net } from '../onnx/net.js';

export interface TinyNet {
  readonly name: string;
  readonly model: Model;
}

const SIZE = 16;
const input = (net: Net, channels = 8): Value => net.input('x', [1, channels, SIZE, SIZE]);

const conv = (
  net: Net,
  x: Value,
  from: number,
  to: number,
  options: { kernel?: number; group?: number; bias?: boolean; strides?: number[] } = {},
): Value => {
  const { kernel = 3, group = 1, bias = true, strides = [1, 1] } = options;
  const scale = 1.5 / Math.sqrt((kernel * kernel * from) / group);
  const pad = (kernel - 1) / 2;
  return net.op(
    'Conv',
    [
      x,
      net.weights([to, from / group, kernel, kernel], -scale, scale),
      bias ? net.weights([to], -0.5, 0.5) : undefined,
    ],
    { pads: [pad, pad, pad, pad], group, strides, kernel_shape: [kernel, kernel] },
  );
};
const silu = (net: Net, x: Value): Value => net.op('Mul', [x, net.op('Sigmoid', [x])]);
const relu = (net: Net, x: Value): Value => net.op('Relu', [x]);
const f32 = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values));
const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value));

const chain = (name: string, act: (net: Net, x: Value) => Value): TinyNet => {
  const net = new Net(13);
  const a = act(net, conv(net, input(net), 8, 16));
  const b = act(net, conv(net, a, 16, 16, { group: 16 }));
  const c = act(net, conv(net, b, 16, 24, { kernel: 1, bias: false }));
  return { name, model: net.model(conv(net, c, 24, 8)) };
};

const residual = (): TinyNet => {
  const net = new Net(13);
  const a = silu(net, conv(net, input(net), 8, 16));
  const b = silu(net, conv(net, a, 16, 16, { kernel: 1 }));
  const c = silu(net, conv(net, b, 16, 16));
  const sum = net.op('Add', [a, c]);
  const d = relu(net, net.op('Add', [sum, conv(net, sum, 16, 16)]));
  return { name: 'residual', model: net.model(conv(net, d, 16, 8), conv(net, sum, 16, 4)) };
};

/** A pyramid: pooling, concatenation of wide and narrow ranges, upsampling. */
const pyramid = (): TinyNet => {
  const net = new Net(13);
  const a = silu(net, conv(net, input(net), 8, 16));
  const b = relu(net, conv(net, a, 16, 16, { strides: [2, 2] }));
  const pools = [3, 5].map((k) =>
    net.op('MaxPool', [b], { kernel_shape: [k, k], pads: new Array<number>(4).fill((k - 1) / 2) }),
  );
  const spp = net.op('Concat', [b, ...pools], { axis: 1 });
  const c = silu(net, conv(net, spp, 48, 16, { kernel: 1 }));
  const up = net.op('Resize', [c, undefined, f32(1, 1, 2, 2)], { mode: 'nearest' });
  const joined = net.op('Concat', [up, a], { axis: 1 });
  const d = silu(net, conv(net, joined, 32, 16));
  return {
    name: 'pyramid',
    model: net.model(conv(net, d, 16, 6, { kernel: 1 }), net.op('Sigmoid', [conv(net, c, 16, 4)])),
  };
};

/** Picture slices in front, a clip, a leaky function, pooling to one number, a dense layer behind. */
const classifier = (): TinyNet => {
  const net = new Net(13);
  const x = input(net, 4);
  const even = net.op('Slice', [x, [0], [SIZE], [2], [2]]);
  const odd = net.op('Slice', [x, [1], [SIZE], [2], [2]]);
  const a = net.op('LeakyRelu', [conv(net, net.op('Concat', [even, odd], { axis: 1 }), 8, 16)], {
    alpha: { f: 0.1 },
  });
  const b = net.op('Clip', [conv(net, a, 16, 16), scalar(0), scalar(6)]);
  const c = net.op('HardSwish', [conv(net, b, 16, 16)]);
  const d = relu(net, conv(net, c, 16, 16));
  const flat = net.op('Flatten', [net.op('GlobalAveragePool', [d])]);
  const gemm = net.op('Gemm', [flat, net.weights([10, 16], -0.3, 0.3), net.weights([10])], { transB: 1 });
  const last = net.op('MatMul', [net.op('Relu', [gemm]), net.weights([10, 4], -0.3, 0.3)]);
  const model = net.model(last);
  model.opsets.set('', 14);
  return { name: 'classifier', model };
};

export const tinyNets = (): TinyNet[] => [
  chain('relu', relu),
  chain('silu', silu),
  chain('linear', (_, x) => x),
  residual(),
  pyramid(),
  classifier(),
];
