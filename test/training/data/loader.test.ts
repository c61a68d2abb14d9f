// Batches: the same step is the same batch, whatever was asked before and whichever thread makes it.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { mapClasses, openDataSet } from '../../../src/evaluation/index.js';
import type { DetectorSpec } from '../../../src/registry/index.js';
import {
  type Batch,
  labelledSpec,
  Loader,
  SCRATCH_AUGMENTATION,
  unlabelledSpec,
} from '../../../src/training/index.js';
import { Batches } from '../../../src/training/data/batches.js';
import { labelledSource, modelClasses } from '../../../src/training/data/labelled.js';

const detector: DetectorSpec = {
  input: {
    name: 'x',
    width: 64,
    height: 32,
    colourOrder: 'bgr',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: 'y', boxes: 'raw', strides: [8, 16] },
  classes: ['truck', 'motorcycle'],
};

const makeData = async (t: Test): Promise<string> => {
  const folder = t.testdir();
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part));
  for (let i = 0; i < 5; i += 1) {
    const colour = { r: 40 * i, g: 200 - 30 * i, b: 90 };
    const create = { width: 60 + i, height: 40, channels: 3 as const, background: colour };
    await sharp({ create })
      .png()
      .toFile(join(folder, 'images', `${i}.png`));
    writeFileSync(join(folder, 'labels', `${i}.txt`), `${i % 3} 0.5 0.5 0.4 0.6\n`);
  }
  writeFileSync(join(folder, 'data.yaml'), 'train: images\nnames: [bicycle, motorbike, truck]\n');
  return folder;
};

const options = { detector, objects: 8, seed: 3, augmentation: SCRATCH_AUGMENTATION, mosaicUntil: 5 };
const sourceOf = (folder: string) => {
  const data = openDataSet(folder, { split: 'train' });
  return labelledSource(data, modelClasses(mapClasses(detector.classes, data.classes)));
};

/** Deep comparison of a batch takes a minute; this does not. */
const bytesOf = (batch: Batch): Record<string, string> =>
  Object.fromEntries(
    Object.entries(batch).map(([name, { data, dims }]) => [
      name,
      `${dims.join('x')} ${createHash('sha256')
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest('hex')}`,
    ]),
  );

t.test('classes of the data become those of the model; what it does not know is ignored', async (t) => {
  const source = sourceOf(await makeData(t));
  const shown = await Promise.all([0, 1, 2].map((index) => source.at(index)));
  t.same(
    shown.map(({ objects }) => objects.map(({ classId }) => classId)),
    [[], [1], [0]],
  );
  t.same(
    shown.map(({ ignored }) => ignored.length),
    [1, 0, 0],
  );
});

t.test('a thread makes the batches that are made here, from any step on', async (t) => {
  const folder = await makeData(t);
  const labelled = { path: folder, split: 'train', classes: detector.classes };
  const batches = new Batches(
    [
      { source: sourceOf(folder), share: 2 },
      { source: { ...sourceOf(folder), count: 2 }, share: 1 },
    ],
    options,
  );
  const expected = await batches.at(4);
  t.same(expected['x']?.dims, [3, 3, 32, 64]);
  for (const first of [0, 4]) {
    const loader = new Loader(
      [
        { ...labelledSpec(labelled), share: 2 },
        { ...labelledSpec({ ...labelled, limit: 2 }), share: 1 },
      ],
      options,
      first,
      7,
    );
    for (let step = first; step < 7; step += 1) {
      const batch = await loader.at(step);
      t.strictSame(bytesOf(batch), bytesOf(await batches.at(step)), `step ${step} of a run from ${first}`);
    }
    await loader.stop();
  }
  t.notSame(bytesOf(expected), bytesOf(await batches.at(5)));
});

t.test('pictures without labels teach nothing about objectness by themselves', async (t) => {
  const folder = await makeData(t);
  const loader = new Loader(
    [{ ...unlabelledSpec({ folder: join(folder, 'images') }), share: 2 }],
    options,
    0,
    9,
  );
  const whole = await loader.at(0);
  t.notOk(whole['targets']?.data.some((value) => Number(value) !== 0));
  await loader.stop();
});

t.test('a picture that cannot be read is named', async (t) => {
  const folder = await makeData(t);
  writeFileSync(join(folder, 'images', '3.png'), 'no picture');
  const loader = new Loader(
    [{ ...labelledSpec({ path: folder, split: 'train', classes: detector.classes }), share: 5 }],
    options,
    0,
    9,
  );
  await t.rejects(loader.at(0), { code: 'BAD_DATASET', message: /3\.png/ });
  await loader.stop();
  const missing = new Loader(
    [{ ...unlabelledSpec({ folder: join(folder, 'labels') }), share: 1 }],
    options,
    0,
    9,
  );
  await t.rejects(missing.at(0), { code: 'BAD_DATASET', message: /no pictures/ });
  await missing.stop();
});
