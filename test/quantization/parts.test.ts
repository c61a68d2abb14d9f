// Packing by parts: what comes out of the engine are the codes that went in, and the bytes are those of the estimate.
import fc from 'fast-check';
import t from 'tap';
import {
  codeOf,
  Graph,
  int,
  Model,
  runPasses,
  removeUnusedInitializers,
  tensorOf,
  writeModel,
} from '../../src/onnx/index.js';
import type { BitWidth } from '../../src/quantization/index.js';
import { groupBytes, type HeldCodes, packCodes, rowsOf } from '../../src/quantization/parts.js';
import { outputsOf } from '../onnx/bits.js';

interface Layer {
  readonly bits: readonly BitWidth[];
  /** Of a row; two for a convolution, one for a matrix. */
  readonly row: readonly number[];
  readonly axis: 0 | 1;
  readonly seed: number;
}

const lengthOf = (row: readonly number[]): number => row.reduce((product, dim) => product * dim, 1);

/** Codes that each channel's bits hold, all of them in turn. */
const rowsFor = ({ bits, row, seed }: Layer): Int8Array => {
  const length = lengthOf(row);
  return Int8Array.from({ length: bits.length * length }, (_, i) => {
    const levels = 2 ** (bits[Math.floor(i / length)] ?? 8);
    return ((i * 7 + seed) % levels) - levels / 2;
  });
};

/** What the engine should give: row-major with the channels along `axis`. */
const expectedOf = (layer: Layer): number[] => {
  const rows = rowsFor(layer);
  const [channels, length] = [layer.bits.length, lengthOf(layer.row)];
  return Array.from(rows, (_, i) =>
    layer.axis === 0 ? (rows[i] ?? 0) : (rows[(i % channels) * length + Math.floor(i / channels)] ?? 0),
  );
};

/** y[i] = x + codes of layer i. */
const build = (layers: readonly Layer[], packed: boolean): { model: Model; held: readonly HeldCodes[] } => {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', []);
  const held: HeldCodes[] = [];
  layers.forEach((layer, index) => {
    const { bits, row, axis } = layer;
    const dims = axis === 0 ? [bits.length, ...row] : [...row, bits.length];
    const value = graph.addInitializer('', tensorOf('int8', dims, Int8Array.from(expectedOf(layer))));
    const floats = graph.addNode({
      opType: 'Cast',
      inputs: [value],
      attributes: { to: int(codeOf('float32')) },
    });
    const sum = graph
      .addNode({ opType: 'Add', inputs: [floats.output(), x], outputs: [`y${index}`] })
      .output();
    if (sum === undefined) throw new Error('no sum');
    sum.type = 'float32';
    sum.shape = dims;
    graph.addOutput(sum);
    held.push({ value, rows: rowsFor(layer), bits, dims, axis });
  });
  const model = new Model({ graph, irVersion: 13, opsets: [['', 25]] });
  if (packed) packCodes(graph, held);
  runPasses(model, [removeUnusedInitializers]);
  return { model, held };
};

/** Outputs that are not the codes. */
const wrongOutputs = async (layers: readonly Layer[]): Promise<string[]> => {
  const bytes = writeModel(build(layers, true).model);
  const feeds = { x: { type: 'float32', dims: [], data: Float32Array.of(0) } } as const;
  const found: string[] = [];
  for (const optimization of ['disabled', 'all'] as const) {
    const outputs = await outputsOf(bytes, feeds, { optimization });
    layers.forEach((layer, index) => {
      const data = outputs[`y${index}`]?.data;
      const given = data === undefined ? [] : Array.from<number | bigint, number>(data, Number);
      if (String(given) !== String(expectedOf(layer))) found.push(`y${index}, optimizations ${optimization}`);
    });
  }
  return found;
};

const row = fc.constantFrom<{ row: readonly number[]; axis: 0 | 1 }>(
  { row: [3, 2], axis: 0 },
  { row: [1, 3], axis: 0 },
  { row: [6], axis: 0 },
  { row: [6], axis: 1 },
);
const bitsOf = (widths: readonly BitWidth[]): fc.Arbitrary<BitWidth[]> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.array(fc.constantFrom(...widths), { minLength: 1, maxLength: 40 }) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...widths), { minLength: 200, maxLength: 300 }) },
  );
const layersWith = (widths: readonly BitWidth[]): fc.Arbitrary<Layer[]> =>
  fc.array(
    fc.tuple(row, bitsOf(widths), fc.nat(255)).map(([form, bits, seed]) => ({ ...form, bits, seed })),
    { minLength: 1, maxLength: 6 },
  );
const anyLayers = fc
  .constantFrom<readonly BitWidth[]>([2], [4], [2, 4], [2, 8], [4, 8], [2, 4, 8], [8])
  .chain(layersWith);

t.test('each layer gets its own codes in its own order', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyLayers, async (layers) => {
      const wrong = await wrongOutputs(layers);
      if (wrong.length > 0) throw new Error(wrong.join(', '));
    }),
    { numRuns: 60 },
  );
  t.pass('60 models');
});

/** Layers that share parts. */
const groupsOf = (layers: readonly Layer[]): Layer[][] => {
  const groups = new Map<string, Layer[]>();
  for (const layer of layers) {
    if (layer.bits.every((width) => width === 8)) continue;
    const key = rowsOf(layer.axis === 0 ? [0, ...layer.row] : [...layer.row, 0], layer.axis);
    groups.set(key, [...(groups.get(key) ?? []), layer]);
  }
  return [...groups.values()];
};

t.test('the file holds the bits that were asked for, and about the graph that is estimated', async (t) => {
  const sizeOf = (layers: readonly Layer[], packed: boolean): number =>
    writeModel(build(layers, packed).model).length;
  const property = fc.property(anyLayers, (layers) => {
    const groups = groupsOf(layers);
    let [codes, bytes, estimate] = [0, 0, 0];
    for (const group of groups) {
      const length = lengthOf(group[0]?.row ?? []);
      const bits = group.flatMap((layer) => layer.bits);
      codes += bits.length * length;
      for (const width of [2, 4, 8]) {
        bytes += Math.ceil((bits.filter((each) => each === width).length * length * width) / 8);
      }
      estimate += groupBytes(group.map((layer) => layer.bits));
    }
    const graph = sizeOf(layers, true) - sizeOf(layers, false) + codes - bytes;
    return Math.abs(graph - estimate) <= 0.1 * Math.abs(estimate) + 40 * groups.length;
  });
  t.doesNotThrow(() => {
    fc.assert(property, { numRuns: 300 });
  });
});
