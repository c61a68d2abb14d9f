// What a teacher is sure to see becomes a label: on the simulated road, where the truth is known, and in a run without any label.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDataSet } from '../../../src/evaluation/index.js';
import { readModel } from '../../../src/onnx/index.js';
import { readArtifactFolder } from '../../../src/registry/index.js';
import { writeDataSet } from '../../../src/scene/index.js';
import { packageRoot } from '../../../src/system/index.js';
import { FINE_TUNING_AUGMENTATION, trainDetector } from '../../../src/training/index.js';
import { keptLabels, presumeLabels } from '../../../src/training/data/presumed.js';
import { openSource } from '../../../src/training/data/unlabelled.js';
import { iou } from '../../../src/vision/index.js';

const parent = await readArtifactFolder(join(packageRoot, 'models', 'bitlane-scene'));
const { detector } = parent.manifest;
const teacher = readModel(parent.modelPath);
const PICTURES = 6;

const road = async (t: Test) => {
  const folder = join(t.testdir(), 'road');
  await writeDataSet({
    folder,
    pictures: PICTURES,
    seed: 4712,
    width: 640,
    height: 384,
    shares: [1, 0, 0],
  });
  return openDataSet(folder, { split: 'train' });
};

t.test('labels that are presumed lie on objects that are there', async (t) => {
  const dataSet = await road(t);
  const folder = join(t.testdirName, 'road');
  const presumed = await presumeLabels(teacher, detector, { folder });
  t.equal(Object.keys(presumed).length, PICTURES);
  let [sure, right, least] = [0, 0, 1];
  for (const [index, { path }] of dataSet.images.entries()) {
    const { objects } = await dataSet.load(index);
    const labels = presumed[path];
    if (labels === undefined) throw new Error(`${path} has no labels`);
    for (const label of labels.objects) {
      sure += 1;
      least = Math.min(least, label.weight);
      if (objects.some((object) => iou(object, label) > 0.5)) right += 1;
    }
  }
  t.ok(sure > PICTURES, `${sure} objects`);
  t.ok(right >= 0.8 * sure, `${right} of ${sure} are there`);
  t.ok(least >= 0.4, 'each counts as much as the teacher is sure');

  const source = openSource({ folder, presumed });
  const sample = await source.at(0);
  const [first = ''] = Object.keys(presumed);
  t.strictSame({ objects: sample.objects, ignored: sample.ignored }, presumed[first]);
});

t.test('they are found once, and a file that is none is refused', async (t) => {
  const file = join(t.testdir(), 'presumed.json');
  const labels = {
    'a.jpg': { objects: [{ x1: 0, y1: 0, x2: 2, y2: 2, classId: 1, weight: 0.5 }], ignored: [] },
  };
  t.strictSame(await keptLabels(file, () => Promise.resolve(labels)), labels);
  t.strictSame(await keptLabels(file, () => Promise.reject(new Error('asked again'))), labels);
  writeFileSync(file, '{"a.jpg": 1}');
  await t.rejects(
    keptLabels(file, () => Promise.resolve(labels)),
    { code: 'BAD_DATASET', message: /presumed\.json holds no presumed labels: remove it/ },
  );
});

t.test('a run without labels learns from them', async (t) => {
  await road(t);
  const folder = join(t.testdirName, 'run');
  const options = {
    model: teacher,
    detector,
    unlabelled: { folder: join(t.testdirName, 'road') },
    teacher,
    steps: 2,
    batch: 2,
    learningRate: 1e-4,
    weightDecay: 0,
    seed: 1,
    augmentation: FINE_TUNING_AUGMENTATION,
  };
  const { history } = await trainDetector({ ...options, presume: true, folder });
  const file = join(folder, 'presumed.json');
  t.ok(
    existsSync(file) && readFileSync(file, 'utf8').includes('weight'),
    'they are kept beside the checkpoint',
  );
  for (const { parts } of history.steps) {
    t.ok((parts['positives'] ?? 0) > 0, 'cells answer for objects');
    t.type(parts['teacher class'], 'number', "the teacher's own word counts besides");
  }
  const plain = await trainDetector(options);
  t.equal(plain.history.steps[0]?.parts['positives'], undefined);
});
