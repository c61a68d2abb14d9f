// Data sets on disk: both layouts, what is refused and how, and the public one where it is there.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { BitlaneError } from '../../src/errors.js';
import { openDataSet } from '../../src/evaluation/index.js';
import { parseLabelRows } from '../../src/evaluation/yolo-labels.js';
import { requireData, skipWithout } from '../helpers/data.js';

const jpeg = (width = 40, height = 20, orientation?: number): Promise<Buffer> => {
  const picture = sharp({ create: { width, height, channels: 3, background: '#808080' } }).jpeg();
  return (orientation === undefined ? picture : picture.withMetadata({ orientation })).toBuffer();
};

const lay = (t: Test, files: Readonly<Record<string, string | Buffer>>): string => {
  const root = t.testdir();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
};

const refused = (t: Test, work: () => unknown, pattern: RegExp, code = 'BAD_DATASET'): void => {
  try {
    work();
    t.fail(`should have been refused: ${pattern.source}`);
  } catch (error) {
    t.ok(error instanceof BitlaneError && error.code === code, String(error));
    t.match(String(error), pattern);
  }
};

const YAML = 'train: train/images\nval: valid/images\nnames: [bus, car, truck]\nnc: 3\n';

t.test('YOLO layout: pictures, boxes, polygons, missing labels', async (t) => {
  const picture = await jpeg(40, 20);
  const root = lay(t, {
    'data.yaml': YAML,
    'valid/images/b.jpg': picture,
    'valid/images/a.jpg': picture,
    'valid/images/deeper/c.PNG': await sharp(picture).png().toBuffer(),
    'valid/images/.hidden.jpg': picture,
    'valid/images/notes.txt': 'no picture',
    'valid/labels/a.txt': '1 0.5 0.5 0.5 0.5\r\n\r\n2 0.1 0.2 0.5 0.2 0.5 0.8\n',
    'valid/labels/deeper/c.txt': '0.0 0.9 0.5 0.4 1\n0 0.9 0.5 0.4 1\n1 0.5 0.5 0 0.3\n',
  });
  const data = openDataSet(root);
  t.match(data, { split: 'val', classes: ['bus', 'car', 'truck'] });
  t.same(
    data.images.map(({ id }) => id),
    ['valid/images/a.jpg', 'valid/images/b.jpg', 'valid/images/deeper/c.PNG'],
  );
  t.same(await data.load(0), {
    width: 40,
    height: 20,
    objects: [
      { classId: 1, crowd: false, x1: 10, y1: 5, x2: 30, y2: 15 },
      { classId: 2, crowd: false, x1: 4, y1: 4, x2: 20, y2: 16 },
    ],
  });
  t.same((await data.load(1)).objects, []);
  t.match(
    (await data.load(2)).objects,
    [{ classId: 0, x1: 28, y1: 0, x2: 40, y2: 20 }],
    'clipped to the picture, once',
  );
  t.match(data.notes, [
    /1 of 3 pictures have no label file/,
    /1 label rows repeat/,
    /1 label rows have no area/,
  ]);
  t.equal(openDataSet(join(root, 'data.yaml'), { limit: 2 }).images.length, 2);
  await t.rejects(data.load(3), RangeError);
  refused(t, () => openDataSet(root, { split: 'test' }), /no split test \(it has train, val\)/);
  refused(t, () => openDataSet(root, { split: 'train' }), /neither a folder nor a \.txt list/);
});

t.test('pictures on their side are measured upright', async (t) => {
  const root = lay(t, {
    'data.yaml': 'val: images\nnames: {0: car}\n',
    'images/a.jpg': await jpeg(40, 20, 6),
    'labels/a.txt': '0 0.5 0.5 1 0.5\n',
  });
  t.same(await openDataSet(root).load(0), {
    width: 20,
    height: 40,
    objects: [{ classId: 0, crowd: false, x1: 0, y1: 10, x2: 20, y2: 30 }],
  });
});

