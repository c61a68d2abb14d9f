// A small detector with everything that the real ones have: a trunk with branches, two map sizes, heads of several convolutions.
import { type Model, tensorOf, type Value } from '../../src/onnx/index.js';
import type { DetectorSpec } from '../../src/registry/index.js';
import { Net } from '../onnx/net.js';

export const SIDE = 64;
const CLASSES = ['bus', 'car', 'truck'];

export const smallSpec: DetectorSpec = {
  input: {
    name: 'x',
    width: SIDE,
    height: SIDE,
    colourOrder: 'rgb',
    mean: [0, 0, 0],
    scale: [1 / 255, 1 / 255, 1 / 255],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: 'out', boxes: 'raw', strides: [4, 8] },
  classes: CLASSES,
};

const conv = (
  net: Net,
  x: Value,
  from: number,
  to: number,
  options: { kernel?: number; stride?: number; group?: number; gain?: number; bias?: number } = {},
): Value => {
  const { kernel = 3, stride = 1, group = 1, gain = 1.7, bias = 0 } = options;
  const scale = gain / Math.sqrt((kernel * kernel * from) / group);
  const pad = (kernel - 1) / 2;
  return net.op(
    'Conv',
    [
      x,
      net.weights([to, from / group, kernel, kernel], -scale, scale),
      net.weights([to], bias - 0.3, bias + 0.3),
    ],
    { pads: [pad, pad, pad, pad], strides: [stride, stride], kernel_shape: [kernel, kernel], group },
  );
};

const silu = (net: Net, x: Value): Value => net.op('Mul', [x, net.op('Sigmoid', [x])]);

/** Two branches on one map: for classes and for boxes. */
const branches = (net: Net, x: Value, channels: number): { readonly a: Value; readonly b: Value } => {
  const stem = silu(net, conv(net, x, channels, 8, { kernel: 1 }));
  const a = silu(net, conv(net, stem, 8, 8, { group: 8 }));
  const b = silu(net, conv(net, silu(net, conv(net, stem, 8, 8)), 8, 8, { kernel: 1 }));
  return { a, b };
};

/** One map size: a shared stem, then boxes, objectness and classes. */
const head = (net: Net, x: Value, channels: number): Value => {
  const { a, b } = branches(net, x, channels);
  const classes = net.op('Sigmoid', [conv(net, a, 8, CLASSES.length, { kernel: 1, gain: 12 })]);
  const box = conv(net, b, 8, 4, { kernel: 1, bias: 0.3 });
  const objectness = net.op('Sigmoid', [conv(net, b, 8, 1, { kernel: 1, gain: 8, bias: 0.5 })]);
  return net.op('Concat', [box, objectness, classes], { axis: 1 });
};

const STRIDES = [4, 8] as const;

/** Everything before the heads: a map of stride 4 with 16 channels, one of stride 8 with 16. */
const trunk = (net: Net): readonly Value[] => {
  const x = net.input('x', [1, 3, SIDE, SIDE]);
  const a = silu(net, conv(net, x, 3, 8, { stride: 2 }));
  const b = silu(net, conv(net, a, 8, 12, { stride: 2 }));
  const c = net.op('Add', [b, silu(net, conv(net, b, 12, 12))]);
  const d = silu(net, conv(net, c, 12, 16, { stride: 2 }));
  const scales = tensorOf('float32', [4], Float32Array.of(1, 1, 2, 2));
  const up = net.op('Resize', [conv(net, d, 16, 8, { kernel: 1 }), undefined, scales], { mode: 'nearest' });
  return [net.op('Concat', [up, conv(net, c, 12, 8)], { axis: 1 }), d];
};

const cellsOf = (index: number): number => (SIDE / (STRIDES[index] ?? 1)) ** 2;

/**
 * A YOLOX head on two maps: rows [1, 16 x 16 + 8 x 8, 8].
 *
 * @param mixed the output is computed from the rows once more: what a row is made of cannot be traced
 */
export const smallDetector = (mixed = false): Model => {
  const net = new Net(13);
  const rows = trunk(net).map((map, index) =>
    net.op('Reshape', [head(net, map, 16), [1, 5 + CLASSES.length, cellsOf(index)]]),
  );
  const moved = net.op('Transpose', [net.op('Concat', rows, { axis: 2 })], { perm: [0, 2, 1] });
  const one = tensorOf('float32', [1], Float32Array.of(1));
  const out = mixed ? net.op('Mul', [moved, one]) : moved;
  net.graph.rename(out, 'out');
  return net.model(out);
};

/** YOLOv8's rows, boxes computed behind the joined maps: [1, 4 + classes, 16 x 16 + 8 x 8]. */
export const smallYolov8 = (): { readonly model: Model; readonly spec: DetectorSpec } => {
  const net = new Net(13);
  const rows = trunk(net).map((map, index) => {
    const { a, b } = branches(net, map, 16);
    const classes = net.op('Sigmoid', [conv(net, a, 8, CLASSES.length, { kernel: 1, gain: 12 })]);
    const both = net.op('Concat', [conv(net, b, 8, 4, { kernel: 1 }), classes], { axis: 1 });
    return net.op('Reshape', [both, [1, 4 + CLASSES.length, cellsOf(index)]]);
  });
  const column = (values: readonly number[]) =>
    tensorOf('float32', [1, values.length, 1], Float32Array.from(values));
  const scaled = net.op('Mul', [net.op('Concat', rows, { axis: 2 }), column([9, 9, 4, 4, 1, 1, 1])]);
  const out = net.op('Add', [scaled, column([30, 30, 20, 20, 0, 0, 0])]);
  net.graph.rename(out, 'out');
  const head = { type: 'yolov8', output: 'out', layout: 'channels-first' } as const;
  return { model: net.model(out), spec: { ...smallSpec, head } };
};

const REG_MAX = 3;

/** A GFL head: scores and distances of each map as outputs of their own. */
export const smallGfl = (): { readonly model: Model; readonly spec: DetectorSpec } => {
  const net = new Net(13);
  const outputs = trunk(net).flatMap((map, index) => {
    const { a, b } = branches(net, map, 16);
    const flat = (value: Value, channels: number, name: string): Value => {
      const rows = net.op('Reshape', [value, [1, channels, cellsOf(index)]]);
      const out = net.op('Transpose', [rows], { perm: [0, 2, 1] });
      net.graph.rename(out, name);
      return out;
    };
    const distances = 4 * (REG_MAX + 1);
    return [
      flat(net.op('Sigmoid', [conv(net, a, 8, 3, { kernel: 1, gain: 12 })]), 3, `scores${index}`),
      flat(conv(net, b, 8, distances, { kernel: 1, gain: 4 }), distances, `boxes${index}`),
    ];
  });
  const head = {
    type: 'gfl',
    layout: 'split',
    outputs: ['scores0', 'scores1'],
    boxOutputs: ['boxes0', 'boxes1'],
    strides: [...STRIDES],
    regMax: REG_MAX,
    scores: 'sigmoid-applied',
    cellOffset: 0.5,
  } as const satisfies DetectorSpec['head'];
  const spec = {
    ...smallSpec,
    head: { ...head, outputs: [...head.outputs], boxOutputs: [...head.boxOutputs] },
  };
  return { model: net.model(...outputs), spec };
};
