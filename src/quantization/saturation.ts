// Whether this CPU's integer kernels are exact with 8-bit weights: tried, not looked up.
import { Graph, Model, tensorOf, type Value, writeModel } from '../onnx/index.js';
import { floatTensor, withSession } from '../runtime/index.js';

const CHANNELS = 64;
const LARGEST = 255;

/** A 1x1 convolution whose inputs and weights have the largest codes: pairs of products then exceed 16 bits. */
const probe = (): Model => {
  const graph = new Graph('probe');
  const scalar = (value: number): Value =>
    graph.addInitializer('', tensorOf('float32', [], Float32Array.of(value)));
  const zero = graph.addInitializer('', tensorOf('uint8', [], Uint8Array.of(0)));
  const add = (opType: string, inputs: readonly (Value | undefined)[]): Value | undefined =>
    graph.addNode({ opType, inputs }).output();
  const codes = new Int8Array(CHANNELS * CHANNELS).fill(127);
  const weights = graph.addInitializer('', tensorOf('int8', [CHANNELS, CHANNELS, 1, 1], codes));
  const one = scalar(1);
  const x = graph.addInput('x', 'float32', [1, CHANNELS, 8, 8]);
  const taken = add('DequantizeLinear', [add('QuantizeLinear', [x, one, zero]), one, zero]);
  const sum = add('Conv', [taken, add('DequantizeLinear', [weights, one])]);
  const scale = scalar(CHANNELS * 127);
  const y = add('DequantizeLinear', [add('QuantizeLinear', [sum, scale, zero]), scale, zero]);
  if (y !== undefined) graph.addOutput(y);
  return new Model({ graph, opsets: [['', 13]], irVersion: 7 });
};

/**
 * Whether 8-bit weights saturate in onnxruntime's integer kernels on this CPU (x64 without an 8-bit dot product): weights then need
 * 7 bits (`reduceRange`). Runs a small model once; blocks the thread for some milliseconds.
 */
export const integersSaturate = async (): Promise<boolean> => {
  const x = floatTensor([1, CHANNELS, 8, 8]);
  x.data.fill(LARGEST);
  return withSession(writeModel(probe()), { threads: 1 }, async (session) => {
    const [y] = Object.values(await session.run({ x }));
    return y?.type !== 'float32' || y.data.some((value) => value !== LARGEST * CHANNELS * 127);
  });
};
