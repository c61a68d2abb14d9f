// Layers rounded alone come out as where nothing else is rounded: the same codes, the same biases.
import t from 'tap';
import { allocate, componentsOf, prepareModel, roundWeights } from '../../src/quantization/index.js';
import { floatTensor } from '../../src/runtime/index.js';
import { makePerturbations } from '../../src/significance/perturb.js';
import { noise } from '../onnx/bits.js';
import { SIDE, smallDetector } from './nets.js';

const model = prepareModel(smallDetector());
const components = componentsOf(model);
const feeds = () =>
  [1, 2, 3].map((seed) => ({ x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, seed)) }));

t.test('the same as one layer rounded in a network of FP32', async (t) => {
  const all = await makePerturbations(model, { rounding: 'gptq', bits: [2], feeds });
  let moved = 0;
  for (const component of components.filter((_, index) => index % 5 === 1)) {
    const { name } = component;
    const only = allocate(components, (each) => ({
      bits: each.name === name ? 2 : 32,
      execution: 'fp32',
    }));
    const one = await roundWeights(model, only, feeds, { rounding: 'gptq' });
    const layer = all.weights.get(name)?.get(2);
    const codes = one.weights.get(name)?.codes ?? new Int8Array(0);
    const scales = one.weights.get(name)?.grids.map(({ scale }) => scale) ?? [];
    const row = codes.length / scales.length;
    const expected = Float32Array.from(codes, (code, i) => code * (scales[Math.floor(i / row)] ?? NaN));
    t.same(layer?.weights, expected, name);
    const after = componentsOf(one.model).find((each) => each.name === name);
    const bias = one.model.graph.value(after?.bias ?? '')?.constant;
    t.same(layer?.bias, bias?.kind === 'dense' ? bias.data : undefined, `${name}: bias`);
    const before = model.graph.value(component.bias ?? '')?.constant;
    if (before?.kind === 'dense' && String(before.data) !== String(layer?.bias)) moved++;
  }
  t.ok(moved > 0, 'biases were corrected');
});

t.test('every layer has weights and a grid for its input', async (t) => {
  const { weights, inputs } = await makePerturbations(model, { rounding: 'nearest', bits: [4, 8], feeds });
  for (const { name } of components) {
    const [coarse, fine] = [weights.get(name)?.get(4), weights.get(name)?.get(8)];
    t.ok((fine?.relativeError ?? NaN) < (coarse?.relativeError ?? NaN), `${name}: more bits, less error`);
    t.equal(inputs.get(name)?.get(4)?.bits, 4);
  }
});
