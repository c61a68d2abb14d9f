// Slices folded into the convolution behind them: the same sums, and nothing where they would not be.
import t from 'tap';
import {
  foldSlices,
  inferShapes,
  type Model,
  removeDeadNodes,
  removeUnusedInitializers,
  runPasses,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import type { FloatTensor, Tensors } from '../../src/runtime/index.js';
import { feedsFor, outputsOf } from './bits.js';
import { Net } from './net.js';

interface Options {
  readonly size?: number;
  readonly step?: number;
  readonly starts?: readonly (readonly [number, number])[];
  readonly attributes?: Record<string, number | readonly number[]>;
  readonly isJoinAnOutput?: boolean;
}

const FOCUS = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
] as const;

const sliced = ({
  size = 12,
  step = 2,
  starts = FOCUS,
  attributes = {},
  isJoinAnOutput = false,
}: Options): Model => {
  const net = new Net(13);
  const x = net.input('x', [1, 3, size, size]);
  const parts = starts.map(([row, column]): Value => {
    const rows = net.op('Slice', [x, [row], [2 ** 31 - 1], [2], [step]]);
    return net.op('Slice', [rows, [column], [size], [-1], [step]]);
  });
  const join = net.op('Concat', parts, { axis: 1 });
  const y = net.op('Conv', [join, net.weights([5, 3 * starts.length, 3, 3]), net.weights([5])], {
    pads: [1, 1, 1, 1],
    ...attributes,
  });
  const model = net.model(...(isJoinAnOutput ? [y, join] : [y]));
  inferShapes(model);
  return model;
};

const result = async (bytes: Uint8Array, feeds: Tensors): Promise<FloatTensor> => {
  const [y] = Object.values(await outputsOf(bytes, feeds));
  if (y?.type !== 'float32') throw new Error('no floats');
  return y;
};

const PASSES = [foldSlices, removeDeadNodes, removeUnusedInitializers];

t.test('the model computes the same without its slices', async (t) => {
  const cases: readonly Options[] = [
    {},
    { step: 3, size: 9, starts: [...FOCUS, [2, 1]] },
    { attributes: { strides: [2, 1], pads: [0, 1, 2, 0] } },
    { starts: [...FOCUS, [0, 0]] },
  ];
  for (const options of cases) {
    const model = sliced(options);
    const before = writeModel(model);
    t.ok(runPasses(model, PASSES).includes(foldSlices.name));
    t.same(
      Array.from(model.graph.nodes(), ({ opType }) => opType),
      ['Conv'],
    );
    const after = writeModel(model);
    const feeds = await feedsFor(before);
    const [a, b] = [await result(before, feeds), await result(after, feeds)];
    t.same(a.dims, b.dims);
    t.ok(a.data.some((value) => Math.abs(value) > 0.1));
    t.ok(a.data.every((value, i) => Math.abs(value - (b.data[i] ?? NaN)) < 1e-4));
    t.same(runPasses(model, PASSES), [], 'nothing is left to do');
  }
});

t.test('what is no such pattern stays', async (t) => {
  const cases: readonly (readonly [string, Options])[] = [
    ['a side that the step does not divide', { size: 13, starts: [FOCUS[0], [0, 0]] }],
    ['a start beyond the first step', { starts: [FOCUS[0], [2, 0]] }],
    ['a dilated layer', { attributes: { dilations: [2, 2], pads: [2, 2, 2, 2] } }],
    ['slices that others need', { isJoinAnOutput: true }],
  ];
  for (const [name, options] of cases) t.same(runPasses(sliced(options), [foldSlices]), [], name);
});
