// Whether this processor's integer kernels compute what they should: 8-bit products saturate where there is no dot product.
import { Graph, int, ints, Model, tensorOf, type Value, writeModel } from '../onnx/index.js';
import { type SessionOptions, withSession } from '../runtime/index.js';

const CHANNELS = 64;
const OUTPUTS = 16;
const SIDE = 6;

/** A pointwise convolution whose codes are as large as they get, and what it must give. */
const extreme = (limit: number): { bytes: Uint8Array; codes: Uint8Array; exact: Uint8Array } => {
  const plane = SIDE * SIDE;
  const codes = Uint8Array.from({ length: CHANNELS * plane }, (_, i) => 255 - ((i * 7) % 3));
  const weights = Int8Array.from({ length: OUTPUTS * CHANNELS }, (_, i) => {
    // Half of the outputs add up as far as they can, the others take back what they added.
    const sign = Math.floor(i / CHANNELS) % 2 === 0 || (i >> 1) % 2 === 0 ? 1 : -1;
    return sign * (limit - ((i * 5) % 3));
  });
  const scale = (CHANNELS * 255 * limit) / 127;
  const graph = new Graph('kernel-check');
  const scalar = (type: 'float32' | 'uint8' | 'int8', value: number): Value => {
    const tensor =
      type === 'float32'
        ? tensorOf('float32', [], Float32Array.of(value))
        : type === 'uint8'
          ? tensorOf('uint8', [], Uint8Array.of(value))
          : tensorOf('int8', [], Int8Array.of(value));
    return graph.addInitializer(type, tensor);
  };
  const node = graph.addNode({
    opType: 'QLinearConv',
    inputs: [
      graph.addInput('x', 'uint8', [1, CHANNELS, SIDE, SIDE]),
      scalar('float32', 1),
      scalar('uint8', 0),
      graph.addInitializer('w', tensorOf('int8', [OUTPUTS, CHANNELS, 1, 1], weights)),
      scalar('float32', 1),
      scalar('int8', 0),
      scalar('float32', scale),
      scalar('uint8', 128),
    ],
    outputs: ['y'],
    attributes: { kernel_shape: ints([1, 1]), group: int(1) },
  });
  const output = node.output();
  if (output !== undefined) {
    output.type = 'uint8';
    graph.addOutput(output);
  }
  const exact = new Uint8Array(OUTPUTS * plane);
  for (let o = 0; o < OUTPUTS; o++) {
    for (let p = 0; p < plane; p++) {
      let sum = 0;
      for (let c = 0; c < CHANNELS; c++) {
        sum += (codes[c * plane + p] ?? 0) * (weights[o * CHANNELS + c] ?? 0);
      }
      exact[o * plane + p] = Math.min(255, Math.max(0, Math.round(sum / scale) + 128));
    }
  }
  return { bytes: writeModel(new Model({ graph, irVersion: 8, opsets: [['', 13]] })), codes, exact };
};

/** What weights may be for the results to be exact, to one code. */
export interface KernelCheck {
  readonly exact8Bit: boolean;
  readonly exact7Bit: boolean;
}

const isExact = async (limit: number, session: SessionOptions): Promise<boolean> => {
  const { bytes, codes, exact } = extreme(limit);
  const results = await withSession(bytes, session, (open) =>
    open.run({ x: { type: 'uint8', dims: [1, CHANNELS, SIDE, SIDE], data: codes } }),
  );
  const y = results['y'];
  return y?.type === 'uint8' && y.data.every((code, i) => Math.abs(code - (exact[i] ?? 0)) <= 1);
};

/** Compares integer kernels with exact arithmetic where they are most likely to fail. */
export const checkKernels = async (session: SessionOptions = {}): Promise<KernelCheck> => ({
  exact8Bit: await isExact(127, session),
  exact7Bit: await isExact(63, session),
});

/** Whether 8-bit weights saturate on this processor: they then need 7 bits (`reduceRange`). Runs a small model. */
export const integersSaturate = async (): Promise<boolean> => !(await isExact(127, {}));
