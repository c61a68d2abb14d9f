import t from 'tap';
import { makeSnapshot } from '../../src/daemon/snapshot.js';
import { decodeJpeg, encodeJpeg } from '../../src/vision/index.js';

const [width, height] = [320, 180];
const grey = new Uint8Array(3 * width * height).fill(200);
const leftHalf = [
  [0, 0],
  [0.5, 0],
  [0.5, 1],
  [0, 1],
] as const;

const jpegOf = (data: Uint8Array): Uint8Array => encodeJpeg({ format: 'rgb24', width, height, data }, 90);

t.test('masked, scaled, whatever the format of the frame', async (t) => {
  const yuv = new Uint8Array((width * height * 3) / 2).fill(128);
  yuv.fill(200, 0, width * height);
  const pictures = [
    { format: 'jpeg', width, height, data: jpegOf(grey) },
    { format: 'rgb24', width, height, data: grey },
    { format: 'yuv420', width, height, data: yuv },
  ] as const;
  for (const picture of pictures) {
    const snapshot = await makeSnapshot({ picture, masks: [leftHalf], width: 160, quality: 90 });
    t.same([snapshot.width, snapshot.height], [160, 90], picture.format);
    const image = decodeJpeg(snapshot.jpeg);
    const at = (x: number, y: number): number => image.data[3 * (y * image.width + x)] ?? 255;
    t.ok(at(10, 45) < 20, 'the mask is black');
    t.ok(at(75, 10) < 20, 'up to its edge');
    t.ok(Math.abs(at(120, 45) - 200) < 12, 'the rest is as it was');
  }
});

t.test('never larger than the frame', async (t) => {
  const picture = { format: 'rgb24', width, height, data: grey } as const;
  const snapshot = await makeSnapshot({ picture, masks: [], width: 3840, quality: 50 });
  t.same([snapshot.width, snapshot.height], [width, height]);
});

t.test('a torn frame is refused in plain words', async (t) => {
  const picture = { format: 'jpeg', width, height, data: jpegOf(grey).slice(0, 200) } as const;
  await t.rejects(makeSnapshot({ picture, masks: [], width: 160, quality: 50 }), { code: 'BAD_FRAME' });
});
