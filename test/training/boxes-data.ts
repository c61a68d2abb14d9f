// A data set of pictures of one red or blue box each on grey: what a tiny network learns in seconds.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const SIDE = 64;

/** Writes it to `folder`, which is there. One split serves for everything. */
export const writeBoxes = async (folder: string): Promise<void> => {
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part));
  for (let i = 0; i < 12; i += 1) {
    // The first two are of one place.
    const name = `${Math.max(0, i - 1)}-${i}`;
    const [w, h] = [20 + (i % 3) * 6, 18 + (i % 4) * 5];
    const [x, y] = [4 + ((i * 7) % 20), 3 + ((i * 11) % 20)];
    const background = i % 2 === 0 ? { r: 230, g: 20, b: 20 } : { r: 20, g: 20, b: 230 };
    const box = await sharp({ create: { width: w, height: h, channels: 3, background } })
      .png()
      .toBuffer();
    const grey = { r: 110, g: 110, b: 110 };
    await sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: grey } })
      .composite([{ input: box, left: x, top: y }])
      .png()
      .toFile(join(folder, 'images', `${name}.png`));
    const row = [(x + w / 2) / SIDE, (y + h / 2) / SIDE, w / SIDE, h / SIDE].join(' ');
    writeFileSync(join(folder, 'labels', `${name}.txt`), `${i % 2} ${row}\n`);
  }
  writeFileSync(join(folder, 'data.yaml'), 'train: images\nval: images\nnames: [red, blue]\n');
};

/** A network that is trained in seconds. */
export const smallNetwork = {
  width: SIDE,
  height: SIDE,
  stem: 4,
  stages: [
    { channels: 8, blocks: 1 },
    { channels: 8, blocks: 0 },
  ],
  strides: [8, 16],
  neck: 8,
} as const;
