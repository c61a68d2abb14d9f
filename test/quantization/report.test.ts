// Layer by layer: how far a quantized model is from the original, and what rounding with feedback is worth.
import t from 'tap';
import {
  allocate,
  componentsOf,
  layerReport,
  prepareModel,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { noiseFeeds, quantized } from './helpers.js';
import { tinyNets } from './nets.js';

t.test('fp32 layers before any int8 one are untouched; int8 ones are close', async (t) => {
  for (const { name, model } of tinyNets()) {
    const components = componentsOf(prepareModel(model));
    const feeds = await noiseFeeds(model);
    const allocation = allocate(components, (_, i) =>
      i === 0 ? { bits: 32, execution: 'fp32' } : { bits: 8, execution: 'int8' },
    );
    const made = await quantized(model, allocation, { feeds });
    const report = await layerReport(made.prepared, made, feeds);
    t.same(
      report.map(({ component }) => component),
      components.map((component) => component.name),
    );
    const [first, ...others] = report.map(({ sqnr }) => sqnr);
    t.ok((first ?? 0) > 100, `${name}: ${first ?? 0} dB`);
    t.ok(
      others.every((sqnr) => sqnr > 25 && sqnr < 90),
      `${name}: ${others.map((sqnr) => sqnr.toFixed(1)).join(' ')}`,
    );
  }
});

t.test('at 4 bits rounding with feedback is better than nearest at the output', async (t) => {
  let gain = 0;
  const nets = tinyNets();
  for (const { name, model } of nets) {
    const components = componentsOf(prepareModel(model));
    const feeds = await noiseFeeds(model, 12);
    const allocation = uniformAllocation(components, 4, 'fp32');
    const last = async (rounding: 'nearest' | 'gptq'): Promise<number> => {
      const made = await quantized(model, allocation, { feeds, rounding });
      return (await layerReport(made.prepared, made, feeds)).at(-1)?.sqnr ?? 0;
    };
    const [nearest, feedback] = [await last('nearest'), await last('gptq')];
    t.comment(`${name}: ${nearest.toFixed(1)} dB to nearest, ${feedback.toFixed(1)} dB with feedback`);
    gain += feedback - nearest;
  }
  t.ok(gain / nets.length > 1, `${(gain / nets.length).toFixed(1)} dB on average`);
});
