// A small detector with pictures of noise, and labels from what it sees in them: some of them other than it says.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { writeModel } from '../../src/onnx/index.js';
import { prepareModel } from '../../src/quantization/index.js';
import { createManifest } from '../../src/registry/index.js';
import { findObjects, type LabelledPicture } from '../../src/significance/objects.js';
import { noise } from '../onnx/bits.js';
import { SIDE, smallDetector, smallSpec } from './nets.js';

const PICTURES = 6;

export interface Fixture {
  /** Folder of an artifact. */
  readonly home: string;
  readonly id: string;
  /** Folder of a data set. */
  readonly data: string;
  readonly pictures: readonly LabelledPicture[];
}

export const smallSpace = { classes: [...smallSpec.classes], fromModel: [0, 1, 2] };

/** The label of an object in a YOLO file. */
const labelOf = (classId: number, box: ArrayLike<number>): string => {
  const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = Array.from(box, (v) => Math.min(1, Math.max(0, v / SIDE)));
  return [classId, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1].join(' ');
};

/** Makes artifact and data set below `folder`; every third object has the label of another class. */
export const makeFixture = async (folder: string): Promise<Fixture> => {
  const [home, data] = [join(folder, 'model'), join(folder, 'data')];
  const model = smallDetector();
  const bytes = writeModel(model);
  const manifest = createManifest(bytes, { name: 'small', detector: smallSpec });
  for (const path of [home, join(data, 'images'), join(data, 'labels')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(home, 'model.onnx'), bytes);
  writeFileSync(join(home, 'manifest.json'), JSON.stringify(manifest));
  writeFileSync(join(data, 'data.yaml'), 'train: images\nval: images\nnames: [bus, car, truck]\n');
  const pictures: LabelledPicture[] = [];
  for (let i = 0; i < PICTURES; i++) {
    const pixels = Uint8Array.from(noise(3 * SIDE * SIDE, i + 1), (v) => 128 + 127 * v);
    const path = join(data, 'images', `${i}.png`);
    await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
      .png()
      .toFile(path);
    pictures.push({ path, objects: undefined });
  }
  const seen = await findObjects(prepareModel(model), smallSpec, smallSpace, pictures);
  if (seen.pictures.length < 4) throw new Error(`objects in ${seen.pictures.length} pictures only`);
  const objects = seen.pictures.reduce((sum, { rows }) => sum + rows.length, 0);
  const width = seen.rows.length / objects;
  let at = 0;
  for (const [index, { truths }] of seen.pictures.entries()) {
    const lines = truths.map((truth) => {
      const box = seen.rows.subarray(at * width, at * width + 4);
      return labelOf(at++ % 3 === 0 ? (truth + 1) % 3 : truth, box);
    });
    const name = seen.pictures[index]?.path.replace('images', 'labels').replace('.png', '.txt') ?? '';
    writeFileSync(name, `${lines.join('\n')}\n`);
  }
  return { home, id: manifest.id, data, pictures };
};
