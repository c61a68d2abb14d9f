// A small network with what profiles care about: slices in front, functions, depthwise layers, a large pooling, a join.
import { inferShapes, type Model, type Value } from '../../src/onnx/index.js';
import { floatTensor, type Tensors } from '../../src/runtime/index.js';
import { Net } from '../onnx/net.js';

const SIZE = 32;

/** `count` zeros for 0, else values between -1 and 1 that look random. */
export const noise = (seed: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (seed === 0 ? 0 : Math.sin(seed * 12.9898 * (i + 1)) ** 3));

export const focusNet = (): { model: Model; feed: Tensors } => {
  const net = new Net(13);
  const x = net.input('images', [1, 3, SIZE, SIZE]);
  const named = (value: Value, name: string): Value => {
    const maker = value.producer;
    if (maker !== undefined) maker.name = name;
    return value;
  };
  const conv = (name: string, from: Value, [i, o]: [number, number], kernel = 3, group = 1, stride = 1) => {
    const pad = (kernel - 1) / 2;
    const scale = 1.5 / Math.sqrt((kernel * kernel * i) / group);
    const weights = net.weights([o, i / group, kernel, kernel], -scale, scale);
    const attributes = { pads: [pad, pad, pad, pad], group, strides: [stride, stride] };
    return named(net.op('Conv', [from, weights, net.weights([o], -0.2, 0.2)], attributes), name);
  };
  const silu = (value: Value): Value => net.op('Mul', [value, net.op('Sigmoid', [value])]);
  const rows = [0, 1].map((start) => net.op('Slice', [x, [start], [SIZE], [2], [2]]));
  const parts = [0, 1].flatMap((start) =>
    rows.map((row) => net.op('Slice', [row, [start], [2 ** 31 - 1], [3], [2]])),
  );
  const stem = silu(conv('stem', net.op('Concat', parts, { axis: 1 }), [12, 16]));
  const depth = silu(conv('depth', stem, [16, 16], 3, 16, 2));
  const a = silu(conv('left', depth, [16, 16], 1));
  const b = silu(conv('before', depth, [16, 8], 1));
  const pool = net.op('MaxPool', [b], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] });
  const c = silu(conv('after', net.op('Concat', [b, pool], { axis: 1 }), [16, 16], 1));
  const model = net.model(conv('last', net.op('Concat', [a, c], { axis: 1 }), [32, 4], 1));
  inferShapes(model);
  const data = Float32Array.from(noise(3, 3 * SIZE * SIZE));
  return { model, feed: { images: floatTensor([1, 3, SIZE, SIZE], data) } };
};
