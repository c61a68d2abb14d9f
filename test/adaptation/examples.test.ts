// Hard examples as a job's pictures: some to tune on, others to judge by, never the same.
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { exampleMaterial, isHeld } from '../../src/adaptation/job/examples.js';
import { openDataSet } from '../../src/evaluation/index.js';
import { NO_VEHICLE } from '../../src/examples/index.js';
import { openSource } from '../../src/training/data/labelled.js';
import { NOTHING } from '../../src/training/loss/targets.js';
import { example, folderOf, openLibrary } from '../examples/parts.js';

const COUNT = 40;

t.test('what operators labelled is judged by where it is enough', async (t) => {
  const stateDir = folderOf(t);
  const { library } = await openLibrary(t, stateDir);
  const presumed = { className: 'car', source: 'track', confidence: 0.8 } as const;
  const added = await library.add(
    Array.from({ length: COUNT }, (_, i) => example({ takenMs: 1_000 * (i + 1), presumed })),
  );
  t.equal(added.length, COUNT);
  const held = added.filter(isHeld);
  t.ok(held.length > 3 && held.length < COUNT - 3, `${held.length} of ${COUNT} are held`);
  for (const { id } of added.slice(0, 30)) library.label(id, { className: 'truck' });
  const labelled = held.filter(({ id }) => added.slice(0, 30).some((one) => one.id === id));
  const folder = join(folderOf(t), 'material');
  const options = { stateDir, most: 1_000, folder };
  const made = await exampleMaterial({ ...options, minPictures: labelled.length });
  const idsOf = (path: string): string[] =>
    openDataSet(path, { split: 'train' }).images.map((image) => basename(image.path, '.jpg'));
  const [tuned, judged] = [idsOf(made.tuning), idsOf(made.validation ?? '')];
  t.equal(tuned.length, COUNT - held.length);
  t.same(new Set(judged), new Set(labelled.map(({ id }) => id)), 'presumed labels judge nothing');
  t.same(
    tuned.filter((id) => judged.includes(id)),
    [],
  );
  t.equal(readdirSync(made.frames).length, held.length);
  t.same(openDataSet(made.tuning, { split: 'train' }).classes, ['car', 'truck']);
  t.equal(made.labelled, true, 'most have a word');
  const learned = idsOf(made.learned ?? '');
  t.same(
    learned.filter((id) => !tuned.includes(id) || library.get(id).label === null),
    [],
    'only what operators said is learned as true',
  );
  t.equal(idsOf(made.pictures).length, tuned.length);
  for (const id of learned) library.label(id, { className: null });
  const nothing = await exampleMaterial({ ...options, minPictures: labelled.length });
  const set = openDataSet(nothing.learned ?? '', { split: 'train' });
  t.same(set.classes, [NO_VEHICLE]);
  const source = openSource({
    path: nothing.learned ?? '',
    split: 'train',
    classes: ['car', 'truck'],
    nothing: NO_VEHICLE,
  });
  t.equal(source.count, learned.length);
  const { objects, ignored } = await source.at(0);
  t.same([objects.map(({ classId }) => classId), ignored.length], [[NOTHING], 0], 'learned as nothing');
  for (const id of learned) library.label(id, { className: 'truck' });
  t.same(
    new Set([...learned, ...readdirSync(made.others ?? '').map((name) => basename(name, '.jpg'))]),
    new Set(tuned),
    'of the others the FP32 model has the word',
  );
  t.equal(readdirSync(made.others ?? '').length, tuned.length - learned.length);
  const few = await exampleMaterial({ ...options, minPictures: labelled.length + 1 });
  t.equal(few.validation, undefined, 'too few labels judge nothing');
  t.notOk(existsSync(join(folder, 'validation')), 'what was there is gone');
  const scarce = await exampleMaterial({ ...options, most: 30, minPictures: labelled.length });
  t.same(
    new Set(idsOf(scarce.validation ?? '')),
    new Set(labelled.map(({ id }) => id)),
    'labelled ones first',
  );
  t.equal(library.size.examples, COUNT, 'the library is as it was');
});

t.test('without a word of anybody there are pictures, and what the model was in doubt about', async (t) => {
  const stateDir = folderOf(t);
  const { library } = await openLibrary(t, stateDir);
  await library.add(
    Array.from({ length: COUNT }, (_, i) =>
      example({ takenMs: 1_000 * (i + 1), pair: i % 8 === 0 ? 'bus:car' : 'car:truck' }),
    ),
  );
  const folder = join(folderOf(t), 'material');
  const made = await exampleMaterial({ stateDir, most: 1_000, folder, minPictures: 5 });
  t.equal(made.labelled, false);
  t.equal(made.learned, undefined);
  t.ok(existsSync(made.others ?? ''));
  t.equal(made.validation, undefined);
  t.same(made.doubts, [['car', 'truck']], 'the rare one is left');
  const set = openDataSet(made.tuning, { split: 'train' });
  t.ok(set.images.length > 10 && set.images.length < COUNT);
  t.same(set.classes, ['bus', 'car', 'truck']);
  t.equal(set.images.length + readdirSync(made.frames).length, COUNT, 'the others are judged by');
});

t.test('no examples are no data set', async (t) => {
  const stateDir = folderOf(t);
  await openLibrary(t, stateDir);
  await t.rejects(
    exampleMaterial({ stateDir, most: 10, minPictures: 1, folder: join(stateDir, 'material') }),
    { code: 'BAD_DATASET', message: /0 hard examples are too few/ },
  );
});