t.test('splits as lists of folders, as .txt lists, and as Roboflow writes them', async (t) => {
  const picture = await jpeg();
  const files = {
    'data.yaml': 'val: [one/images, two/images]\ntest: lists/test.txt\nnames: [car]\n',
    'roboflow.yaml': 'train: ../train/images\nval: ../one/images\nnames: [car]\n',
    'below.yaml': 'path: two\nval: images\nnames: [car]\n',
    'one/images/a.jpg': picture,
    'one/labels/a.txt': '0 0.5 0.5 0.5 0.5',
    'two/images/b.jpg': picture,
    'two/labels/b.txt': '0 0.5 0.5 0.5 0.5',
    'lists/test.txt': '../two/images/b.jpg\n\none/images/a.jpg\n',
  };
  const root = lay(t, files);
  const ids = (...args: Parameters<typeof openDataSet>): string[] =>
    openDataSet(...args).images.map(({ id }) => id);
  t.same(ids(root), ['one/images/a.jpg', 'two/images/b.jpg']);
  t.same(ids(root, { split: 'test' }), ['two/images/b.jpg', 'one/images/a.jpg']);
  t.same(ids(join(root, 'roboflow.yaml')), ['one/images/a.jpg']);
  t.same(ids(join(root, 'below.yaml')), ['two/images/b.jpg']);
});

t.test('paths that lead out of the data set are refused', async (t) => {
  const picture = await jpeg();
  const root = lay(t, {
    'elsewhere/images/a.jpg': picture,
    'elsewhere/labels/a.txt': '0 0.5 0.5 0.5 0.5',
    'set/images/b.jpg': picture,
    'set/labels/b.txt': '',
    'set/list.txt': '../elsewhere/images/a.jpg\n',
  });
  const yaml = (text: string): string => {
    const path = join(root, 'set', 'data.yaml');
    writeFileSync(path, `${text}\nnames: [car]\n`);
    return path;
  };
  const rule = /lies outside the data set's folder/;
  refused(t, () => openDataSet(yaml('val: ../elsewhere/images')), rule);
  refused(t, () => openDataSet(yaml(`val: ${join(root, 'elsewhere/images')}`)), rule);
  refused(t, () => openDataSet(yaml('path: ..\nval: elsewhere/images')), rule);
  refused(t, () => openDataSet(yaml('path: images/../../elsewhere\nval: images')), rule);
  refused(t, () => openDataSet(yaml('val: list.txt')), rule);
  refused(t, () => openDataSet(yaml('val: "images\\0"')), rule);
  t.equal(openDataSet(yaml(`val: ${join(root, 'set/images')}`)).images.length, 1, 'absolute, but inside');
  symlinkSync(join(root, 'elsewhere', 'images'), join(root, 'set', 'linked'));
  t.equal(
    openDataSet(yaml('val: [images, linked]')).images.length,
    2,
    'a link that someone put there is followed',
  );
});

t.test('a malformed data.yaml', async (t) => {
  const root = lay(t, { 'images/a.jpg': await jpeg(), 'labels/a.txt': '' });
  const yaml = (text: string): string => {
    const path = join(root, 'data.yaml');
    writeFileSync(path, text);
    return path;
  };
  refused(t, () => openDataSet(yaml('val: [')), /is not YAML/);
  refused(t, () => openDataSet(yaml('')), /missing or malformed/);
  refused(t, () => openDataSet(yaml('val: images')), /names is missing/);
  refused(t, () => openDataSet(yaml('val: images\nnames: []')), /names is missing/);
  refused(t, () => openDataSet(yaml('val: images\nnames: {0: car, 2: bus}')), /without a gap/);
  refused(t, () => openDataSet(yaml('val: images\nnames: {car: 0}')), /names is missing or malformed/);
  refused(t, () => openDataSet(yaml('val: images\nnames: [car]\nnc: 2')), /nc is 2, and names has 1/);
  refused(t, () => openDataSet(yaml('val: 7\nnames: [car]')), /val is missing or malformed/);
  refused(t, () => openDataSet(yaml('names: [car]')), /no split val \(it has none\)/);
  refused(t, () => openDataSet(yaml('val: labels\nnames: [car]')), /holds no pictures/);
  refused(t, () => openDataSet(join(root, 'absent')), /does not exist/);
  refused(t, () => openDataSet(join(root, 'images', 'a.jpg')), /neither a data\.yaml nor a COCO/);
  refused(t, () => openDataSet(join(root, 'images')), /holds no data\.yaml and no COCO/);
});

