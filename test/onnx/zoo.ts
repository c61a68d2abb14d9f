// Small graphs that together use what detectors use.
import { intsTensor, packTensor, tensorOf } from '../../src/onnx/index.js';
import { Net } from './net.js';

export interface Animal {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** True where some shapes depend on data. */
  readonly partly?: boolean;
}

const f32 = (...values: number[]) => tensorOf('float32', [values.length], Float32Array.from(values));
const scalar = (value: number) => tensorOf('float32', [], Float32Array.of(value));

/** Focus, convolutions, poolings, resizing. */
const stem = (): Animal => {
  const net = new Net(17);
  const x = net.input('x', [1, 3, 32, 40]);
  const even = net.op('Slice', [x, [0, 0], [2 ** 31, 2 ** 31], [2, 3], [2, 2]]);
  const odd = net.op('Slice', [x, [1, -1], [2 ** 31, -(2 ** 31)], [2, -1], [2, -2]]);
  const focus = net.op('Concat', [even, odd], { axis: 1 });
  const conv = net.op('Conv', [focus, net.weights([8, 6, 3, 3]), net.weights([8])], { pads: [1, 1, 1, 1] });
  const silu = net.op('Mul', [conv, net.op('Sigmoid', [conv])]);
  const norm = net.op('BatchNormalization', [
    silu,
    net.weights([8]),
    net.weights([8]),
    net.weights([8]),
    net.weights([8], 0.5, 2),
  ]);
  const deep = net.op('Conv', [norm, net.weights([8, 1, 5, 5])], {
    group: 8,
    strides: [2, 2],
    dilations: [1, 2],
    pads: [2, 3, 1, 4],
  });
  const same = net.op('Conv', [norm, net.weights([4, 8, 3, 3])], { auto_pad: 'SAME_UPPER', strides: [2, 2] });
  const pool = net.op('MaxPool', [silu], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 });
  const spp = net.op('MaxPool', [silu], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] });
  const mean = net.op('AveragePool', [spp], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 1, 1] });
  const up = net.op('Resize', [pool, undefined, f32(1, 1, 2, 2)], { mode: 'nearest' });
  const sized = net.op('Resize', [pool, undefined, undefined, [1, 8, 9, 13]], { mode: 'linear' });
  const back = net.op('ConvTranspose', [deep, net.weights([8, 3, 3, 3])], {
    group: 2,
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    output_padding: [1, 0],
  });
  const all = net.op('GlobalAveragePool', [up]);
  const gate = net.op('HardSwish', [net.op('HardSigmoid', [all])]);
  const tall = net.op('DepthToSpace', [net.op('LeakyRelu', [silu])], { blocksize: 2 });
  const wide = net.op('SpaceToDepth', [net.op('Clip', [silu, scalar(0), scalar(6)])], { blocksize: 2 });
  return { name: 'stem', bytes: net.bytes(deep, same, mean, sized, back, gate, tall, wide) };
};

/** A head's tail: reshape, transpose, softmax over distances, decode, best class. Batch first. */
const tail = (): Animal => {
  const net = new Net(17);
  const x = net.input('x', [2, 12, 4, 5]);
  const rows = net.op('Transpose', [net.op('Reshape', [x, [0, 12, -1]])], { perm: [0, 2, 1] });
  const [box, scores] = net.ops('Split', [rows, [8, 4]], 2, { axis: 2 });
  const bins = net.op('Softmax', [net.op('Reshape', [box, [0, 0, 4, 2]])], { axis: -1 });
  const distance = net.op('MatMul', [bins, net.weights([2, 1])]);
  const corners = net.op('Squeeze', [distance, [3]]);
  const [lt, rb] = net.ops('Split', [corners], 2, { axis: -1 });
  const grid = net.weights([1, 20, 2]);
  const low = net.op('Sub', [grid, lt]);
  const high = net.op('Add', [grid, rb]);
  const boxes = net.op('Concat', [low, high], { axis: 2 });
  const chances = net.op('Sigmoid', [scores]);
  const best = net.op('ReduceMax', [chances], { axes: [2], keepdims: 1 });
  const cls = net.op('Cast', [net.op('ArgMax', [chances], { axis: 2 })], { to: 1 });
  const answer = net.op('Concat', [boxes, best, cls], { axis: -1 });
  const sum = net.op('ReduceSum', [chances, [1]], { keepdims: 0 });
  const [top] = net.ops('TopK', [best, [5]], 2, { axis: 1 });
  const mean = net.op('ReduceMean', [x], { axes: [2, 3], keepdims: 0 });
  const logits = net.op('Gemm', [net.op('Flatten', [mean]), net.weights([7, 12]), net.weights([7])], {
    transB: 1,
  });
  const wide = net.op('Unsqueeze', [net.op('Exp', [logits]), [1, -1]]);
  const first = net.op('Gather', [rows, intsTensor(0)], { axis: 1 });
  const picked = net.op('Gather', [rows, [3, 1, -1]], { axis: 1 });
  return { name: 'tail', bytes: net.bytes(answer, sum, top ?? mean, wide, first, picked) };
};

