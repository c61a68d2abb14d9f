// Training begins with the codes that rounding found.
import t from 'tap';
import {
  componentsOf,
  prepareModel,
  roundWeights,
  uniformAllocation,
} from '../../../src/quantization/index.js';
import { startFromCodes, stepSizeName, trainedCodes } from '../../../src/training/index.js';
import { noise } from '../../onnx/bits.js';
import { floatTensor } from '../../../src/runtime/index.js';
import { SIDE, smallModel } from '../small.js';

t.test('fake quantization gives the codes of the rounding again', async (t) => {
  const model = prepareModel(smallModel());
  for (const bits of [8, 4, 2] as const) {
    const allocation = uniformAllocation(componentsOf(model), bits, 'fp32');
    const feeds = () =>
      [1, 2, 3].map((seed) => ({ image: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, seed)) }));
    const rounded = await roundWeights(model, allocation, feeds, { rounding: 'gptq' });
    const start = startFromCodes(rounded.model, allocation, rounded.weights);
    const codes = await trainedCodes(start.model, { allocation, stepSizes: start.stepSizes });
    let compared = 0;
    for (const [name, { codes: own, grids }] of rounded.weights) {
      if (!start.stepSizes.has(stepSizeName(name))) continue;
      compared += 1;
      t.same(codes.get(name)?.codes, own, `${name} at ${bits} bits`);
      t.same(
        codes.get(name)?.grids.map(({ scale }) => Math.fround(scale)),
        grids.map(({ scale }) => Math.fround(scale)),
      );
    }
    t.equal(compared, 3, 'all but the one whose channels come second');
  }
});