t.test('a split without any label file is a mistake', async (t) => {
  const root = lay(t, { 'data.yaml': 'val: images\nnames: [car]', 'images/a.jpg': await jpeg() });
  refused(
    t,
    () => openDataSet(root),
    /none of the 1 pictures has a label file \(expected, for example, .*labels\/a\.txt\)/,
  );
});

t.test('malformed label rows name file and line', async (t) => {
  const cases: [string, RegExp][] = [
    ['0 0.5 0.5 0.5', /line 2: a row is a class and 4 numbers .* has 4 fields/],
    ['0 0.5 0.5 0.5 0.5 0.9', /line 2: .* has 6 fields/],
    ['0 0.1 0.1 0.2 0.2 0.3 0.3 0.4', /line 2: .* has 8 fields/],
    ['3 0.5 0.5 0.5 0.5', /line 2: class 3 is not one of the data set's 3 classes/],
    ['-1 0.5 0.5 0.5 0.5', /line 2: class -1/],
    ['1.5 0.5 0.5 0.5 0.5', /line 2: class 1\.5/],
    ['car 0.5 0.5 0.5 0.5', /line 2: "car" is not a number/],
    ['0 0.5 0x1 0.5 0.5', /line 2: "0x1" is not a number/],
    ['0 NaN 0.5 0.5 0.5', /line 2: "NaN" is not a number/],
    ['0 Infinity 0.5 0.5 0.5', /is not a number/],
    ['0 320 240 64 64', /line 2: 320 is outside 0\.\.1/],
    ['0 0.5 0.5 -0.5 0.5', /line 2: -0\.5 is outside/],
    ['0 1e9 0.5 0.5 0.5', /outside/],
  ];
  for (const [row, pattern] of cases) {
    refused(t, () => parseLabelRows(`0 0.5 0.5 0.5 0.5\n${row}\n`, 3, 'labels/a.txt'), pattern);
    refused(t, () => parseLabelRows(`\n${row}`, 3, 'labels/a.txt'), /^BitlaneError: labels\/a\.txt, line 2/);
  }
});

t.test('whatever a label file holds: boxes inside the picture, or one plain error', async (t) => {
  const field = fc.oneof(
    fc.integer({ min: -1, max: 4 }).map(String),
    fc.double({ min: -0.02, max: 1.02, noNaN: true }).map(String),
    fc.string({ maxLength: 5 }),
  );
  const row = fc.array(field, { minLength: 4, maxLength: 9 }).map((fields) => fields.join(' '));
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(row).map((rows) => rows.join('\n')),
          fc.string(),
        ),
        (text) => {
          try {
            return parseLabelRows(text, 4, 'x').boxes.every(
              (box) =>
                box.x1 >= 0 &&
                box.y1 >= 0 &&
                box.x2 <= 1 &&
                box.y2 <= 1 &&
                box.x1 < box.x2 &&
                box.y1 < box.y2,
            );
          } catch (error) {
            return (
              error instanceof BitlaneError &&
              error.code === 'BAD_DATASET' &&
              error.message.startsWith('x, line')
            );
          }
        },
      ),
      { numRuns: 500 },
    ),
  );
});

const coco = (change: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    info: { year: 2017 },
    images: [
      { id: 42, file_name: 'a.jpg', width: 40, height: 20, license: 1 },
      { id: 7, file_name: 'b.jpg', width: 40, height: 20 },
    ],
    categories: [
      { id: 90, name: 'truck', supercategory: 'vehicle' },
      { id: 3, name: 'car' },
    ],
    annotations: [
      { id: 1, image_id: 42, category_id: 90, bbox: [1, 2, 10.5, 4], area: 42, iscrowd: 0, segmentation: [] },
      { id: 2, image_id: 42, category_id: 3, bbox: [0, 0, 40, 20], iscrowd: 1 },
    ],
    ...change,
  });

