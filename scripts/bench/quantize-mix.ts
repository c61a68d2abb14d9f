// A random mixture of 2, 4 and 8 bits by output channel: the same as its unpacked twin, as fast as uniform int8, as small as its bits say.
import { writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  averageBits,
  type BitWidth,
  type Component,
  componentsOf,
  latencyRatio,
  prepareModel,
  quantizeModel,
  timeModels,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { withSession } from '../../src/runtime/index.js';
import { census } from './lib.js';
import { type BenchPart, withArtifact } from './quantize-lib.js';

/** Widths with the shares that make 4.0 bits on average. */
const WIDTHS: readonly BitWidth[] = [2, 2, 4, 4, 8];
const ROUNDS = 150;
const LIMIT_MS = 60_000;
const COMPARED = 8;

const randomMixture = (components: readonly Component[], seed: number): Allocation => {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return allocate(components, ({ outputChannels }) => ({
    bits: Array.from({ length: outputChannels }, () => WIDTHS[Math.floor(next() * WIDTHS.length)] ?? 4),
    execution: 'int8',
  }));
};

export const mixFigures: BenchPart = async ({ model, parent, feeds }) => {
  const components = componentsOf(prepareModel(model));
  const options = { feeds, reduceRange: true };
  const uniform = await quantizeModel(model, {
    ...options,
    allocation: uniformAllocation(components, 8, 'int8'),
  });
  const allocation = randomMixture(components, 1);
  const known = { ...options, allocation, ranges: uniform.ranges };
  const mixed = await quantizeModel(model, known);
  const twin = await quantizeModel(model, { ...known, unpacked: true });
  const [plain, packed, unpacked] = [uniform, mixed, twin].map((made) => writeModel(made.model));
  if (plain === undefined || packed === undefined || unpacked === undefined) throw new Error('three models');
  // The outputs leave the integers by scales of their own: the finest is what one step is worth at least.
  const steps = mixed.components.flatMap(({ grid }) => (grid === undefined ? [] : [grid.scale]));
  const step = Math.min(...steps);
  let [worst, compared] = [0, 0];
  await withSession(packed, {}, (one) =>
    withSession(unpacked, {}, async (other) => {
      for await (const feed of feeds()) {
        if (compared++ === COMPARED) break;
        const [a, b] = [await one.run(feed), await other.run(feed)];
        for (const [name, { data }] of Object.entries(a)) {
          const others = b[name]?.data;
          data.forEach((value: number | bigint, i: number) => {
            worst = Math.max(worst, Math.abs(Number(value) - Number(others?.[i])) / step);
          });
        }
      }
    }),
  );
  const { name, width, height } = parent.manifest.detector.input;
  const times = await withArtifact(parent, plain, ({ modelPath: first }) =>
    withArtifact(parent, packed, ({ modelPath: second }) =>
      timeModels([first, second], {
        input: { name, dims: [1, 3, height, width] },
        rounds: ROUNDS,
        limitMs: LIMIT_MS,
      }),
    ),
  );
  const [before = [], after = []] = times;
  const graph = plain.length - uniform.impliedBytes;
  const error = packed.length / (mixed.impliedBytes + graph) - 1;
  return [
    census('mix.averageBits', 'bits', averageBits(components, allocation), 1),
    census('mix.maxOutputLsb', 'LSB', worst, Math.min(compared, COMPARED)),
    { name: 'mix.latencyRatio', unit: 'ratio', ...latencyRatio(before, after), runs: after.length },
    census('mix.bytesError', 'ratio', Math.abs(error), 1),
  ];
};