/** Shapes that are computed with shapes. */
const shapes = (): Animal => {
  const net = new Net(18);
  const x = net.input('x', [2, 3, 4, 6]);
  const size = net.op('Shape', [x]);
  const tail2 = net.op('Slice', [size, [2], [4]]);
  const doubled = net.op('Mul', [tail2, [2, 3]]);
  const target = net.op('Concat', [net.op('Slice', [size, [0], [2]]), doubled], { axis: 0 });
  const resized = net.op('Resize', [x, undefined, undefined, target]);
  const count = net.op('Div', [net.op('Gather', [size, intsTensor(3)]), intsTensor(2)]);
  const flat = net.op('Concat', [[-1], net.op('Unsqueeze', [count, [0]])], { axis: 0 });
  const reshaped = net.op('Reshape', [x, flat]);
  const ones = net.op('ConstantOfShape', [[4]], { value: { type: 'tensor', value: intsTensor([1]) } });
  const chosen = net.op('Where', [net.op('Equal', [[2, 3, 1, 1], ones]), [5, 5, 4, 6], [2, 3, 1, 1]]);
  const expanded = net.op('Expand', [net.op('ReduceMean', [x, [2, 3]]), chosen]);
  const tiled = net.op('Tile', [x, [1, 2, 1, 3]]);
  const padded = net.op('Pad', [x, [0, 0, 1, 2, 0, 0, 0, 3], scalar(1)]);
  const padded2 = net.op('Pad', [x, [1, 2], scalar(0), [-1]]);
  const range = net.op('Cast', [net.op('Range', [intsTensor(1), intsTensor(12), intsTensor(3)])], { to: 1 });
  const part = net.op('Shape', [x], { start: 1, end: -1 });
  const wide = net.op('Cast', [net.op('Add', [part, net.op('Size', [x])])], { to: 1 });
  const [a, b] = net.ops('Split', [x], 2, { axis: 3, num_outputs: 2 });
  const elements = net.op('GatherElements', [a, net.op('Cast', [net.op('Greater', [b, a])], { to: 7 })], {
    axis: 3,
  });
  const nd = net.op('GatherND', [x, tensorOf('int64', [2, 2], BigInt64Array.of(0n, 1n, 1n, 2n))]);
  const squeezed = net.op('Squeeze', [net.op('ReduceSum', [x], { keepdims: 1 })]);
  return {
    name: 'shapes',
    bytes: net.bytes(
      resized,
      reshaped,
      expanded,
      tiled,
      padded,
      padded2,
      range,
      wide,
      elements,
      nd,
      squeezed,
    ),
  };
};

/** Integers, plain and packed. */
const integers = (): Animal => {
  const net = new Net(21);
  const x = net.input('x', [1, 4, 6, 6]);
  const [s, z] = [scalar(0.02), tensorOf('uint8', [], Uint8Array.of(128))];
  const q = net.op('QuantizeLinear', [x, s, z]);
  const w = tensorOf(
    'int8',
    [5, 4, 3, 3],
    Int8Array.from({ length: 180 }, (_, i) => (i % 11) - 5),
  );
  const ws = f32(0.1, 0.2, 0.3, 0.4, 0.5);
  const wz = tensorOf('int8', [5], new Int8Array(5));
  const conv = net.op('QLinearConv', [q, s, z, w, ws, wz, scalar(0.5), z], { pads: [1, 1, 1, 1] });
  const y = net.op('DequantizeLinear', [conv, scalar(0.5), z]);
  const raw = net.op('Cast', [net.op('ConvInteger', [q, w, z])], { to: 1 });
  const four = packTensor(
    'int4',
    [5, 4, 1, 1],
    Array.from({ length: 20 }, (_, i) => (i % 16) - 8),
  );
  const wide = net.op('DequantizeLinear', [net.op('Cast', [four], { to: 3 }), ws, wz], { axis: 0 });
  const packed = net.op('Conv', [x, wide]);
  const [dq, ds, dz] = net.ops('DynamicQuantizeLinear', [x], 3);
  const dynamic = net.op('DequantizeLinear', [dq, ds, dz]);
  const rows = net.op('Reshape', [q, [4, 36]]);
  const matrix = tensorOf(
    'int8',
    [36, 3],
    Int8Array.from({ length: 108 }, (_, i) => (i % 7) - 3),
  );
  const product = net.op('Cast', [net.op('MatMulInteger', [rows, matrix, z])], { to: 1 });
  const qm = net.op('QLinearMatMul', [
    rows,
    s,
    z,
    matrix,
    scalar(0.1),
    tensorOf('int8', [], new Int8Array(1)),
    s,
    z,
  ]);
  return {
    name: 'integers',
    bytes: net.bytes(y, raw, packed, dynamic, product, net.op('DequantizeLinear', [qm, s, z])),
  };
};

/** Sizes that depend on what is in the picture. */
const data = (): Animal => {
  const net = new Net(17);
  const x = net.input('x', [1, 6, 4]);
  const scores = net.op('Transpose', [net.op('Slice', [x, [0], [1], [2]])], { perm: [0, 2, 1] });
  const kept = net.op('NonMaxSuppression', [x, scores, [4], scalar(0.5), scalar(0)]);
  const found = net.op('NonZero', [net.op('Relu', [x])]);
  return {
    name: 'data',
    partly: true,
    bytes: net.bytes(net.op('Cast', [kept], { to: 1 }), net.op('Cast', [found], { to: 1 })),
  };
};

export const zoo = (): Animal[] => [stem(), tail(), shapes(), integers(), data()];
