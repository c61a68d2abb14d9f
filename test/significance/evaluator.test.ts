// Evaluating a component alone is exact: the same rows as from the whole network, whatever is cut, kept and shared.
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type Model, readModel } from '../../src/onnx/index.js';
import {
  type Component,
  componentsOf,
  heldFeeds,
  pictureFeeds,
  prepareModel,
} from '../../src/quantization/index.js';
import { type DetectorSpec, detectorSpecSchema } from '../../src/registry/index.js';
import { openDataSet } from '../../src/evaluation/index.js';
import { floatTensor } from '../../src/runtime/index.js';
import type { Look } from '../../src/significance/chunk.js';
import { Evaluator } from '../../src/significance/evaluator.js';
import { takeRows } from '../../src/significance/rows.js';
import { noise, numbers } from '../onnx/bits.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { naiveOutputs } from './naive.js';
import { perturbed } from './perturbed.js';
import { SIDE, smallDetector, smallSpec } from './nets.js';

/** Runs both ways over `looks`; returns the largest difference, and how far the perturbations moved anything. */
const compare = async (
  t: Test,
  model: Model,
  spec: DetectorSpec,
  looks: readonly Look[],
  options: { readonly windows: boolean; readonly only?: (component: Component) => boolean },
): Promise<{ components: number; worst: number; moved: number; isWindowed: boolean }> => {
  const evaluator = await Evaluator.open(model, spec, { windows: options.windows });
  const found = new Map<string, readonly Float32Array[]>();
  let [worst, moved] = [0, 0];
  try {
    const plain = await evaluator.plain(looks);
    await evaluator.run(looks, {
      perturbations: (component) => (options.only?.(component) === false ? [] : perturbed(model, component)),
      done: (component, rows, errors) => {
        t.equal(errors.length, rows.length, `${component.name}: errors of each perturbation`);
        found.set(component.name, rows);
      },
    });
    for (const component of componentsOf(model)) {
      const rows = found.get(component.name);
      if (rows === undefined) continue;
      for (const [variant, perturbation] of perturbed(model, component).entries()) {
        let at = 0;
        for (const { feed, rows: wanted } of looks) {
          const outputs = await naiveOutputs(model, component, perturbation, feed);
          for (const value of takeRows(evaluator.rows, outputs, wanted)) {
            const own = rows[variant]?.[at] ?? NaN;
            const scale = 1 + Math.abs(value);
            if (!(Math.abs(own - value) / scale <= worst)) worst = Math.abs(own - value) / scale;
            moved = Math.max(moved, Math.abs(value - (plain[at] ?? NaN)) / scale);
            at++;
          }
        }
        t.equal(rows[variant]?.length, at, `${component.name}: as many values`);
      }
    }
  } finally {
    await evaluator.release();
  }
  return { components: found.size, worst, moved, isWindowed: evaluator.isWindowed };
};

const ROWS = 16 * 16 + 8 * 8;
/** Corners, edges and middles of both maps. */
const PLACES = [0, 15, 119, 240, 255, 256, 263, 284, 312, 319];

const lookAt = (seed: number, rows: readonly number[]): Look => ({
  feed: { x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, seed)) },
  rows,
});

t.test('heads around the rows only, and whole', async (t) => {
  const model = prepareModel(smallDetector());
  const looks = [lookAt(1, PLACES), lookAt(2, [7, 300]), lookAt(3, [])];
  for (const windows of [true, false]) {
    const result = await compare(t, model, smallSpec, looks, { windows });
    t.equal(result.isWindowed, windows);
    t.equal(result.components, componentsOf(model).length, 'every component is evaluated');
    t.ok(result.worst <= 1e-5, `differs by ${result.worst} at most`);
    t.ok(result.moved > 0.1, `something moved: ${result.moved}`);
  }
});

t.test('rows that cannot be traced: the whole network, and as exact', async (t) => {
  const model = prepareModel(smallDetector(true));
  const result = await compare(t, model, smallSpec, [lookAt(4, PLACES)], { windows: true });
  t.equal(result.isWindowed, false);
  t.equal(result.components, componentsOf(model).length);
  t.ok(result.worst <= 1e-5, `differs by ${result.worst} at most`);
});

t.test('any rows of any pictures', async (t) => {
  const model = prepareModel(smallDetector());
  const row = fc.integer({ min: 0, max: ROWS - 1 });
  const looks = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e6 }), fc.array(row, { maxLength: 6 })), {
    minLength: 1,
    maxLength: 3,
  });
  const components = componentsOf(model);
  await fc.assert(
    fc.asyncProperty(looks, fc.integer({ min: 0, max: components.length - 1 }), async (chosen, which) => {
      const given = chosen.map(([seed, rows]) => lookAt(seed, rows));
      const only = (component: Component): boolean => component.name === components[which]?.name;
      const result = await compare(t, model, smallSpec, given, { windows: true, only });
      t.equal(result.components, 1);
      return result.worst <= 1e-5;
    }),
    { numRuns: 12 },
  );
});

const absent = skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') || skipWithout('highway');

t.test('YOLOX-nano', { skip: absent }, async (t) => {
  const model = prepareModel(readModel(requireData('models', 'yolox-nano', 'yolox_nano.onnx')));
  const spec = detectorSpecSchema.parse({
    input: { name: 'images', width: 416, height: 416, colourOrder: 'bgr', letterbox: 'top-left' },
    head: { type: 'yolox', output: 'output' },
    classes: Array.from({ length: 80 }, (_, i) => `class ${i}`),
  });
  const data = openDataSet(requireData('highway'), { split: 'train', limit: 4 });
  const feeds = await heldFeeds(pictureFeeds(data, spec.input, 2));
  const looks = feeds.map((feed, i) => ({ feed, rows: [17 + i, 1300, 2900, 3370, 3400, 3548 - i] }));
  const next = numbers(5);
  const chosen = new Set(componentsOf(model).flatMap(({ name }) => (next() < 0.1 ? [name] : [])));
  const only = (component: Component): boolean => chosen.has(component.name);
  const result = await compare(t, model, spec, looks, { windows: true, only });
  t.equal(result.isWindowed, true);
  t.equal(result.components, chosen.size);
  t.ok(result.components >= 4, `${result.components} components`);
  t.ok(result.worst <= 1e-4, `differs by ${result.worst} at most`);
  t.ok(result.moved > 0.01, `something moved: ${result.moved}`);
});
