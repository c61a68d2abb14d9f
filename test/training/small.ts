// A small network with every kind of layer, batches for it, and a loss.
import type { Model } from '../../src/onnx/index.js';
import { floatTensor, type Tensors } from '../../src/runtime/index.js';
import type { BuildLoss } from '../../src/training/index.js';
import { noise } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';

export const SIDE = 8;
export const OUTPUTS = 4;

/** Dense, depthwise and pointwise convolutions, SiLU, a Gemm whose output channels lie along the second axis. */
export const smallModel = ({ normalized = false } = {}): Model => {
  const net = new Net(13);
  const silu = (x: ReturnType<Net['op']>) => net.op('Mul', [x, net.op('Sigmoid', [x])]);
  const image = net.input('image', [1, 3, SIDE, SIDE]);
  let x = net.op('Conv', [image, net.weights([6, 3, 3, 3]), net.weights([6])], {
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  });
  if (normalized) {
    x = net.op('BatchNormalization', [
      x,
      net.weights([6], 0.8, 1.2),
      net.weights([6], -0.1, 0.1),
      net.weights([6], -0.1, 0.1),
      net.weights([6], 1, 2),
    ]);
  }
  x = silu(x);
  x = silu(
    net.op('Conv', [x, net.weights([6, 1, 3, 3]), net.weights([6])], { group: 6, pads: [1, 1, 1, 1] }),
  );
  x = silu(net.op('Conv', [x, net.weights([5, 6, 1, 1]), net.weights([5])]));
  x = net.op('Flatten', [x], { axis: 1 });
  const output = net.op('Gemm', [x, net.weights([5 * 16, OUTPUTS], -0.3, 0.3), net.weights([OUTPUTS])]);
  output.shape = [1, OUTPUTS];
  return net.model(output);
};

/** Mean squared distance from targets that each step is fed. The output itself is given too, as `output`. */
export const distance: BuildLoss = ({ graph, ops, outputs, batch }) => {
  const [output] = outputs;
  if (output === undefined) throw new Error('no output');
  const target = graph.addInput('target', 'float32', [batch, OUTPUTS]);
  const error = ops.sub(output, target);
  return { loss: ops.mean(ops.mul(error, error), [0, 1], false), parts: { output } };
};

export const batchOf = (batch: number, seed: number): Tensors => ({
  image: floatTensor([batch, 3, SIDE, SIDE], noise(batch * 3 * SIDE * SIDE, seed)),
  target: floatTensor([batch, OUTPUTS], noise(batch * OUTPUTS, seed + 1000)),
});
