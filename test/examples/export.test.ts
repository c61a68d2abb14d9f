import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDataSet } from '../../src/evaluation/index.js';
import { type ExportOptions, exportExamples, exportPictures } from '../../src/examples/index.js';
import { decodeImageFile, type RgbImage } from '../../src/vision/index.js';
import { example, folderOf, openLibrary } from './parts.js';

const pixel = ({ data, width }: RgbImage, x: number, y: number): number => data[3 * (y * width + x)] ?? -1;
const near = (t: Test, actual: number, expected: number): void => {
  t.ok(Math.abs(actual - expected) <= 12, `${actual} is about ${expected}`);
};

/** Three examples: labelled by an operator (with another vehicle in view), presumed by the track, and of neither. */
const fill = async (t: Test) => {
  const { library } = await openLibrary(t, folderOf(t));
  const other = { x1: 32, y1: 2, x2: 45, y2: 12, className: 'bus', score: 0.7 };
  const presumed = { className: 'car', source: 'track', confidence: 0.8 } as const;
  const [labelled, , , none] = await library.add([
    example({ takenMs: 4000, others: [other] }),
    example({ takenMs: 3000, presumed }),
    example({ takenMs: 2000 }),
    example({ takenMs: 1000 }),
  ]);
  library.label(labelled?.id ?? '', { className: 'truck' });
  library.label(none?.id ?? '', { className: null });
  const out = folderOf(t);
  const source = { all: () => library.all(), picture: (id: string) => library.picture(id) };
  const write = (name: string, options: Partial<ExportOptions>) =>
    exportExamples(source, {
      layout: 'yolo',
      folder: join(out, name),
      sources: ['operator'],
      crops: false,
      ...options,
    });
  return { library, out, write, id: labelled?.id ?? '', none: none?.id ?? '' };
};

t.test('YOLO: opens as a data set; vehicles are where and as large as in the frame', async (t) => {
  const { out, write, id } = await fill(t);
  t.match(await write('yolo', {}), {
    pictures: 2,
    classes: ['truck'],
    unlabelled: 2,
    sources: { operator: 2, track: 0 },
  });
  const set = openDataSet(join(out, 'yolo'));
  t.same(set.classes, ['truck']);
  t.equal(set.images.length, 2);
  const at = set.images.findIndex(({ path }) => path.includes(id));
  const labels = await set.load(at);
  t.match(labels, { width: 200, height: 150 });
  const [object] = labels.objects;
  t.equal(labels.objects.length, 1);
  for (const [actual, expected] of [
    [object?.x1, 110],
    [object?.y1, 60],
    [object?.x2, 130],
    [object?.y2, 80],
  ] as const) {
    t.ok(Math.abs((actual ?? 0) - expected) < 0.01);
  }
  const picture = await decodeImageFile(set.images[at]?.path ?? '');
  near(t, pixel(picture, 120, 70), 90);
  near(t, pixel(picture, 20, 20), 114);
  near(t, pixel(picture, 137, 57), 114);
  t.same((await set.load(1 - at)).objects, [], 'what is no vehicle is a picture without objects');
});

t.test('pictures alone: all of them, with everything that was seen, and no labels', async (t) => {
  const { library, out } = await fill(t);
  const source = { all: () => library.all(), picture: (id: string) => library.picture(id) };
  const folder = join(out, 'pictures');
  t.match(await exportPictures(source, { folder }), { pictures: 4, classes: ['bus', 'car', 'truck'] });
  const set = openDataSet(folder, { split: 'train' });
  t.equal(set.images.length, 4);
  for (const [index, { path }] of set.images.entries()) {
    t.same((await set.load(index)).objects, []);
    const picture = await decodeImageFile(path);
    t.match(picture, { width: 200, height: 150 });
    near(t, pixel(picture, 137, 57), 90);
  }
  await t.rejects(exportPictures(source, { folder }), { code: 'BAD_USAGE', message: /not empty/ });
});

t.test('COCO: other vehicles are regions to ignore', async (t) => {
  const { out, write, id } = await fill(t);
  const exported = await write('coco', { layout: 'coco', sources: ['operator', 'track'], crops: true });
  t.match(exported, {
    pictures: 3,
    classes: ['car', 'truck'],
    unlabelled: 1,
    sources: { operator: 2, track: 1 },
  });
  const set = openDataSet(join(out, 'coco'));
  t.same(set.classes, ['car', 'truck']);
  const at = set.images.findIndex(({ path }) => path.includes(id));
  const { width, height, objects } = await set.load(at);
  t.same([width, height], [40, 40]);
  t.same(
    objects.map(({ crowd, classId, x1, y1, x2, y2 }) =>
      crowd ? [x1, y1, x2, y2] : [classId, x1, y1, x2, y2],
    ),
    [
      [1, 10, 10, 30, 30],
      [32, 2, 40, 12],
    ],
  );
  near(t, pixel(await decodeImageFile(set.images[at]?.path ?? ''), 35, 7), 90);
});

t.test('nothing to export, and a folder that is not empty, are refused', async (t) => {
  const { write, library } = await fill(t);
  await write('full', {});
  await t.rejects(write('full', {}), { code: 'BAD_USAGE', message: /is not empty/ });
  for (const { id } of library.list({ labelled: true })) library.label(id, null);
  await t.rejects(write('none', {}), { code: 'BAD_USAGE', message: /nothing to export: of 4 examples/ });
});
