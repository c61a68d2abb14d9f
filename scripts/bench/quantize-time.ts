// What quantizing takes, beside the forward passes of as many pictures.
import {
  componentsOf,
  edgedAllocation,
  heldFeeds,
  prepareModel,
  quantizeModel,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { withSession } from '../../src/runtime/index.js';
import { medianFigure } from './lib.js';
import type { BenchPart } from './quantize-lib.js';

const ROUNDS = 3;
const WARM_UP = 4;

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

export const timeFigures: BenchPart = async ({ model, parent, feeds }) => {
  const prepared = prepareModel(model);
  const held = await heldFeeds(feeds);
  const passes = (): Promise<number> =>
    withSession(parent.modelPath, {}, async (session) => {
      for (const feed of held.slice(0, WARM_UP)) await session.run(feed);
      return seconds(async () => {
        for (const feed of held) await session.run(feed);
      });
    });
  const int8 = uniformAllocation(componentsOf(prepared), 8, 'int8');
  const four = edgedAllocation(prepared, 4, 'int8');
  const [plain, better]: [number[], number[]] = [[], []];
  // One pass that counts for nothing: code is compiled, pictures come into the file system's memory.
  await quantizeModel(model, { allocation: int8, feeds });
  for (let round = 0; round < ROUNDS; round++) {
    const first = await passes();
    const nearest = await seconds(() => quantizeModel(model, { allocation: int8, feeds }));
    const second = await passes();
    const rounded = await seconds(() => quantizeModel(model, { allocation: four, feeds, rounding: 'gptq' }));
    const third = await passes();
    plain.push((2 * nearest) / (first + second));
    better.push((2 * rounded) / (second + third));
  }
  return [
    medianFigure('calibrate.timeRatio', 'ratio', plain),
    medianFigure('calibrate.betterTimeRatio', 'ratio', better),
  ];
};
