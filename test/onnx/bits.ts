// Models side by side: the same feeds, the outputs compared bit for bit.
import { type SessionOptions, type Tensor, type Tensors, withSession } from '../../src/runtime/index.js';

/** A small generator of numbers that is the same everywhere. */
export const numbers = (seed: number): (() => number) => {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
};

/** Float32 values from -1 to 1. */
export const noise = (size: number, seed = 1): Float32Array => {
  const next = numbers(seed);
  return Float32Array.from({ length: size }, () => next() * 2 - 1);
};

/** A value for every input of the model that it declares with a static shape. */
export const feedsFor = async (model: Uint8Array, seed = 1): Promise<Tensors> =>
  withSession(model, { optimization: 'disabled' }, (session) =>
    Object.fromEntries(
      session.inputs.map(({ name, type, shape }, index): [string, Tensor] => {
        const dims = shape.map((dim) => (typeof dim === 'number' ? dim : 2));
        const size = dims.reduce((product, dim) => product * dim, 1);
        const values = noise(size, seed + index);
        switch (type) {
          case 'int64':
            return [name, { type, dims, data: BigInt64Array.from(values, (v) => BigInt(Math.round(v * 8))) }];
          case 'int8':
            return [name, { type, dims, data: Int8Array.from(values, (v) => v * 100) }];
          case 'uint8':
            return [name, { type, dims, data: Uint8Array.from(values, (v) => 100 + v * 100) }];
          case 'bool':
            return [name, { type, dims, data: Uint8Array.from(values, (v) => (v > 0 ? 1 : 0)) }];
          default:
            return [name, { type: 'float32', dims, data: values }];
        }
      }),
    ),
  );

/** Runs a model; without optimizations where nothing else is said, so that what is in the file is what is run. */
export const outputsOf = (
  model: Uint8Array | string,
  feeds: Tensors,
  options: SessionOptions = { optimization: 'disabled' },
): Promise<Tensors> => withSession(model, options, (session) => session.run(feeds));

/** Names of outputs whose shapes or bits differ; empty when all are the same. */
export const differences = (a: Tensors, b: Tensors): string[] =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => {
    const [x, y] = [a[name], b[name]];
    if (x === undefined || y === undefined || x.type !== y.type || String(x.dims) !== String(y.dims))
      return true;
    const bytes = ({ data }: Tensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return !bytes(x).equals(bytes(y));
  });
