// Heads other than YOLOX: rows mean what the detector makes of them, evaluating alone is exact, and a map comes out with all widths.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Model, writeModel } from '../../src/onnx/index.js';
import { componentsOf, prepareModel } from '../../src/quantization/index.js';
import type { DetectorSpec } from '../../src/registry/index.js';
import { floatTensor, withSession } from '../../src/runtime/index.js';
import { createHead } from '../../src/vision/index.js';
import { Evaluator } from '../../src/significance/evaluator.js';
import { measureSignificance } from '../../src/significance/index.js';
import { rowsOf, takeRows } from '../../src/significance/rows.js';
import { noise } from '../onnx/bits.js';
import { makeFixture, smallSpace } from './fixture.js';
import { naiveOutputs } from './naive.js';
import { perturbed } from './perturbed.js';
import { SIDE, smallDetector, smallGfl, smallSpec, smallYolov8 } from './nets.js';

const folder = t.testdir();
const { pictures } = await makeFixture(folder);
const feedOf = (seed: number) => ({ x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, seed)) });

const HEADS: readonly (readonly [string, { readonly model: Model; readonly spec: DetectorSpec }])[] = [
  ['yolox', { model: smallDetector(), spec: smallSpec }],
  ['yolov8', smallYolov8()],
  ['gfl', smallGfl()],
];
const SCORE = 0.01;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

for (const [name, { model: source, spec }] of HEADS) {
  const model = prepareModel(source);

  t.test(`${name}: rows are what the detector decodes`, async (t) => {
    const outputs = await withSession(writeModel(model), {}, (session) => session.run(feedOf(3)));
    const rows = rowsOf(spec, outputs);
    const all = Array.from({ length: rows.count }, (_, row) => row);
    const raw = takeRows(rows, outputs, all);
    const own = all.flatMap((row) => {
      const { box, objectness, logits } = rows.read(raw, row * rows.columns.length, row);
      return Array.from(logits, (logit, classId) => ({
        ...box,
        classId,
        score: sigmoid(logit) * (rows.hasObjectness ? sigmoid(objectness) : 1),
      }));
    });
    const seen = createHead(spec).decode(outputs, SCORE, undefined, 'all').detections;
    const sure = own.filter(({ score }) => score > SCORE + 1e-6);
    t.ok(sure.length > 20 && Math.abs(seen.length - sure.length) <= 2, `${sure.length} of ${seen.length}`);
    for (const detection of seen.slice(0, 200)) {
      const match = own.find(
        (each) =>
          each.classId === detection.classId &&
          (['x1', 'y1', 'x2', 'y2', 'score'] as const).every(
            (key) => Math.abs(each[key] - detection[key]) <= 1e-3 * (1 + Math.abs(detection[key])),
          ),
      );
      if (match === undefined) t.fail(`no row says ${JSON.stringify(detection)}`);
    }
  });

  t.test(`${name}: alone is exact`, async (t) => {
    const evaluator = await Evaluator.open(model, spec);
    const looks = [{ feed: feedOf(1), rows: [0, 119, 255, 256, 319] }];
    const found = new Map<string, readonly Float32Array[]>();
    try {
      await evaluator.run(looks, {
        perturbations: (component) => perturbed(model, component),
        done: (component, rows) => void found.set(component.name, rows),
      });
      t.equal(found.size, componentsOf(model).length, 'every component is evaluated');
      t.equal(evaluator.isWindowed, name !== 'yolov8');
      for (const component of componentsOf(model)) {
        for (const [variant, perturbation] of perturbed(model, component).entries()) {
          const outputs = await naiveOutputs(model, component, perturbation, feedOf(1));
          const whole = takeRows(evaluator.rows, outputs, looks[0]?.rows ?? []);
          const own = found.get(component.name)?.[variant];
          const isSame = whole.every(
            (value, i) => Math.abs(value - (own?.[i] ?? NaN)) <= 1e-5 * (1 + Math.abs(value)),
          );
          t.ok(isSame, `${component.name}, ${perturbation.kind}`);
        }
      }
    } finally {
      await evaluator.release();
    }
  });

  t.test(`${name}: a map with 2, 4 and 8 bits`, async (t) => {
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, writeModel(source));
    const { map } = await measureSignificance({
      model: { id: 'c'.repeat(64), path, detector: spec },
      data: { name: 'noise', split: 'train' },
      pictures,
      space: smallSpace,
      pairs: [[0, 1]],
      bits: [2, 4, 8],
      calibration: { feeds: () => [feedOf(50), feedOf(51)], key: name },
      cache: join(folder, `cache-${name}`),
    });
    const sum = (bits: '2' | '4' | '8'): number =>
      Object.values(map.components).reduce(
        (all, { weights }) => all + (weights[bits]?.robust.divergence.mean ?? NaN),
        0,
      );
    t.ok(sum('2') > sum('4') && sum('4') > sum('8') && sum('8') > 0, `${sum('2')} ${sum('4')} ${sum('8')}`);
    t.same(Object.keys(map.reliability.activations), ['2', '4', '8']);
  });
}
