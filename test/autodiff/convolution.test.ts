// Gradient rules of convolutions: groups, strides, dilations, paddings of all kinds.
import t from 'tap';
import type { Value } from '../../src/onnx/index.js';
import { gradients, type Trial } from './check.js';

interface Limits {
  readonly groups: readonly number[];
  readonly perGroup: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly axes: readonly number[];
}

const ANY: Limits = {
  groups: [1, 1, 2, 3],
  perGroup: [1, 2],
  strides: [1, 2, 3],
  dilations: [1, 2],
  axes: [1, 2, 2, 3],
};

const drawn = (net: Trial, limits: Limits, transposed = false): Value => {
  const n = net.pick(...limits.axes);
  const groups = net.pick(...limits.groups);
  const [ins, outs] = [net.pick(...limits.perGroup), net.pick(...limits.perGroup)];
  const kernel = net.ints(n, 1, 3);
  const strides = kernel.map(() => net.pick(...limits.strides));
  const dilations = kernel.map(() => net.pick(...limits.dilations));
  const pads = [...kernel, ...kernel].map((k) => net.int(0, transposed ? k - 1 : 2));
  const size = kernel.map((k, i) => net.int(transposed ? 2 : (k - 1) * (dilations[i] ?? 1) + 1, 6));
  const x = net.x([net.int(1, 2), groups * ins, ...size]);
  const w = net.x(transposed ? [groups * ins, outs, ...kernel] : [groups * outs, ins, ...kernel]);
  const bias = net.flag() ? [net.x([groups * outs])] : [];
  const extra = transposed && net.flag() ? { output_padding: strides.map((s) => net.int(0, s - 1)) } : {};
  return net.op(transposed ? 'ConvTranspose' : 'Conv', [x, w, ...bias], {
    group: groups,
    kernel_shape: kernel,
    strides,
    dilations,
    pads,
    ...extra,
  });
};

gradients(t, 'Conv of any kind', (net) => drawn(net, ANY), { runs: 60 });
gradients(t, 'Conv with stride 1', (net) => drawn(net, { ...ANY, strides: [1] }), { runs: 25 });
gradients(
  t,
  'Conv, depthwise',
  (net) => drawn(net, { ...ANY, groups: [2, 3, 4], perGroup: [1], axes: [2, 2, 1] }),
  { runs: 25 },
);
gradients(
  t,
  'Conv, pointwise',
  (net) => {
    const [ins, outs] = [net.int(1, 4), net.int(1, 4)];
    const x = net.x([net.int(1, 3), ins, net.int(1, 4), net.int(1, 4)]);
    const bias = net.flag() ? [net.x([outs])] : [];
    return net.op('Conv', [x, net.x([outs, ins, 1, 1]), ...bias], { strides: net.pick([1, 1], [2, 1]) });
  },
  { runs: 15 },
);
gradients(
  t,
  'Conv of a large picture',
  (net) => {
    const x = net.x([2, 2, net.int(20, 24), net.int(20, 24)]);
    return net.op('Conv', [x, net.x([3, 2, 3, 3])], { pads: [net.int(0, 1), 1, 1, net.int(0, 2)] });
  },
  { runs: 3 },
);
gradients(
  t,
  'Conv with automatic padding',
  (net) =>
    net.op(
      'Conv',
      [net.x([1, 2, net.int(3, 6), net.int(3, 6)]), net.x([2, 2, net.int(1, 3), net.int(1, 3)])],
      {
        auto_pad: net.pick('SAME_UPPER', 'SAME_LOWER', 'VALID'),
        strides: net.ints(2, 1, 3),
      },
    ),
  { runs: 15 },
);
gradients(t, 'ConvTranspose of any kind', (net) => drawn(net, ANY, true), { runs: 50 });
