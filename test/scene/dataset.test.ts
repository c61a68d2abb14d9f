// Data sets of simulated roads: read back as any other, equal by seed, refused where they would lie over something.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { VEHICLE_TYPES } from '../../src/config/index.js';
import { openDataSet, readPicture } from '../../src/evaluation/index.js';
import { scenesOf } from '../../src/scene/dataset.js';
import { SPLITS, writeDataSet } from '../../src/scene/index.js';

const write = (folder: string, seed = 5, pictures = 24) =>
  writeDataSet({ folder, pictures, seed, width: 320, height: 192 });

const hashOf = (folder: string): string => {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    hash.update(name);
    if (/\.(jpg|txt|yaml)$/.test(name)) hash.update(readFileSync(join(folder, name)));
  }
  return hash.digest('hex');
};

t.test('what is written is read back by the evaluation', async (t) => {
  const folder = join(t.testdir({}), 'road');
  const summary = await write(folder);
  let [pictures, objects] = [0, 0];
  for (const split of SPLITS) {
    const dataSet = openDataSet(folder, { split });
    t.same(dataSet.classes, VEHICLE_TYPES);
    t.equal(dataSet.images.length, summary.pictures[split]);
    pictures += dataSet.images.length;
    for (const [index, { path }] of dataSet.images.entries()) {
      const { width, height } = await readPicture(path);
      t.same([width, height], [320, 192]);
      const labels = await dataSet.load(index);
      objects += labels.objects.length;
      for (const { x1, y1, x2, y2 } of labels.objects) {
        t.ok(x1 >= -0.01 && y1 >= -0.01 && x2 <= 320.01 && y2 <= 192.01);
        const sides = [x2 - x1, y2 - y1];
        t.ok(Math.max(...sides) >= 27.9 && Math.min(...sides) >= 9.9, `${sides.join(' x ')} pixels`);
      }
    }
  }
  t.equal(pictures, 24);
  t.equal(
    objects,
    Object.values(summary.objects).reduce((sum, count) => sum + count, 0),
  );
  t.ok(objects > 10, `${objects} labels`);
});

t.test('equal seeds make equal files, others do not', async (t) => {
  const folder = t.testdir({});
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder, name));
  await write(a ?? '', 7, 6);
  await write(b ?? '', 7, 6);
  await write(c ?? '', 8, 6);
  t.equal(hashOf(a ?? ''), hashOf(b ?? ''));
  t.not(hashOf(a ?? ''), hashOf(c ?? ''));
});

t.test('a folder with something in it is left alone', async (t) => {
  const folder = t.testdir({ mine: 'precious' });
  await t.rejects(write(folder), { code: 'BAD_USAGE', message: /is not empty/ });
  t.same(readdirSync(folder), ['mine']);
  writeFileSync(join(folder, 'file'), '');
  await t.rejects(write(join(folder, 'file')), { code: 'BAD_USAGE' });
});

t.test('splits share all scenes, and none that has a share is left out where there are enough', (t) => {
  t.same(scenesOf(286, [160, 125, 1]), [160, 125, 1]);
  t.same(scenesOf(3, [1, 98, 1]), [1, 1, 1]);
  const share = fc.integer({ min: 0, max: 100 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 100 }),
      share,
      share,
      (scenes, train, val, test) => {
        const given = [train, val, test] as const;
        const counts = scenesOf(scenes, given);
        const isWhole = counts.reduce((a, b) => a + b, 0) === scenes && counts.every((count) => count >= 0);
        const isFair = scenes < 3 || counts.every((count, i) => count > 0 === (given[i] ?? 0) > 0);
        return isWhole && isFair;
      },
    ),
  );
  t.end();
});
