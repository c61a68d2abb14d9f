// Gradient rules of poolings and of Resize.
import t from 'tap';
import type { Value } from '../../src/onnx/index.js';
import { gradients, type Trial } from './check.js';

const pool = (net: Trial, opType: string): Value => {
  const n = net.pick(1, 2, 2, 3);
  const kernel = net.ints(n, 1, n === 2 ? 5 : 3);
  const size = kernel.map((k) => net.int(k, 6));
  const pads = [...kernel, ...kernel].map((k) => net.int(0, Math.floor((k - 1) / 2)));
  const strides = net.ints(n, 1, 3);
  // A last window that begins behind the picture is left out by the engine, but not by its shape inference.
  const canRoundUp = kernel.every((k, i) => {
    const [first, stride] = [(size[i] ?? 1) + (pads[i] ?? 0), strides[i] ?? 1];
    return Math.ceil((first + (pads[n + i] ?? 0) - k) / stride) * stride < first;
  });
  return net.op(opType, [net.x([net.int(1, 2), net.int(1, 2), ...size])], {
    kernel_shape: kernel,
    strides,
    pads,
    ceil_mode: canRoundUp ? net.int(0, 1) : 0,
    ...(opType === 'AveragePool' ? { count_include_pad: net.int(0, 1) } : {}),
  });
};

gradients(t, 'MaxPool', (net) => pool(net, 'MaxPool'), { runs: 40 });
gradients(
  t,
  'MaxPool with dilations',
  (net) =>
    net.op('MaxPool', [net.x([1, 2, net.int(5, 7), net.int(5, 7)])], {
      kernel_shape: net.ints(2, 2, 3),
      dilations: net.ints(2, 1, 2),
      strides: net.ints(2, 1, 2),
    }),
  { runs: 10 },
);
gradients(t, 'AveragePool', (net) => pool(net, 'AveragePool'), { runs: 40 });
gradients(
  t,
  'poolings with automatic padding',
  (net) =>
    net.op(net.pick('MaxPool', 'AveragePool'), [net.x([1, 2, net.int(4, 7), net.int(4, 7)])], {
      kernel_shape: net.ints(2, 2, 3),
      strides: net.ints(2, 1, 2),
      auto_pad: net.pick('SAME_UPPER', 'SAME_LOWER', 'VALID'),
    }),
  { runs: 12 },
);
gradients(t, 'GlobalAveragePool, GlobalMaxPool', (net) => {
  const x = net.x([net.int(1, 2), net.int(1, 3), ...net.ints(net.int(1, 3), 1, 4)]);
  return [net.op('GlobalAveragePool', [x]), net.op('GlobalMaxPool', [x])];
});

const MODES = ['half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'];
const size = (net: Trial): number[] => [net.int(1, 2), net.int(1, 2), net.int(1, 5), net.int(1, 5)];

gradients(
  t,
  'Resize by scales',
  (net) => {
    const scales = net.floats([4], [1, 1, net.pick(0.6, 1, 1.5, 2, 2.5, 3), net.pick(0.5, 1, 1.7, 2)]);
    return net.op('Resize', [net.x([1, 2, net.int(2, 5), net.int(2, 5)]), undefined, scales], {
      mode: net.pick('nearest', 'linear'),
      coordinate_transformation_mode: net.pick(...MODES),
      nearest_mode: net.pick('floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'),
    });
  },
  { runs: 40 },
);
gradients(
  t,
  'Resize to sizes',
  (net) => {
    const dims = size(net);
    return net.op(
      'Resize',
      [net.x(dims), undefined, undefined, [...dims.slice(0, 2), net.int(1, 8), net.int(1, 8)]],
      {
        mode: net.pick('nearest', 'linear'),
        coordinate_transformation_mode: net.pick(...MODES),
      },
    );
  },
  { runs: 30 },
);
gradients(t, 'Resize by whole factors, as detectors do', (net) => {
  const factor = net.int(2, 3);
  return net.op('Resize', [net.x(size(net)), undefined, net.floats([4], [1, 1, factor, factor])], {
    mode: 'nearest',
    coordinate_transformation_mode: net.pick('asymmetric', 'half_pixel'),
    nearest_mode: net.pick('floor', 'round_prefer_floor'),
  });
});