t.test('COCO JSON: sparse categories, crowds, pictures in the usual places', async (t) => {
  const picture = await jpeg();
  const root = lay(t, {
    'annotations/instances_val2017.json': coco(),
    'val2017/a.jpg': picture,
    'val2017/b.jpg': picture,
    'robo/valid/_annotations.coco.json': coco(),
    'robo/valid/a.jpg': picture,
    'robo/valid/b.jpg': picture,
    'alone/labels.json': coco(),
    'other/a.jpg': picture,
    'other/b.jpg': picture,
  });
  const data = openDataSet(root);
  t.same(data.classes, ['car', 'truck']);
  t.same(data.images, [
    { id: '42', path: join(root, 'val2017/a.jpg') },
    { id: '7', path: join(root, 'val2017/b.jpg') },
  ]);
  t.same(await data.load(0), {
    width: 40,
    height: 20,
    objects: [
      { classId: 1, crowd: false, x1: 1, y1: 2, x2: 11.5, y2: 6 },
      { classId: 0, crowd: true, x1: 0, y1: 0, x2: 40, y2: 20 },
    ],
  });
  t.same((await data.load(1)).objects, []);
  await t.rejects(data.load(2), RangeError);
  t.equal(openDataSet(root, { limit: 1 }).images.length, 1);
  t.equal(openDataSet(join(root, 'robo')).images[0]?.path, join(root, 'robo/valid/a.jpg'));
  const alone = join(root, 'alone/labels.json');
  refused(t, () => openDataSet(alone), /were not found .* name their folder with --images/);
  t.equal(openDataSet(alone, { pictures: join(root, 'other') }).images.length, 2);
});

t.test('COCO JSON: what is refused', async (t) => {
  const root = lay(t, { 'a.jpg': await jpeg(), 'b.jpg': await jpeg() });
  const file = join(root, 'set.json');
  const change = (value: Readonly<Record<string, unknown>>): (() => unknown) => {
    return () => {
      writeFileSync(file, coco(value));
      return openDataSet(file);
    };
  };
  const annotation = { image_id: 42, category_id: 3, bbox: [0, 0, 1, 1] };
  const image = { id: 1, file_name: 'a.jpg', width: 4, height: 4 };
  refused(t, change({ annotations: [{ ...annotation, image_id: 5 }] }), /annotations\.0 belongs to image 5/);
  refused(
    t,
    change({ annotations: [{ ...annotation, category_id: 5 }] }),
    /annotations\.0 belongs to category 5/,
  );
  refused(t, change({ annotations: [{ ...annotation, bbox: [0, 0, 1] }] }), /annotations\.0\.bbox/);
  refused(t, change({ annotations: [{ ...annotation, bbox: [0, 0, -1, 1] }] }), /annotations\.0\.bbox\.2/);
  refused(t, change({ images: [] }), /images/);
  refused(t, change({ images: [image, image], annotations: [] }), /two images share an id/);
  refused(
    t,
    change({
      categories: [
        { id: 3, name: 'car' },
        { id: 3, name: 'bus' },
      ],
    }),
    /two categories share/,
  );
  refused(
    t,
    change({ images: [image, { ...image, id: 2, file_name: '../a.jpg' }], annotations: [] }),
    /lies outside the data set's folder/,
  );
  refused(
    t,
    change({ images: [image, { ...image, id: 2, file_name: 'c.jpg' }], annotations: [] }),
    /names a picture that is not there/,
  );
  writeFileSync(file, '{');
  refused(t, () => openDataSet(file), /is not JSON/);
});

t.test('a file that is no picture is refused when it is asked for', async (t) => {
  const root = lay(t, {
    'data.yaml': 'val: images\nnames: [car]\n',
    'images/a.jpg': 'not a picture',
    'labels/a.txt': '0 0.5 0.5 1 0.5\n',
  });
  await t.rejects(openDataSet(root).load(0), {
    code: 'BAD_DATASET',
    message: /a\.jpg cannot be read as a picture/,
  });
});

t.test('the public highway set', { skip: skipWithout('highway') }, async (t) => {
  const data = openDataSet(requireData('highway'));
  t.equal(data.images.length, 487);
  const counts = new Map<string, number>();
  for (let i = 0; i < data.images.length; i += 1) {
    for (const { classId } of (await data.load(i)).objects) {
      const name = data.classes[classId] ?? '';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  t.same(Object.fromEntries(counts), { car: 332, truck: 291, bus: 126, person: 65, motorbike: 44 });
});
